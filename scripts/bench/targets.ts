/** The meaning of a ratio, and its target. */
export interface Target {
  /** The two things compared, in a few words. */
  readonly meaning: string;
  /** Bound of the ratio; absent where it is reported and not promised. */
  readonly bound?: { readonly atLeast: number } | { readonly atMost: number };
}

/** Targets by the ratio's name for the default model; the synthetic one has the same. In the order of the page. */
export const targets: ReadonlyMap<string, Target> = new Map<string, Target>([
  ['replica1', { meaning: 'one peer ÷ llama-server, 1 stream', bound: { atLeast: 1 } }],
  ['replica4', { meaning: 'one peer ÷ llama-server, 4 streams', bound: { atLeast: 1 } }],
  ['replica16', { meaning: 'one peer ÷ llama-server, 16 streams', bound: { atLeast: 1 } }],
  [
    'replicaTtftMs',
    { meaning: 'time to the first token after a prompt of 16: one peer − llama-server, in ms', bound: { atMost: 5 } },
  ],
  ['pipeline1', { meaning: 'two stages ÷ llama.cpp RPC, 1 stream', bound: { atLeast: 2 } }],
  ['pipeline4', { meaning: 'two stages ÷ llama.cpp RPC, 4 streams', bound: { atLeast: 1.7 } }],
  ['pipeline16', { meaning: 'two stages ÷ llama.cpp RPC, 16 streams', bound: { atLeast: 1.5 } }],
  ['pipelineCeiling8', { meaning: 'two stages ÷ ceiling, 8 streams', bound: { atLeast: 0.85 } }],
  [
    'prefill',
    { meaning: 'a prompt of 1,024 tokens through two stages of as many layers ÷ ceiling', bound: { atLeast: 0.85 } },
  ],
  ['prefillPlanned', { meaning: 'the same through stages as the planner cuts them, for answers' }],
  ['pool8', { meaning: 'two replicas ÷ ceiling, 8 streams', bound: { atLeast: 0.95 } }],
  [
    'prefix',
    {
      meaning: 'time to the first token: a prompt whose first 1,000 tokens were there before ÷ the first time',
      bound: { atMost: 0.15 },
    },
  ],
  ['hopMs', { meaning: 'two stages − the whole model: ms per token' }],
  ['hopF16Ms', { meaning: 'the same with f16 activations' }],
  ['hopBytes', { meaning: 'bytes between the two peers per token' }],
  ['hopF16Bytes', { meaning: 'the same with f16 activations' }],
  ['speculationCopy', { meaning: 'speculation ÷ none, an answer that copies its prompt', bound: { atLeast: 1.5 } }],
  ['speculationProse', { meaning: 'speculation ÷ none, prose', bound: { atLeast: 0.97 } }],
  ['stageMb', { meaning: "a stage's engine beside its weights and KV cache, in MB", bound: { atMost: 150 } }],
  ['daemonMb', { meaning: 'a daemon without a model, in MB', bound: { atMost: 120 } }],
  ['busyDaemonMb', { meaning: 'a daemon after 3,000 short requests, in MB', bound: { atMost: 160 } }],
]);
