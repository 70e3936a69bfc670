import type { From } from "../wire.ts";
import { h } from "./dom.ts";
import { dayOf, timeOf, words } from "./words.ts";

/** Messages of one writer that are so close, in milliseconds, look like one. */
const CLOSE = 300_000;

/** What can be shown of a message's body. */
export interface Content {
  readonly text: string;
  readonly replies: readonly string[];
}

/** Reads a body: {text, quick_replies?} or a string. All else has no text to show. */
export function contentOf(body: unknown): Content {
  const { text = body, quick_replies: replies } = (body ?? {}) as { text?: unknown; quick_replies?: unknown };
  return {
    text: typeof text === "string" ? text : words.unreadable,
    replies: Array.isArray(replies) ? replies.filter((r) => typeof r === "string" && r !== "") : [],
  };
}

/** One message as it is shown. */
export class Bubble {
  readonly element: HTMLElement;
  readonly from: From;
  at: Date;
  readonly #day = h("div", { class: "day", part: "day" });
  readonly #text: HTMLElement;
  readonly #meta = h("div", { class: "meta", part: "meta" });

  constructor(from: From, name: string, text: string, at: Date) {
    this.from = from;
    this.at = at;
    this.#text = h("div", { class: "text", part: `bubble bubble-${from}`, dir: "auto" }, text);
    this.element = h("div", { class: `message ${from}` }, h("span", { class: "hidden" }, `${name}: `), this.#text, this.#meta);
  }

  get text(): string {
    return this.#text.textContent;
  }

  set text(text: string) {
    this.#text.textContent = text;
  }

  /** It is on its way. */
  pending(): void {
    this.element.dataset["state"] = "pending";
    this.#meta.replaceChildren(words.sending);
  }

  /** It has its place. */
  stored(at: Date): void {
    this.at = at;
    this.element.dataset["state"] = "stored";
    this.#meta.replaceChildren(h("time", { datetime: at.toISOString() }, timeOf(at)));
  }

  /** It will not be stored, unless the user tries again. */
  failed(why: string, again: () => void): void {
    const button = h("button", { type: "button", part: "retry" }, words.again);
    button.addEventListener("click", again);
    this.element.dataset["state"] = "failed";
    this.#meta.replaceChildren(words.notSent(why), " ", button);
  }

  /** Shows what is new after the message before it: a day; and what ends before: a group. */
  follow(before: Bubble | undefined): void {
    const day = dayOf(this.at);
    const sameDay = before !== undefined && dayOf(before.at) === day;
    if (sameDay) this.#day.remove();
    else this.element.prepend(this.#day);
    this.#day.textContent = day;
    const together = sameDay && before.from === this.from && this.at.getTime() - before.at.getTime() < CLOSE;
    before?.element.classList.toggle("last", !together);
  }
}
