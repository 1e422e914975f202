import type { Section } from '@skein/protocol';

/** A record of senders: which bytes each sent, of sections that come back to back from several senders one after another. */
export class Delivery {
  readonly #sections: readonly Section[];
  readonly #parts: { readonly sender: string; readonly from: number; to: number }[] = [];

  constructor(sections: readonly Section[]) {
    this.#sections = sections;
  }

  /** Notes that the next bytes came from this sender. */
  record(sender: string, bytes: number): void {
    const last = this.#parts.at(-1);
    const from = last?.to ?? 0;
    if (last?.sender === sender) last.to += bytes;
    else this.#parts.push({ sender, from, to: from + bytes });
  }

  /** Returns the senders of bytes of a section, in the order in which they last sent some. */
  sendersOf(section: Section): readonly string[] {
    const index = this.#sections.indexOf(section);
    const start = this.#sections.slice(0, index).reduce((sum, { bytes }) => sum + bytes, 0);
    const parts = this.#parts.filter(({ from, to }) => from < start + section.bytes && to > start);
    return [...new Set(parts.map(({ sender }) => sender).reverse())].reverse();
  }
}
