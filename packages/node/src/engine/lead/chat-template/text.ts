/**
 * A text of a rendering that knows where each of its characters comes from: from the template, or from a message.
 * Models read the texts of control tokens as those tokens only where the template wrote them.
 *
 * Operations that move characters keep track of each. A text that is computed from another counts as said by a message
 * when any character of that one is.
 */
export class Text {
  readonly value: string;
  /** Sources of the characters, one for each of `value`. Strings share their parts, so this costs little. */
  readonly #sources: string;

  private constructor(value: string, sources: string) {
    this.value = value;
    this.#sources = sources;
  }

  /** Joins texts, with another between them. */
  static join(parts: readonly Text[], separator: Text = written('')): Text {
    return new Text(
      parts.map(({ value }) => value).join(separator.value),
      parts.map((part) => part.#sources).join(separator.#sources),
    );
  }

  /** Makes a text all of whose characters have one source. */
  static from(source: 'template' | 'message', value: string): Text {
    return new Text(value, sourceMarks[source].repeat(value.length));
  }

  /** Length in UTF-16 units. */
  get length(): number {
    return this.value.length;
  }

  /** Tells whether a message says any of the characters from `start` to before `end`. */
  isSaid(start = 0, end = this.length): boolean {
    return this.#sources.slice(start, end).includes(sourceMarks.message);
  }

  /** Returns a part, by UTF-16 units as `String.slice` counts them. */
  slice(start?: number, end?: number): Text {
    return new Text(this.value.slice(start, end), this.#sources.slice(start, end));
  }

  /** Returns this text with another behind it. */
  plus(other: Text): Text {
    return new Text(this.value + other.value, this.#sources + other.#sources);
  }

  /** Returns this text as many times, one behind the other. */
  repeat(times: number): Text {
    return new Text(this.value.repeat(times), this.#sources.repeat(times));
  }

  /** Returns a text that was computed from this one. */
  computed(compute: (value: string) => string): Text {
    return Text.from(this.isSaid() ? 'message' : 'template', compute(this.value));
  }
}

/** Marks of the sources, one character each. */
const sourceMarks = { template: 't', message: 'm' } as const;

/** Makes a text that the template wrote. */
export function written(value: string): Text {
  return Text.from('template', value);
}

/** Makes a text that a message says. */
export function said(value: string): Text {
  return Text.from('message', value);
}
