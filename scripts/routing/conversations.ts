import { seededRandom, type Random } from '../fixtures/random.ts';

/** A turn of a conversation. */
export interface Turn {
  /** Time from the end of the answer before, or from the start of the run, in milliseconds. */
  readonly afterMs: number;
  readonly text: string;
}

/** A conversation: each turn asks with all that was said before. */
export interface Conversation {
  readonly system: string;
  readonly turns: readonly Turn[];
}

export interface ConversationsOptions {
  readonly seed: number;
  readonly count: number;
  /** Time in which all of them begin, in milliseconds. */
  readonly withinMs: number;
}

/** Number of different system prompts. */
const systemPrompts = 12;
const systemBytes = 2048;
const turnBytes = 400;
const turns = 3;
/** Pauses of readers, from the end of an answer to the next question, in milliseconds. */
const pauseMs = { from: 2000, to: 8000 };

const words = (
  'the a each any this another first last small large quiet early late answer question table letter report order price ' +
  'customer machine office garden window station river harbour winter summer morning evening names opens closes reads ' +
  'writes sends keeps finds asks answers shows moves counts checks before after behind between without under over and ' +
  'or but because while when where never always often seldom plainly slowly quickly politely in at of to from with for'
).split(' ');

/**
 * Makes up conversations of an office, the same for a seed: each has one of a dozen system prompts of 2 KB and three
 * turns. They begin at random times.
 */
export function conversations({ seed, count, withinMs }: ConversationsOptions): readonly Conversation[] {
  const random = seededRandom(seed);
  const systems = Array.from({ length: systemPrompts }, () => textOf(systemBytes, random));
  const made = Array.from({ length: count }, () => {
    const system = systems[Math.floor(random.uniform() * systems.length)] ?? '';
    const beginsMs = random.uniform() * withinMs;
    return { system, turns: Array.from({ length: turns }, (_, nth) => turnOf(nth, { beginsMs, random })) };
  });
  return made.toSorted((one, other) => (one.turns[0]?.afterMs ?? 0) - (other.turns[0]?.afterMs ?? 0));
}

function turnOf(nth: number, { beginsMs, random }: { readonly beginsMs: number; readonly random: Random }): Turn {
  const pause = pauseMs.from + random.uniform() * (pauseMs.to - pauseMs.from);
  return { afterMs: nth === 0 ? beginsMs : pause, text: textOf(turnBytes, random) };
}

function textOf(bytes: number, random: Random): string {
  let text = '';
  while (text.length < bytes) text += `${words[Math.floor(random.uniform() * words.length)] ?? ''} `;
  return text.slice(0, bytes);
}
