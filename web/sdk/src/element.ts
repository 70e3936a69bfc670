import { connect, type Options } from "./client.ts";
import type { Connection } from "./connection.ts";
import { Banner } from "./element/banner.ts";
import { Composer } from "./element/composer.ts";
import { h, icon, lock, shield, unlocked } from "./element/dom.ts";
import { sheet } from "./element/style.ts";
import { initial, Transcript } from "./element/transcript.ts";
import { Language, type Words } from "./element/words.ts";
import { CarnetError } from "./error.ts";
import type { Events, State } from "./events.ts";

export * from "./index.ts";
export type { Words } from "./element/words.ts";

/** The connection's events, which the element passes on as carnet-state and so on. */
const passedOn = [
  "state", "session", "message", "history", "ack", "nack", "blocked", "resent", "delta", "typing", "read",
  "secure", "expired",
] as const satisfies (keyof Events)[];

/**
 * A conversation to look at and to write in:
 *
 *     <carnet-chat url="https://carnet.example" bot="echo" assertion-url="/session"></carnet-chat>
 *
 * bot-key, the thumbprint of the bot's key or several, encrypts all that is said, see
 * Options.encryption; url left out is the page's own origin; label is the name to show in place of the bot's;
 * tabs is Options.tabs, merge Options.merge; lang says how days and times are written. It connects once it has
 * a bot and a way to get tokens: the property assertion, or assertion-url, an address of
 * the page's own that answers a POST with {"jwt": "…"}. All events of the connection leave
 * it, named carnet-state, carnet-message and so on.
 */
export class CarnetChat extends HTMLElement {
  static readonly observedAttributes = ["url", "bot", "bot-key", "assertion-url", "tabs", "label", "lang", "strings"];

  readonly #panel = h("div", { class: "panel", part: "panel" });
  readonly #avatar = h("div", { class: "avatar", part: "avatar", "aria-hidden": "true" });
  readonly #title = h("div", { class: "title", part: "title" });
  readonly #status = h("div", { class: "status", part: "status" });
  readonly #privacy = h("div", { class: "privacy", part: "privacy", hidden: "" });
  readonly #seal = h("div", { class: "seal", part: "seal", role: "img", hidden: "" });
  readonly #transcript = new Transcript({
    earlier: () => void this.#earlier(),
    pick: (body) => void this.#send(body),
    again: (body) => this.#send(body),
    resend: (id) => this.#connection?.resend(id),
    seen: (seq) => this.#connection?.read(seq),
  });
  readonly #banner = new Banner(() => this.#retry(), (e) => this.#transcript.leave(e));
  readonly #composer = new Composer({
    send: (text) => this.#send({ text }),
    typing: () => this.#connection?.typing(),
  });
  readonly #look = (): void => this.#transcript.look();
  #assertion: Options["assertion"] | undefined;
  #context: Options["context"];
  #encryption: Options["encryption"];
  #strings: Partial<Words> | undefined;
  #language = new Language();
  #connection: Connection | undefined;
  #state: State = { name: "connecting" };
  #sealed = false;
  #starting = false;
  #paging = false;

  constructor() {
    super();
    this.#panel.append(
      h("header", { part: "header" }, this.#avatar, h("div", { class: "names" }, this.#title, h("div", { class: "standing" }, this.#status, this.#privacy)), this.#seal),
      this.#banner.element, this.#transcript.element, this.#composer.element,
    );
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet()];
    root.append(this.#panel);
    this.#speak();
  }

  /** Gets a token of the user, see Options.assertion. Setting it connects anew. */
  get assertion(): Options["assertion"] | undefined {
    return this.#assertion;
  }

  set assertion(assertion: Options["assertion"] | undefined) {
    this.#assertion = assertion;
    this.#restart();
  }

  /** What the bot is told of the page, see Options.context; it counts from the next connection on. */
  get context(): Options["context"] {
    return this.#context;
  }

  set context(context: Options["context"]) {
    this.#context = context;
  }

  /** How to know the bot's key, see Options.encryption. Setting it connects anew; the attribute bot-key counts if it is not set. */
  get encryption(): Options["encryption"] {
    return this.#encryption;
  }

  set encryption(encryption: Options["encryption"]) {
    this.#encryption = encryption;
    this.#restart();
  }

  /** Words in place of the English ones; also the attribute strings, as JSON. They count from here on. */
  get strings(): Partial<Words> | undefined {
    return this.#strings;
  }

  set strings(strings: Partial<Words> | undefined) {
    this.#strings = strings;
    this.#speak();
  }

  /** The present connection, if there is one. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** Puts the cursor where one writes. */
  override focus(options?: FocusOptions): void {
    this.#composer.input.focus(options);
  }

  connectedCallback(): void {
    document.addEventListener("visibilitychange", this.#look);
    this.#adopt("assertion");
    this.#adopt("context");
    this.#adopt("encryption");
    this.#adopt("strings");
    this.#speak();
    this.#restart();
  }

  disconnectedCallback(): void {
    document.removeEventListener("visibilitychange", this.#look);
    this.#stop();
    this.#banner.hide();
  }

  attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    if (before === now) return;
    this.#speak();
    if (!["label", "lang", "strings"].includes(name)) this.#restart();
  }

  /** Takes over a property that the page set before this class was there. */
  #adopt(name: "assertion" | "context" | "encryption" | "strings"): void {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name] as never;
    delete (this as Partial<CarnetChat>)[name];
    this[name] = value;
  }

  /** Uses its present words and name. */
  #speak(): void {
    const lang = this.lang || this.closest<HTMLElement>("[lang]")?.lang || undefined;
    this.#language = new Language(this.#strings ?? stringsFrom(this.getAttribute("strings")), lang);
    const name = this.getAttribute("label") ?? this.getAttribute("bot") ?? "";
    this.#avatar.textContent = initial(name);
    this.#title.textContent = name;
    this.#transcript.speak(this.#language, name);
    this.#composer.language = this.#language;
    this.#show();
  }

  /** Connects anew, once for all that changes at a time. */
  #restart(): void {
    if (this.#starting) return;
    this.#starting = true;
    queueMicrotask(() => {
      this.#starting = false;
      this.#stop();
      if (this.isConnected) this.#start();
    });
  }

  #stop(): void {
    const c = this.#connection;
    this.#connection = undefined;
    c?.close();
    this.#transcript.clear();
    this.#become({ name: "connecting" });
  }

  #start(): void {
    const bot = this.getAttribute("bot");
    const url = this.getAttribute("url") ?? location.origin;
    const assertion = this.#assertion ?? assertionFrom(this.getAttribute("assertion-url"));
    const tabs = this.getAttribute("tabs") === "shared" ? "shared" : "own";
    if (!bot || !assertion) return;
    const encryption = this.#encryption ?? pinFrom(this.getAttribute("bot-key"));
    this.#transcript.encrypted = this.#sealed = encryption !== undefined;
    try {
      this.#connection = connect({
        url, bot, assertion, tabs, encryption, context: this.#context, merge: this.hasAttribute("merge"), loadHistory: true,
      });
    } catch (error) {
      if (!CarnetError.is(error)) throw error;
      return this.#become({ name: "closed", reason: error });
    }
    this.#follow(this.#connection);
  }

  #follow(c: Connection): void {
    const log = this.#transcript;
    for (const p of c.pending) log.await(p);
    this.#become(c.state);
    c.on("state", (s) => c === this.#connection && this.#become(s));
    c.on("secure", (s) => {
      this.#show();
      log.check(s);
    });
    c.on("session", (s) => {
      if (s.resumed) return;
      log.clear();
      for (const p of c.pending) log.await(p);
    });
    c.on("history", (page) => {
      log.prepend(page.messages);
      log.more = page.more;
      this.#panel.dataset["ready"] = "";
    });
    c.on("message", (m) => log.add(m));
    c.on("ack", ({ id, at }) => log.acknowledge(id, at));
    c.on("nack", ({ id, error }) => log.fail(id, error.message));
    c.on("blocked", ({ id, error }) => log.block(id, error.code));
    c.on("resent", ({ id }) => log.resume(id));
    c.on("delta", ({ id, whole }) => log.grow(id, whole));
    c.on("typing", ({ from }) => from === "bot" && log.typing());
    for (const type of passedOn) {
      c.on(type, (detail) => this.dispatchEvent(new CustomEvent(`carnet-${type}`, { detail, bubbles: true, composed: true })));
    }
  }

  #become(s: State): void {
    this.#state = s;
    this.#show();
  }

  /** Shows where the connection and the session stand. */
  #show(): void {
    const { name } = this.#state;
    const language = this.#language;
    this.#panel.dataset["state"] = name;
    this.#status.textContent = language.say(name);
    const secure = this.#connection?.secure;
    const seal = name === "locked" && this.#state.reason.code === "token_expired" ? "expired"
      : name === "closed" ? undefined : secure && seals[secure.state];
    this.#seal.hidden = seal === undefined;
    this.#seal.title = language.say(seal ?? "secured");
    this.#seal.setAttribute("aria-label", this.#seal.title);
    this.#seal.setAttribute("part", `seal seal-${seal === "secured" ? "secured" : "locked"}`);
    this.#seal.replaceChildren(icon(seal === "secured" ? shield : lock));
    const refused = name === "closed" && this.#state.reason.code === "key_refused";
    this.#privacy.hidden = !this.#sealed || name === "closed" && !refused;
    this.#privacy.replaceChildren(
      icon(refused ? unlocked : lock), language.say(refused ? "distrusted" : "encrypted", { name: this.#title.textContent }),
    );
    this.#banner.show(this.#state, language);
    this.#composer.locked = name === "locked";
  }

  /** Sends, unless the connection has closed: then it is false, and what was written stays. */
  #send(body: unknown): boolean {
    const c = this.#connection;
    if (!c || c.state.name === "closed") return false;
    this.#transcript.await({ id: c.send(body).id, body });
    return true;
  }

  #retry(): void {
    if (this.#connection && this.#connection.state.name !== "closed") this.#connection.retry();
    else this.#restart();
  }

  async #earlier(): Promise<void> {
    const c = this.#connection;
    if (!c || this.#paging) return;
    this.#paging = true;
    try {
      const page = await c.history();
      if (c !== this.#connection) return;
      this.#transcript.prepend(page.messages);
      this.#transcript.more = page.more;
    } catch {
      // the button stays, to be tried again
    } finally {
      this.#paging = false;
    }
  }
}

/** What the lock or the shield says of a session. */
const seals = { locked: "signIn", unavailable: "unchecked", secured: "secured" } as const;

/** Reads the attribute strings. What is no JSON object says nothing. */
function stringsFrom(json: string | null): Partial<Words> | undefined {
  try {
    return JSON.parse(json ?? "") as Partial<Words>;
  } catch {
    return undefined;
  }
}

/** Reads the attribute bot-key: thumbprints with blanks between them. None at all trusts no key. */
function pinFrom(thumbprints: string | null): Options["encryption"] {
  return thumbprints === null ? undefined : { thumbprint: thumbprints.split(/\s+/) };
}

/** Gets tokens from an address of the page's own. Its 401 and 403 are the end of the conversation. */
function assertionFrom(url: string | null): Options["assertion"] | undefined {
  if (!url) return undefined;
  return async () => {
    const response = await fetch(url, { method: "POST", credentials: "include", headers: { accept: "application/json" } });
    if (response.status === 401 || response.status === 403) throw new CarnetError("signed_out", "you are signed out");
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    const { jwt } = await response.json() as { jwt: string };
    return jwt;
  };
}

if (!customElements.get("carnet-chat")) customElements.define("carnet-chat", CarnetChat);

declare global {
  interface HTMLElementTagNameMap {
    "carnet-chat": CarnetChat;
  }
}
