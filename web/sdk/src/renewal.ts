/** The longest delay that setTimeout takes. */
const LONGEST = 2 ** 31 - 1;

/** Two renewals are at least this far apart, in milliseconds. */
const APART = 5_000;

/**
 * Says when a token must be renewed: a minute before it expires, or a fifth of a shorter
 * life. It goes by the seconds that the server counts, so a wrong clock does no harm.
 */
export class Renewal {
  readonly #renew: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #due = Infinity; // in Date.now's milliseconds
  #last = -Infinity;

  constructor(renew: () => void) {
    this.#renew = renew;
  }

  /** The token has so many seconds to live. */
  expiresIn(seconds: number): void {
    this.#at((seconds - Math.min(60, seconds / 5)) * 1_000);
  }

  /** Renews as soon as may be. */
  soon(): void {
    this.#at(0);
  }

  /** Renews if it is time: timers stand still while a laptop sleeps. */
  check(): void {
    if (Date.now() >= this.#due) this.soon();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#due = Infinity;
  }

  #at(delay: number): void {
    const now = Date.now();
    const wait = Math.max(delay, Math.min(APART, this.#last + APART - now));
    clearTimeout(this.#timer);
    this.#due = now + wait;
    this.#timer = setTimeout(() => {
      this.#last = Date.now();
      this.#due = Infinity;
      this.#renew();
    }, Math.min(wait, LONGEST));
  }
}
