import type { Secure } from "../events.ts";
import type { Pending } from "../outbox.ts";
import type { From, Message } from "../wire.ts";
import { Bubble, type Seal } from "./bubble.ts";
import { bodyOf, type Choice, contentOf } from "./content.ts";
import { arrowDown, h, icon } from "./dom.ts";
import { bodyFrom } from "./markup.ts";
import { Note } from "./note.ts";
import { Language } from "./words.ts";

/** So near the end, in pixels, new messages are followed. */
const NEAR = 80;

/** What is announced so close after another, in milliseconds, does not take its place: nobody has heard it yet. */
const ANNOUNCED_FOR = 1_000;

/** How long dots stay without news, in milliseconds. */
const TYPING_FOR = 6_000;

/** How long a part of an answer does: a slow bot's, and one that another answer has overtaken. */
const GROWING_FOR = 60_000;
const OVERTAKEN_FOR = 3_000;

export interface TranscriptHandlers {
  /** The user wants older messages. */
  earlier(): void;
  /** The user picked a suggested reply, or a button. */
  pick(body: unknown): void;
  /** The user wants a refused message sent again, as a new one; false if that cannot be. */
  again(body: unknown): boolean;
  /** The user wants a blocked message sent again. */
  resend(id: string): void;
  /** The user sees the end of the conversation, up to seq. */
  seen(seq: number): void;
}

/** The conversation as it is shown: stored messages in their order, then those on their way. */
export class Transcript {
  readonly element: HTMLElement;
  readonly log: HTMLElement;
  readonly #handlers: TranscriptHandlers;
  readonly #earlier = h("button", { type: "button", class: "earlier", part: "earlier", hidden: "" });
  readonly #empty = h("div", { class: "empty", part: "empty", hidden: "" });
  readonly #list = h("div", { class: "list" });
  readonly #replies = h("div", { class: "replies", role: "group", part: "replies" });
  readonly #note = new Note((text) => this.#announce(text));
  readonly #dots = h("div", { class: "dots", part: "typing", hidden: "" }, h("i"), h("i"), h("i"));
  readonly #jump = h("button", { type: "button", class: "jump", part: "jump", hidden: "" });
  readonly #announcer = h("div", { class: "hidden", "aria-live": "polite" });
  #name = "";
  #language = new Language();
  #stored: Bubble[] = [];
  readonly #waiting = new Map<string, { readonly bubble: Bubble; readonly body: unknown }>(); // by message id, in order
  readonly #growing = new Map<string, Bubble>(); // answers being written
  #seq = 0;
  #following = true;
  #top = 0; // of what is shown of the log, in pixels
  #announced = 0; // in Date.now's milliseconds
  #today = 0; // as the days are named, of the month
  #encrypted = false;
  #typing: ReturnType<typeof setTimeout> | undefined;
  #stuck: ReturnType<typeof setTimeout> | undefined; // the answers that are being written

  constructor(handlers: TranscriptHandlers) {
    this.#handlers = handlers;
    // New messages are told by the announcer; of a log that is live, old ones would be too.
    this.log = h(
      "div", { class: "log", role: "log", "aria-live": "off", tabindex: "0", part: "log" },
      this.#earlier, this.#empty, this.#list, this.#note.element, this.#dots, this.#replies,
    );
    this.element = h("div", { class: "transcript" }, this.log, this.#jump, this.#announcer);
    this.#earlier.addEventListener("click", () => handlers.earlier());
    this.#jump.addEventListener("click", () => this.#toEnd("smooth"));
    this.log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    const sizes = new ResizeObserver(() => this.#following && this.#toEnd("instant"));
    for (const e of [this.log, this.#list]) sizes.observe(e); // a picture, once loaded, moves the end
  }

  /** What it says from here on, and how the bot is called. */
  speak(language: Language, name: string): void {
    this.#language = language;
    this.#name = name;
    this.log.setAttribute("aria-label", language.say("log", { name }));
    this.#empty.replaceChildren(h("span", { class: "avatar", "aria-hidden": "true" }, initial(name)), language.say("greeting", { name }));
    this.#earlier.textContent = language.say("earlier");
    this.#jump.replaceChildren(icon(arrowDown), language.say("jump"));
    this.#replies.setAttribute("aria-label", language.say("replies"));
  }

  /** Begins another conversation: what was shown goes. */
  clear(): void {
    this.#stored = [];
    this.#waiting.clear();
    this.#wither();
    this.#seq = 0;
    this.#list.replaceChildren();
    this.#replies.replaceChildren();
    this.#empty.hidden = true;
    this.more = false;
    this.#note.hide();
    this.#stopTyping();
    this.#toEnd("instant");
  }

  /** Whether messages should be encrypted: those that are not are marked. */
  set encrypted(encrypted: boolean) {
    this.#encrypted = encrypted;
  }

  set more(more: boolean) {
    if (!more) this.leave(this.#earlier);
    this.#earlier.hidden = !more;
  }

  /** Puts older messages before all others; what the user reads stays where it is. */
  prepend(messages: readonly Message[]): void {
    const fromEnd = this.log.scrollHeight - this.log.scrollTop;
    const older = messages.map((m) => {
      const bubble = this.#bubble(m.from, m.at);
      bubble.show(m.body, this.#sealOf(m));
      bubble.stored(m.at);
      return bubble;
    });
    this.#stored.unshift(...older);
    this.#list.prepend(...older.map((b) => b.element));
    this.#arrange(0);
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
    const bubble = own ?? this.#bubble(m.from, m.at);
    this.#waiting.delete(m.id);
    this.#growing.delete(m.id);
    if (m.from === "system") this.#wither(); // it says that an answer does not come
    else if (m.from === "bot" && this.#growing.size > 0) this.#wither(OVERTAKEN_FOR);
    bubble.show(m.body, this.#sealOf(m));
    bubble.stored(m.at);
    const next = this.#firstWaiting();
    if (!own || bubble.element.nextElementSibling !== next) this.#list.insertBefore(bubble.element, next);
    this.#stored.push(bubble);
    this.#seq = m.seq;
    this.#arrange(this.#stored.length - 1);
    if (m.from !== "user") {
      this.#stopTyping();
      this.#announce(`${this.#nameOf(m.from)}: ${bubble.spoken}`);
    }
    this.#suggest(m);
    this.#moved();
  }

  /** Adds a message that is on its way, or blocked. */
  await({ id, body, blocked }: Pending): void {
    const bubble = this.#bubble("user", new Date());
    bubble.show(body);
    bubble.pending();
    this.#waiting.set(id, { bubble, body });
    if (blocked) this.block(id, blocked);
    this.#list.append(bubble.element);
    this.#arrange(this.#stored.length);
    this.#suggest();
    this.#greet();
    this.#toEnd("smooth");
  }

  acknowledge(id: string, at: Date): void {
    this.#waiting.get(id)?.bubble.stored(at);
  }

  fail(id: string, why: string): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return; // not written here
    const words = this.#language.say("notSent", { why });
    waiting.bubble.failed(words, () => {
      if (!this.#handlers.again(waiting.body)) return;
      this.#waiting.delete(id);
      this.leave(waiting.bubble.element);
      waiting.bubble.element.remove();
    });
    this.#announce(words);
    this.#moved();
  }

  /** A message was not let through, and is kept; code says why. */
  block(id: string, code: string): void {
    const bubble = this.#waiting.get(id)?.bubble;
    if (!bubble) return;
    const words = this.#language.say(code === "bot_not_running" ? "stopped" : "blocked", { name: this.#name });
    bubble.blocked(words, () => {
      this.leave(bubble.element); // the button goes
      this.#handlers.resend(id);
    });
    this.#announce(words);
    this.#moved();
  }

  /** A message that was blocked is on its way again. */
  resume(id: string): void {
    this.#waiting.get(id)?.bubble.pending();
  }

  /** Shows what a check of the session has found, unless all is well: nothing of that is stored. */
  check({ state, message, retryAfter = 0 }: Secure): void {
    this.leave(this.#note.element);
    if (state === "secured") return this.#note.hide();
    const words = this.#language.say(state === "locked" ? "signIn" : "unchecked");
    const bubble = this.#bubble("system", new Date());
    bubble.show(message?.startsWith("<TimelineMessage") ? bodyFrom(message) ?? words : this.#language.translate(message ?? words));
    this.#note.show(bubble, retryAfter, this.#language);
    this.#announce(`${this.#nameOf("system")}: ${this.#note.element.textContent}`);
    this.#moved();
  }

  /** Shows as much of an answer as there is. Those who listen are told when it is whole. */
  grow(id: string, text: string): void {
    let bubble = this.#growing.get(id);
    if (!bubble) {
      bubble = this.#bubble("bot", new Date());
      bubble.follow(this.#stored.at(-1));
      bubble.element.classList.add("last");
      this.#growing.set(id, bubble);
      this.#list.insertBefore(bubble.element, this.#firstWaiting());
      this.#stopTyping();
    }
    bubble.grow(text);
    this.#wither(GROWING_FOR);
    this.#moved();
  }

  /** Takes away what was begun, unless it goes on before so many milliseconds have passed. */
  #wither(after = 0): void {
    clearTimeout(this.#stuck);
    if (after > 0) {
      this.#stuck = setTimeout(() => this.#wither(), after);
      return;
    }
    for (const bubble of this.#growing.values()) bubble.element.remove();
    this.#growing.clear();
  }

  typing(): void {
    clearTimeout(this.#typing);
    this.#dots.hidden = false;
    this.#typing = setTimeout(() => this.#stopTyping(), TYPING_FOR);
    if (this.#following) this.#toEnd("smooth"); // who reads further up has no new message for that
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
    const now = Date.now();
    if (now - this.#announced > ANNOUNCED_FOR) this.#announcer.replaceChildren();
    this.#announced = now;
    this.#announcer.append(h("p", {}, text));
  }

  #nameOf(from: From): string {
    return { user: this.#language.say("you"), bot: this.#name, system: this.#language.say("notice") }[from];
  }

  #sealOf({ sealed }: Message): Seal | undefined {
    if (sealed === "opened") return undefined;
    return sealed ?? (this.#encrypted ? "clear" : undefined);
  }

  #bubble(from: From, at: Date): Bubble {
    return new Bubble(from, at, {
      language: this.#language, name: this.#nameOf(from), pick: (c) => this.#handlers.pick(bodyOf(c)),
    });
  }

  /** Shows days and groups anew, of the messages from one on. */
  #arrange(from: number): void {
    const today = new Date().getDate();
    if (today !== this.#today) from = 0; // what was today is yesterday
    this.#today = today;
    const all = [...this.#stored, ...[...this.#waiting.values()].map((w) => w.bubble)];
    all.forEach((b, i) => i < from || b.follow(all[i - 1]));
    all.at(-1)?.element.classList.add("last");
  }

  /** Offers the replies that the newest message suggests, if it has its place. */
  #suggest(m?: Message): void {
    this.leave(this.#replies);
    const replies = m?.from === "bot" ? contentOf(m.body).replies : [];
    this.#replies.replaceChildren(...replies.map((reply: Choice) => {
      const button = h("button", { type: "button", part: "reply", dir: "auto" }, reply.title);
      button.addEventListener("click", () => this.#handlers.pick(bodyOf(reply)));
      return button;
    }));
  }

  /** Takes the focus from where it is about to be lost: the page would have it, far away. */
  leave(going: HTMLElement): void {
    if (going.contains((going.getRootNode() as ShadowRoot).activeElement)) this.log.focus({ preventScroll: true });
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
    this.#unjump();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.log.scrollTo({ top: this.log.scrollHeight, behavior: still ? "instant" : behavior });
    this.look();
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (atEnd) this.#unjump();
    this.#following = atEnd || this.#following && scrollTop >= this.#top; // on its way down, it has not left the end
    this.#top = scrollTop;
    this.look();
    if (scrollTop < NEAR && !atEnd && !this.#earlier.hidden) this.#handlers.earlier();
  }

  #unjump(): void {
    this.leave(this.#jump);
    this.#jump.hidden = true;
  }

  /** Tells how far the user has seen, if the user can: a page may show its chat on demand. */
  look(): void {
    if (this.#following && this.#seq > 0 && document.visibilityState === "visible" && this.log.checkVisibility()) {
      this.#handlers.seen(this.#seq);
    }
  }
}

/** The letter that stands for a name. */
export const initial = (name: string): string => [...name.trim()][0]?.toUpperCase() ?? "";
