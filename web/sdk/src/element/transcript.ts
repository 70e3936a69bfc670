import type { Pending } from "../outbox.ts";
import type { From, Message } from "../wire.ts";
import { Bubble, contentOf } from "./bubble.ts";
import { arrowDown, h, icon } from "./dom.ts";
import { words } from "./words.ts";

/** So near the end, in pixels, new messages are followed. */
const NEAR = 80;

/** How long dots stay without news, in milliseconds. */
const TYPING_FOR = 6_000;

export interface TranscriptHandlers {
  /** The user wants older messages. */
  earlier(): void;
  /** The user picked a suggested reply. */
  reply(text: string): void;
  /** The user wants a message sent again; false if that cannot be. */
  again(body: unknown): boolean;
  /** The user sees the end of the conversation, up to seq. */
  seen(seq: number): void;
}

/** The conversation as it is shown: stored messages in their order, then those on their way. */
export class Transcript {
  readonly element: HTMLElement;
  readonly log: HTMLElement;
  readonly #handlers: TranscriptHandlers;
  readonly #earlier = h("button", { type: "button", class: "earlier", part: "earlier", hidden: "" }, words.earlier);
  readonly #empty = h("div", { class: "empty", part: "empty", hidden: "" });
  readonly #list = h("div", { class: "list" });
  readonly #replies = h("div", { class: "replies", role: "group", "aria-label": words.replies, part: "replies" });
  readonly #dots = h("div", { class: "dots", part: "typing", hidden: "" }, h("i"), h("i"), h("i"));
  readonly #jump = h("button", { type: "button", class: "jump", part: "jump", hidden: "" }, icon(arrowDown), words.jump);
  readonly #announcer = h("div", { class: "hidden", "aria-live": "polite" });
  #name = "";
  #stored: Bubble[] = [];
  readonly #waiting = new Map<string, { readonly bubble: Bubble; readonly body: unknown }>(); // by message id, in order
  readonly #growing = new Map<string, Bubble>(); // answers being written
  #seq = 0;
  #following = true;
  #typing: ReturnType<typeof setTimeout> | undefined;

  constructor(handlers: TranscriptHandlers) {
    this.#handlers = handlers;
    // New messages are told by the announcer; of a log that is live, old ones would be too.
    this.log = h(
      "div", { class: "log", role: "log", "aria-live": "off", tabindex: "0", part: "log" },
      this.#earlier, this.#empty, this.#list, this.#dots, this.#replies,
    );
    this.element = h("div", { class: "transcript" }, this.log, this.#jump, this.#announcer);
    this.#earlier.addEventListener("click", () => handlers.earlier());
    this.#jump.addEventListener("click", () => this.#toEnd("smooth"));
    this.log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#following && this.#toEnd("instant")).observe(this.log);
  }

  set name(name: string) {
    this.#name = name;
    this.log.setAttribute("aria-label", words.log(name));
    this.#empty.replaceChildren(h("span", { class: "avatar", "aria-hidden": "true" }, initial(name)), words.greeting(name));
  }

  /** Begins another conversation: what was shown goes. */
  clear(): void {
    this.#stored = [];
    this.#waiting.clear();
    this.#growing.clear();
    this.#seq = 0;
    this.#list.replaceChildren();
    this.#replies.replaceChildren();
    this.#empty.hidden = true;
    this.more = false;
    this.#stopTyping();
  }

  set more(more: boolean) {
    this.#earlier.hidden = !more;
  }

  /** Puts older messages before all others; what the user reads stays where it is. */
  prepend(messages: readonly Message[]): void {
    const fromEnd = this.log.scrollHeight - this.log.scrollTop;
    const older = messages.map((m) => this.#bubbleOf(m));
    this.#stored.unshift(...older);
    this.#list.prepend(...older.map((b) => b.element));
    this.#arrange(0, older.length + 1);
    const newest = messages.at(-1);
    if (newest && newest.seq > this.#seq) {
      this.#seq = newest.seq;
      this.#suggest(newest);
    }
    if (this.#following) this.#toEnd("instant");
    else this.log.scrollTo({ top: this.log.scrollHeight - fromEnd, behavior: "instant" });
    this.#greet();
  }

  /** Adds a message that has its place. One's own is known by its id. */
  add(m: Message): void {
    const own = m.from === "user" ? this.#waiting.get(m.id)?.bubble : this.#growing.get(m.id);
    const bubble = own ?? this.#bubbleOf(m);
    this.#waiting.delete(m.id);
    this.#growing.delete(m.id);
    bubble.text = contentOf(m.body).text;
    bubble.stored(m.at);
    const next = this.#firstWaiting();
    if (!own || bubble.element.nextElementSibling !== next) this.#list.insertBefore(bubble.element, next);
    this.#stored.push(bubble);
    this.#seq = m.seq;
    this.#arrange(this.#stored.length - 1);
    if (m.from !== "user") {
      this.#stopTyping();
      this.#announce(`${this.#nameOf(m.from)}: ${bubble.text}`);
    }
    this.#suggest(m);
    this.#moved();
  }

  /** Adds a message that is on its way. */
  await({ id, body }: Pending): void {
    const bubble = new Bubble("user", words.you, contentOf(body).text, new Date());
    bubble.pending();
    this.#waiting.set(id, { bubble, body });
    this.#list.append(bubble.element);
    this.#arrange(this.#stored.length);
    this.#replies.replaceChildren();
    this.#greet();
    this.#toEnd("smooth");
  }

  acknowledge(id: string, at: Date): void {
    this.#waiting.get(id)?.bubble.stored(at);
  }

  fail(id: string, why: string): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return; // not written here
    waiting.bubble.failed(why, () => {
      if (!this.#handlers.again(waiting.body)) return;
      this.#waiting.delete(id);
      waiting.bubble.element.remove();
    });
    this.#announce(words.notSent(why));
    this.#moved();
  }

  /** Shows more of an answer that is being written. */
  grow(id: string, text: string): void {
    let bubble = this.#growing.get(id);
    if (!bubble) {
      bubble = new Bubble("bot", this.#name, "", new Date());
      this.#growing.set(id, bubble);
      this.#list.insertBefore(bubble.element, this.#firstWaiting());
      this.#stopTyping();
    }
    bubble.text += text;
    this.#moved();
  }

  typing(): void {
    clearTimeout(this.#typing);
    this.#dots.hidden = false;
    this.#typing = setTimeout(() => this.#stopTyping(), TYPING_FOR);
    this.#moved();
  }

  #stopTyping(): void {
    clearTimeout(this.#typing);
    this.#dots.hidden = true;
  }

  #firstWaiting(): Element | null {
    const [waiting] = this.#waiting.values();
    return waiting?.bubble.element ?? null;
  }

  #announce(text: string): void {
    this.#announcer.replaceChildren(h("p", {}, text));
  }

  #nameOf(from: From): string {
    return { user: words.you, bot: this.#name, system: words.notice }[from];
  }

  #bubbleOf(m: Message): Bubble {
    const bubble = new Bubble(m.from, this.#nameOf(m.from), contentOf(m.body).text, m.at);
    bubble.stored(m.at);
    return bubble;
  }

  /** Shows days and groups anew, of the messages from one to another and what follows them. */
  #arrange(from: number, to = Infinity): void {
    const all = [...this.#stored, ...[...this.#waiting.values()].map((w) => w.bubble)];
    all.slice(from, to + 1).forEach((b, i) => b.follow(all[from + i - 1]));
    all.at(-1)?.element.classList.add("last");
  }

  /** Offers the replies that the newest message suggests. */
  #suggest(m: Message): void {
    const replies = m.from === "bot" ? contentOf(m.body).replies : [];
    this.#replies.replaceChildren(...replies.map((text) => {
      const button = h("button", { type: "button", part: "reply", dir: "auto" }, text);
      button.addEventListener("click", () => this.#handlers.reply(text));
      return button;
    }));
  }

  #greet(): void {
    this.#empty.hidden = this.#stored.length + this.#waiting.size > 0;
  }

  /** Something came at the end: shows it, or says that it is there. */
  #moved(): void {
    this.#greet();
    if (this.#following) this.#toEnd("smooth");
    else this.#jump.hidden = false;
  }

  #toEnd(behavior: ScrollBehavior): void {
    this.#following = true;
    this.#jump.hidden = true;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.log.scrollTo({ top: this.log.scrollHeight, behavior: still ? "instant" : behavior });
    this.look();
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (atEnd) this.#jump.hidden = true;
    this.#following = atEnd;
    this.look();
    if (scrollTop < NEAR && !atEnd && !this.#earlier.hidden) this.#handlers.earlier();
  }

  /** Tells how far the user has seen, if the user can. */
  look(): void {
    if (this.#following && this.#seq > 0 && document.visibilityState === "visible") this.#handlers.seen(this.#seq);
  }
}

/** The letter that stands for a name. */
export const initial = (name: string): string => [...name.trim()][0]?.toUpperCase() ?? "";
