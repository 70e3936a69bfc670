import type { Unread } from "../jwe.ts";
import type { From } from "../wire.ts";
import { type Choice, contentOf } from "./content.ts";
import { h, icon, lock, unlocked } from "./dom.ts";
import { anchor, markdown } from "./markdown.ts";
import type { Language } from "./words.ts";

/** Messages of one writer that are so close, in milliseconds, look like one. */
const CLOSE = 300_000;

/** What a bubble needs of the transcript that it stands in. */
export interface Surroundings {
  readonly language: Language;
  /** How the writer is called. */
  readonly name: string;
  /** The user has picked something in it. */
  pick(c: Choice): void;
}

/** In an encrypted conversation: it was not encrypted; or it was, and cannot be shown. */
export type Seal = "clear" | Unread;

/** One message as it is shown. */
export class Bubble {
  readonly element: HTMLElement;
  readonly from: From;
  at: Date;
  readonly #around: Surroundings;
  readonly #day = h("div", { class: "day", part: "day" });
  readonly #text: HTMLElement;
  readonly #words = h("div", { class: "words", dir: "auto" }); // its direction is not that of the bubble's corners
  readonly #extras = h("div", { class: "extras" });
  readonly #mark = h("div", { class: "mark", part: "mark" });
  readonly #meta = h("div", { class: "meta", part: "meta" });
  #spoken = "";

  constructor(from: From, at: Date, around: Surroundings) {
    this.from = from;
    this.at = at;
    this.#around = around;
    this.#text = h("div", { class: "text", part: `bubble bubble-${from}` }, this.#words);
    this.element = h(
      "div", { class: `message ${from}` },
      h("span", { class: "hidden" }, `${around.name}: `), this.#text, this.#extras, this.#mark, this.#meta,
    );
  }

  /** What it says, for those who listen. */
  get spoken(): string {
    return this.#spoken;
  }

  /** Shows a body. What the user wrote stays as it was written. seal is what there is to say of how it came. */
  show(body: unknown, seal?: Seal): void {
    if (seal) this.element.dataset["seal"] = seal;
    this.#mark.replaceChildren(...seal ? [icon(seal === "clear" ? unlocked : lock), this.#around.language.say(seal)] : []);
    if (seal && seal !== "clear") {
      this.#text.hidden = true;
      this.#spoken = this.#mark.textContent;
      return;
    }
    const { text, buttons, images, replies } = contentOf(body);
    const nothing = text === "" && buttons.length + images.length + replies.length === 0;
    this.#write(nothing ? this.#around.language.say("unreadable") : text);
    this.#extras.replaceChildren(...images.map(({ url, alt }) => h("img", {
      src: url, alt, part: "image", loading: "lazy", decoding: "async", referrerpolicy: "no-referrer",
    })));
    if (buttons.length > 0) this.#extras.append(h("div", { class: "buttons" }, ...buttons.map((b) => this.#button(b))));
    this.#spoken = [this.#words.textContent, ...images.map((i) => i.alt), this.#mark.textContent].filter(Boolean).join(" ");
  }

  /** Shows as much of an answer as there is. */
  grow(text: string): void {
    this.element.dataset["state"] = "partial";
    this.element.setAttribute("aria-busy", "true");
    this.#write(text);
  }

  /** It is on its way. */
  pending(): void {
    this.element.dataset["state"] = "pending";
    this.#meta.replaceChildren(this.#around.language.say("sending"));
  }

  /** It has its place. */
  stored(at: Date): void {
    this.at = at;
    this.element.dataset["state"] = "stored";
    this.element.removeAttribute("aria-busy");
    this.#meta.replaceChildren(h("time", { datetime: at.toISOString() }, this.#around.language.time(at)));
  }

  /** It will not be stored, unless the user tries again. */
  failed(why: string, again: () => void): void {
    this.#unsent("failed", why, "again", again);
  }

  /** It waits until the user sends it again. */
  blocked(why: string, resend: () => void): void {
    this.#unsent("blocked", why, "resend", resend);
  }

  #unsent(state: string, why: string, word: "again" | "resend", act: () => void): void {
    const button = h("button", { type: "button", part: "retry" }, this.#around.language.say(word));
    button.addEventListener("click", act);
    this.element.dataset["state"] = state;
    this.#meta.replaceChildren(why, " ", button);
  }

  /** Shows what is new after the message before it: a day; and what ends before: a group. */
  follow(before: Bubble | undefined): void {
    const { language } = this.#around;
    const day = language.day(this.at);
    const sameDay = before !== undefined && language.day(before.at) === day;
    if (sameDay) this.#day.remove();
    else this.element.prepend(this.#day);
    this.#day.textContent = day;
    const together = sameDay && before.from === this.from && this.at.getTime() - before.at.getTime() < CLOSE;
    before?.element.classList.toggle("last", !together);
  }

  #write(text: string): void {
    this.#text.hidden = text === "";
    this.#words.replaceChildren(...this.from === "user" ? [text] : markdown(text));
  }

  #button(b: Choice): HTMLElement {
    const look = { class: "button", part: "button", dir: "auto" };
    if (b.url !== undefined) return anchor(b.url, look, b.title);
    const button = h("button", { type: "button", ...look }, b.title);
    button.addEventListener("click", () => this.#around.pick(b));
    return button;
  }
}
