/**
 * Upper bounds on what a remote can make us hold, checked before allocation. Raising one is compatible; lowering one is
 * not.
 */
export const limits = Object.freeze({
  /** Longest frame on any stream, in bytes: a micro-batch of 512 rows of 16,384 f32 fits. */
  maxFrameBytes: 40 * 1024 * 1024,
  /** Longest frame on streams that carry control messages only: an encoded manifest is the longest. */
  maxControlFrameBytes: 8 * 1024 * 1024,
  /** Longest header (the structured part) inside a frame between engines: the ids of the longest prompt fit. */
  maxHeaderBytes: 8 * 1024 * 1024,
  /** Longest header inside a frame that a daemon decodes, which holds up its heartbeats: the longest grammar fits. */
  maxControlHeaderBytes: 2 * 1024 * 1024,
  /** Payload bytes per frame when a model's sections are streamed. */
  modelChunkBytes: 256 * 1024,
  maxNameLength: 512,
  maxMessageLength: 2048,
  maxLayers: 1024,
  maxHiddenSize: 65_536,
  maxVocabularySize: 4_000_000,
  maxSections: 65_536,
  maxStages: 64,
  /** Tokens in one micro-batch. */
  maxBatchTokens: 512,
  /** Sequences that one replica serves at once. */
  maxSequences: 64,
  /** Longest text of a prompt (all messages together) in one request, in bytes of UTF-8. */
  maxPromptBytes: 8 * 1024 * 1024,
  /** Most token ids in one prompt. */
  maxPromptTokens: 1_048_576,
  /** Tokens that the context of a deployment holds. */
  maxContextTokens: 16_777_216,
  maxMessages: 4096,
  /** Parts of one message. */
  maxMessageParts: 32,
  maxLogitBiases: 1024,
  /** Characters of a grammar, and of a JSON schema that becomes one: of those that people use, 69,000 and 162,000 at most. */
  maxGrammarCharacters: 128 * 1024,
  maxSchemaCharacters: 256 * 1024,
  /** Characters of a deployment's own chat template. */
  maxTemplateCharacters: 256 * 1024,
  maxTopLogprobs: 20,
  /** Cache slots of a stage: sequences being generated, and finished ones kept for their prefixes. llama.cpp's bound. */
  maxSlots: 256,
  /** Sequences, or parts of them, that a stage keeps in main memory. */
  maxSwappedSequences: 64,
  /** Cache operations in one step. */
  maxOperations: 1024,
  /** Most tokens drafted ahead in one entry of a step. */
  maxDraftTokens: 64,
  maxStopStrings: 16,
  maxStopLength: 512,
  maxCardBytes: 64 * 1024,
  /** Members whose cards a member says it gets from themselves. */
  maxFirsthand: 512,
  maxAddresses: 32,
} as const);
