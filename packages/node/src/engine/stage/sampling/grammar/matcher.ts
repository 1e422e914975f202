import { invariant } from '@skein/protocol';

import { Automaton, edgeKinds } from './automaton.ts';
import { MatchMemory, type Remembering } from './match-memory.ts';
import { invalidGrammar, parseGrammar } from './parse-grammar.ts';
import type { WorkBudget } from './work-budget.ts';

/** A call of a rule, with all places that called it at the same byte: the rule derives the same for each. */
interface Frame {
  readonly id: number;
  readonly callers: readonly Caller[];
}

interface Caller {
  /** The node at which the caller goes on after the rule's end. */
  readonly node: number;
  readonly frame: Frame;
}

/** A frame made at the current byte, which may get more callers. */
interface OpenFrame extends Frame {
  readonly callers: Caller[];
  readonly keys: Set<number>;
  /** Whether the rule has come to its end without taking a byte. */
  isComplete: boolean;
}

/**
 * All ways to read the text so far: nodes that take a byte next, each with the call that it belongs to. Immutable, and
 * one object for all texts that can go on alike.
 */
export interface MatchState {
  readonly nodes: readonly number[];
  readonly frames: readonly Frame[];
  /** Whether the grammar derives the text. */
  readonly accepts: boolean;
  /** The next state by class of byte, as far as it was computed; null where the grammar derives no such text. */
  readonly next: (MatchState | null | undefined)[];
}

/**
 * Most places to come back to in all open calls: JSON that is nested a thousand deep has some thousands. They bound a
 * text's memory to some MB.
 */
const mostCallers = 50_000;
/** Callers made between two checks of how many are open. */
const callersPerLook = 20_000;
/** Rough sizes of remembered objects, in words. */
const words = { state: 16, node: 6, frame: 24, caller: 12 };

/**
 * A matcher of texts against a grammar, byte by byte. It is an Earley parser over the grammar's automaton, and
 * remembers states with the ways between them, so that a step taken once costs two look-ups later. Work for a byte is
 * bounded by the automaton's nodes times the open calls, whatever the grammar: readings count by where they are, not by
 * how they came there. A call in a rule's last place goes on for its caller (as in J. Leo, "A general context-free
 * parsing algorithm running in linear time on every LR(k) grammar", 1991), so that lists of any length take no more
 * room.
 */
export class Matcher implements Remembering {
  readonly #automaton: Automaton;
  readonly #memory: MatchMemory;
  readonly #root: Frame = { id: 0, callers: [] };
  readonly #states = new Map<string, MatchState>();
  readonly #frames = new Map<string, Frame>();
  #nextFrame = 1;
  #untilLook = callersPerLook;

  /** @throws SkeinError `invalid-request` for a text that is no grammar, or one that is too large */
  constructor(grammar: string, memory = new MatchMemory()) {
    this.#automaton = new Automaton(parseGrammar(grammar));
    this.#memory = memory;
  }

  /** Size of the grammar's automaton, in bytes. */
  get bytes(): number {
    return this.#automaton.bytes;
  }

  /** Returns the state before the first byte. */
  start(budget: WorkBudget): MatchState {
    const entry = invariant(this.#automaton.entries[this.#automaton.root], 'the root has an entry');
    const column = this.#column(budget);
    column.add(entry, this.#root);
    return this.#remember(column.close());
  }

  /** Returns the state after one more byte; undefined where the grammar derives no text that goes on so. */
  step(state: MatchState, byte: number, budget: WorkBudget): MatchState | undefined {
    const byteClass = invariant(this.#automaton.byteClass[byte], 'a byte is one of 256');
    const known = state.next[byteClass];
    if (known !== undefined) return known ?? undefined;
    const after = this.#after(state, byte, budget);
    state.next[byteClass] = after ?? null;
    return after;
  }

  /** Returns the state after some more bytes. */
  advance(state: MatchState, bytes: Uint8Array, budget: WorkBudget): MatchState | undefined {
    let current: MatchState | undefined = state;
    for (const byte of bytes) {
      current = this.step(current, byte, budget);
      if (current === undefined) return undefined;
    }
    return current;
  }

  #after(state: MatchState, byte: number, budget: WorkBudget): MatchState | undefined {
    const { firstEdge, nextEdge, low, high, target } = this.#automaton;
    const column = this.#column(budget);
    for (const [index, node] of state.nodes.entries()) {
      const frame = invariant(state.frames[index], 'each node has a frame');
      for (let edge = at(firstEdge, node); edge >= 0; edge = at(nextEdge, edge)) {
        budget.spend();
        if (at(low, edge) <= byte && byte <= at(high, edge)) column.add(at(target, edge), frame);
      }
    }
    const closed = column.close();
    return closed.nodes.length === 0 && !closed.accepts ? undefined : this.#remember(closed);
  }

  #column(budget: WorkBudget): Column {
    return new Column({
      automaton: this.#automaton,
      root: this.#root,
      known: this.#frames,
      budget,
      newId: () => this.#nextFrame++,
      onFrame: (frame) => this.#note(frame),
    });
  }

  #remember({ nodes, frames, accepts }: Omit<MatchState, 'next'>): MatchState {
    const key = `${accepts ? 1 : 0};${nodes.map((node, index) => `${node}:${frames[index]?.id}`).join()}`;
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    // Ways on included, of which there will be as many as there are classes of bytes.
    this.#memory.note(this, words.state + this.#automaton.byteClasses + words.node * nodes.length);
    const state: MatchState = { nodes, frames, accepts, next: [] };
    this.#states.set(key, state);
    return state;
  }

  /** Forgets the ways between states. The states of sequences stay valid; they only have to find their next ones anew. */
  forget(): void {
    for (const { next } of this.#states.values()) next.length = 0;
    this.#states.clear();
    this.#frames.clear();
  }

  /** Notes a new frame, and now and then counts the open ones. */
  #note(frame: Frame): void {
    const callers = frame.callers.length;
    this.#memory.note(this, words.frame + words.caller * callers);
    this.#untilLook -= 1 + callers;
    if (this.#untilLook > 0) return;
    this.#untilLook = callersPerLook;
    assertFewCallers(frame);
  }
}

interface ColumnOptions {
  readonly automaton: Automaton;
  readonly root: Frame;
  /** Frames made before, by their callers. New ones are added. */
  readonly known: Map<string, Frame>;
  readonly budget: WorkBudget;
  readonly newId: () => number;
  /** Called for each frame that is kept. */
  readonly onFrame: (frame: Frame) => void;
}

/** A search for the ways to read a text after one byte more. */
class Column {
  readonly #options: ColumnOptions;
  readonly #automaton: Automaton;
  readonly #budget: WorkBudget;
  readonly #seen = new Set<number>();
  readonly #open = new Map<number, OpenFrame>();
  readonly #openFrames = new Set<Frame>();
  readonly #todo: { readonly node: number; readonly frame: Frame }[] = [];
  readonly #nodes: number[] = [];
  readonly #frames: Frame[] = [];
  #accepts = false;

  constructor(options: ColumnOptions) {
    this.#options = options;
    this.#automaton = options.automaton;
    this.#budget = options.budget;
  }

  /** Adds a place that a reading has reached. */
  add(node: number, frame: Frame): void {
    const key = frame.id * this.#automaton.nodes + node;
    if (this.#seen.has(key)) return;
    this.#budget.spend();
    this.#seen.add(key);
    this.#todo.push({ node, frame });
  }

  /** Follows all edges that take no byte. Calls that equal known ones are replaced by those. */
  close(): Omit<MatchState, 'next'> {
    for (let place = this.#todo.pop(); place !== undefined; place = this.#todo.pop()) this.#follow(place);
    const settled = this.#settle();
    const frames = this.#frames.map((frame) => settled.get(frame) ?? frame);
    const order = this.#nodes.map((_, index) => index);
    const compare = (one: number, other: number) =>
      at(this.#nodes, one) - at(this.#nodes, other) || idAt(frames, one) - idAt(frames, other);
    order.sort(compare);
    return {
      nodes: order.map((index) => at(this.#nodes, index)),
      frames: order.map((index) => invariant(frames[index], 'each node has a frame')),
      accepts: this.#accepts,
    };
  }

  #follow({ node, frame }: { readonly node: number; readonly frame: Frame }): void {
    const { firstEdge, nextEdge, low, high, target, finalOf } = this.#automaton;
    if (at(finalOf, node) >= 0) this.#complete(frame);
    let takesBytes = false;
    for (let edge = at(firstEdge, node); edge >= 0; edge = at(nextEdge, edge)) {
      this.#budget.spend();
      const kind = at(low, edge);
      if (kind === edgeKinds.epsilon) this.add(at(target, edge), frame);
      else if (kind === edgeKinds.call) this.#call(at(high, edge), { node: at(target, edge), frame });
      else takesBytes = true;
    }
    if (!takesBytes) return;
    this.#nodes.push(node);
    this.#frames.push(frame);
  }

  #complete(frame: Frame): void {
    if (frame === this.#options.root) this.#accepts = true;
    const open = this.#asOpen(frame);
    if (open !== undefined) open.isComplete = true;
    for (const caller of frame.callers) this.add(caller.node, caller.frame);
  }

  #call(rule: number, caller: Caller): void {
    let frame = this.#open.get(rule);
    if (frame === undefined) {
      frame = { id: this.#options.newId(), callers: [], keys: new Set(), isComplete: false };
      this.#open.set(rule, frame);
      this.#openFrames.add(frame);
      this.add(invariant(this.#automaton.entries[rule], 'a called rule has an entry'), frame);
    }
    this.#addCaller(frame, caller);
  }

  #addCaller(frame: OpenFrame, caller: Caller): void {
    const isLast = at(this.#automaton.finalOf, caller.node) >= 0;
    if (isLast && caller.frame !== this.#options.root && this.#asOpen(caller.frame) === undefined) {
      // Nothing is left to do for the caller but to come to its own end: its callers wait for this call instead.
      for (const one of caller.frame.callers) this.#keepCaller(frame, one);
    } else this.#keepCaller(frame, caller);
  }

  #keepCaller(frame: OpenFrame, caller: Caller): void {
    this.#budget.spend();
    const key = caller.frame.id * this.#automaton.nodes + caller.node;
    if (frame.keys.has(key)) return;
    frame.keys.add(key);
    frame.callers.push(caller);
    if (frame.isComplete) this.add(caller.node, caller.frame);
  }

  #asOpen(frame: Frame): OpenFrame | undefined {
    return this.#openFrames.has(frame) ? (frame as OpenFrame) : undefined;
  }

  /**
   * Returns for each frame of this byte the one to keep: an equal one that is known, or one freed of the state that
   * building it took.
   */
  #settle(): ReadonlyMap<Frame, Frame> {
    const settled = new Map<Frame, Frame>();
    const waiting = new Map<Frame, number>();
    const waitedForBy = new Map<Frame, OpenFrame[]>();
    const ready: OpenFrame[] = [];
    for (const frame of this.#open.values()) {
      const openCallers = new Set(
        frame.callers.map((caller) => caller.frame).filter((one) => this.#openFrames.has(one)),
      );
      if (openCallers.size === 0) ready.push(frame);
      waiting.set(frame, openCallers.size);
      for (const caller of openCallers) {
        this.#budget.spend();
        const others = waitedForBy.get(caller);
        if (others === undefined) waitedForBy.set(caller, [frame]);
        else others.push(frame);
      }
    }
    for (let frame = ready.pop(); frame !== undefined; frame = ready.pop()) {
      settled.set(frame, this.#known(frame, settled));
      waiting.delete(frame);
      for (const other of waitedForBy.get(frame) ?? []) {
        const left = invariant(waiting.get(other), 'a frame that waits') - 1;
        waiting.set(other, left);
        if (left === 0) ready.push(other);
      }
    }
    // Calls that call one another without taking a byte: nothing is like them.
    const own = [...waiting.keys()].map((frame) => ({ frame, copy: { id: frame.id, callers: [] as Caller[] } }));
    for (const { frame, copy } of own) settled.set(frame, copy);
    for (const { frame, copy } of own) {
      for (const caller of callersOf(frame, settled)) copy.callers.push(caller);
      this.#options.onFrame(copy);
    }
    return settled;
  }

  #known(frame: Frame, settled: ReadonlyMap<Frame, Frame>): Frame {
    const { known, onFrame } = this.#options;
    const callers = callersOf(frame, settled);
    for (const _ of callers) this.#budget.spend();
    const keys = callers.map(({ node, frame: { id } }) => `${node}:${id}`);
    const key = keys.toSorted().join();
    const equal = known.get(key);
    if (equal !== undefined) return equal;
    const made = { id: frame.id, callers };
    onFrame(made);
    known.set(key, made);
    return made;
  }
}

function callersOf(frame: Frame, settled: ReadonlyMap<Frame, Frame>): Caller[] {
  return frame.callers.map((caller) => ({ node: caller.node, frame: settled.get(caller.frame) ?? caller.frame }));
}

/**
 * Checks that calls that wait for one another have few enough places to come back to.
 *
 * @throws SkeinError `invalid-request` when they have too many
 */
function assertFewCallers(frame: Frame): void {
  const open = new Set<Frame>([frame]);
  let callers = 0;
  for (const one of open) {
    callers += 1 + one.callers.length;
    if (callers > mostCallers) {
      throw invalidGrammar(
        'too many of its rules are open at once; end them earlier, or use repetitions in place of recursion',
      );
    }
    for (const caller of one.callers) open.add(caller.frame);
  }
}

function at(numbers: { readonly [index: number]: number | undefined }, index: number): number {
  return invariant(numbers[index], 'a node or an edge that is there');
}

function idAt(frames: readonly Frame[], index: number): number {
  return invariant(frames[index], 'each node has a frame').id;
}
