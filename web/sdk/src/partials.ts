/** So many answers are followed at a time. */
const MOST = 32;

/** The answers that are being written, by message id. */
export class Partials {
  readonly #texts = new Map<string, string | undefined>(); // undefined: a part was missed

  /** Adds to an answer and returns it so far; undefined if a part of it was missed. */
  grow(id: string, text: string): string | undefined {
    const before = this.#texts.has(id) ? this.#texts.get(id) : "";
    const whole = before === undefined ? undefined : before + text;
    this.#texts.set(id, whole);
    const [oldest] = this.#texts.keys();
    if (oldest !== undefined && this.#texts.size > MOST) this.#texts.delete(oldest);
    return whole;
  }

  /** The answer is there. */
  end(id: string): void {
    this.#texts.delete(id);
  }

  /** From here to the next connection parts go unheard: those answers come whole, or not at all. */
  cut(): void {
    for (const id of this.#texts.keys()) this.#texts.set(id, undefined);
  }
}
