import { backoff } from "./backoff.ts";
import { Emitter } from "./emitter.ts";
import { CarnetError } from "./error.ts";
import type { Events, State } from "./events.ts";
import { type End, Link } from "./link.ts";
import { forget, type Memory, recall, remember, type Store } from "./memory.ts";
import { Outbox, type Pending, type Receipt, type Sent } from "./outbox.ts";
import { Past, type Range } from "./past.ts";
import { Renewal } from "./renewal.ts";
import {
  type ClientFrame, MAX_CONTEXT, type Message, type Page, type Refusal, type ServerFrame, unfit, type Welcome,
} from "./wire.ts";

/** What connect has made of its options. */
export interface Settings {
  readonly socket: typeof WebSocket;
  readonly connectURL: string;
  readonly messagesURL: (conversation: string) => string;
  readonly bot: string;
  readonly assertion: () => Promise<string>;
  readonly conversation: string | undefined;
  readonly context: Readonly<Record<string, unknown>> | undefined;
  /** How many past messages to load; 0: none. */
  readonly history: number;
  readonly store: Store | undefined;
  readonly key: string;
  readonly signal: AbortSignal | undefined;
}

/** How long the page may take for a token, in milliseconds. */
const ASSERTION_WITHIN = 30_000;

/** A socket that was open for so long was no failure. */
const STEADY = 10_000;

/** The server hears of typing no more often. */
const TYPING_APART = 3_000;

/** A conversation of one page with one bot, over as many sockets as it takes. */
export class Connection extends Emitter<Events> {
  readonly #settings: Settings;
  readonly #outbox = new Outbox();
  readonly #renewal = new Renewal(() => void this.#renew());
  readonly #listening = new AbortController();
  readonly #memory: Memory;
  readonly #past: Past;
  #state: State = { name: "connecting" };
  #link: Link | undefined;
  #token = "";
  #attempt = 0;
  #openedAt = 0;
  #hasty = false; // the server has not asked to wait
  #timer: ReturnType<typeof setTimeout> | undefined; // of the next attempt
  #pause: ReturnType<typeof setTimeout> | undefined; // that the server asked for
  #shown: string | undefined; // the conversation that the page has seen
  #historyDue: boolean;
  #readTo = 0;
  #typedAt = 0;
  #context: Record<string, unknown> | undefined; // not told yet

  /** Use connect. */
  constructor(settings: Settings) {
    super();
    this.#settings = settings;
    this.#past = new Past(settings.messagesURL, {
      current: () => this.#token,
      renew: async () => (this.#token = await this.#assert()),
    });
    this.#historyDue = settings.history > 0;
    this.#context = settings.context && { ...settings.context };
    this.#memory = recall(settings.store, settings.key);
    for (const { id, body } of this.#memory.pending) this.#outbox.add(body, id);
    this.#watch();
    queueMicrotask(() => {
      if (settings.signal?.aborted) this.#finish(aborted(settings.signal));
      else if (this.#state.name !== "closed") void this.#dial();
    });
  }

  get state(): State {
    return this.#state;
  }

  /** The messages that are not stored yet, in order; after a reload also those of the page before. */
  get pending(): readonly Pending[] {
    return this.#outbox.pending;
  }

  /**
   * Sends a message, or keeps it until it can be sent, even over a reload. A string is
   * short for {text}. done resolves when it is stored; it rejects when it is refused, and
   * when the connection closes first: then the message is kept for the next connection.
   */
  send(body: unknown): Sent {
    if (this.#state.name === "closed") {
      const done = Promise.reject(this.#state.reason);
      done.catch(() => {});
      return { id: "", done };
    }
    const sent = this.#outbox.add(typeof body === "string" ? { text: body } : body);
    if (this.#outbox.has(sent.id)) {
      this.#save();
      this.#flush();
    } else {
      sent.done.catch((error: CarnetError) => this.emit("nack", { id: sent.id, error }));
    }
    return sent;
  }

  /** Tells that the user is typing. Call it on every input: most calls send nothing. */
  typing(): void {
    const now = Date.now();
    if (Math.abs(now - this.#typedAt) < TYPING_APART) return;
    this.#typedAt = now;
    this.#say({ type: "typing" });
  }

  /** Tells how far the user has read. */
  read(seq: number): void {
    if (seq <= this.#readTo) return;
    this.#readTo = seq;
    this.#say({ type: "read", seq });
  }

  /** Sets members of the conversation's context, null to take one away. */
  setContext(set: Readonly<Record<string, unknown>>): void {
    const code = unfit(set, MAX_CONTEXT);
    if (code) throw new CarnetError(code, `the context must be an object of at most ${MAX_CONTEXT} bytes of JSON`);
    if (this.#state.name === "open") this.#say({ type: "context", set });
    else this.#context = { ...this.#context, ...set };
  }

  /**
   * Gets a page of older messages, oldest first: without before, those older than any
   * that the page has had so far.
   */
  history(range: Range = {}): Promise<Page> {
    return this.#past.page(range);
  }

  /** Tries at once instead of waiting, and makes sure of a socket that seems open. */
  retry(): void {
    if (this.#state.name === "waiting") void this.#dial();
    this.#link?.probe();
    this.#renewal.check();
  }

  /** Closes for good. What is not stored yet is kept for the next connection of this tab. */
  close(): void {
    this.#finish(new CarnetError("closed", "the page closed the connection"));
  }

  /** Closes, and drops all that this tab remembers of the conversation. Call it on sign-out. */
  forget(): void {
    this.close();
    forget(this.#settings.store, this.#settings.key);
  }

  // --- the socket's life ---

  async #dial(): Promise<void> {
    clearTimeout(this.#timer);
    this.#become({ name: "connecting" });
    try {
      this.#token = await this.#assert();
    } catch (error) {
      return this.#wait(error as CarnetError);
    }
    if (this.#state.name !== "connecting") return;
    const { socket, connectURL, bot, conversation } = this.#settings;
    const m = this.#memory;
    const hello = {
      type: "hello", token: this.#token, bot, conversation: conversation ?? m.conversation,
      after: m.cursor, session: m.session, context: this.#context,
    } as const;
    try {
      this.#link = new Link(socket, connectURL, hello, {
        frame: (f) => this.#hear(f),
        end: (e) => this.#ended(e),
      });
    } catch (cause) {
      this.#finish(new CarnetError("bad_url", "the browser refuses the address", { cause }));
    }
  }

  /** Gets a token. A CarnetError of the page's closes the connection, any other error does not. */
  async #assert(): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("no answer in time")), ASSERTION_WITHIN);
    });
    try {
      const token: unknown = await Promise.race([this.#settings.assertion(), late]);
      if (typeof token !== "string" || token === "") throw new TypeError("the token must be a string");
      return token;
    } catch (cause) {
      if (CarnetError.is(cause)) this.#finish(cause);
      throw new CarnetError("assertion_failed", "there is no token to sign in with", { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  #ended({ code, refusal, welcomed }: End): void {
    this.#link = undefined;
    if (welcomed && Date.now() - this.#openedAt > STEADY) this.#attempt = 0;
    const final = code >= 4000 && code < 4500;
    const error = refused(refusal) ?? new CarnetError(final ? "refused" : "disconnected", `the connection was closed (${code})`);
    const m = this.#memory;
    if (!final || welcomed && code === 4401) { // 4401: the token has expired, a new one will do
      this.#wait(error);
    } else if (!welcomed && (m.session ?? m.cursor) !== undefined) {
      // Perhaps what this page remembers was refused: another user's, or of a lost store.
      m.conversation = m.session = m.cursor = undefined;
      this.#wait(error);
    } else {
      this.#finish(error);
    }
  }

  #wait(reason: CarnetError): void {
    if (this.#state.name === "closed") return;
    this.#idle();
    const delay = backoff(this.#attempt++, reason.retryAfter);
    this.#hasty = reason.retryAfter === undefined;
    this.#timer = setTimeout(() => void this.#dial(), delay);
    this.#become({ name: "waiting", retryAt: Date.now() + delay, reason });
  }

  #finish(reason: CarnetError): void {
    if (this.#state.name === "closed") return;
    this.#save();
    this.#idle();
    clearTimeout(this.#timer);
    this.#listening.abort();
    this.#become({ name: "closed", reason });
    for (const { id } of this.pending) this.#outbox.settle(id, reason);
  }

  /** Lets go of the socket and all that hangs on it. */
  #idle(): void {
    this.#link?.close();
    this.#link = undefined;
    this.#outbox.reset();
    this.#renewal.stop();
    clearTimeout(this.#pause);
  }

  /** Follows what the browser says of the network, the laptop's lid and the page. */
  #watch(): void {
    const { signal } = this.#listening;
    const back = (): void => {
      if (this.#state.name !== "waiting" || this.#hasty) this.retry();
    };
    globalThis.addEventListener?.("online", back, { signal });
    globalThis.addEventListener?.("offline", () => this.#link?.probe(), { signal });
    globalThis.document?.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") back();
    }, { signal });
    this.#settings.signal?.addEventListener("abort", (e) => this.#finish(aborted(e.target as AbortSignal)), { signal });
  }

  #become(state: State): void {
    const changed = state.name !== this.#state.name;
    this.#state = state;
    if (changed) this.emit("state", state);
  }

  // --- what the server says ---

  #hear(f: ServerFrame): void {
    switch (f.type) {
      case "welcome":
        return this.#welcome(f);
      case "message":
        return this.#deliver(f.message);
      case "ack":
        return this.#stored(f.id, { seq: f.seq, at: f.at });
      case "nack":
        return this.#nacked(f.id, f.error);
      case "session":
        this.#memory.session = f.session;
        if (f.expiresIn !== undefined) this.#renewal.expiresIn(f.expiresIn);
        return this.#save();
      case "delta":
        return this.emit("delta", { id: f.id, text: f.text });
      case "typing":
        return this.emit("typing", { from: f.from });
      case "read":
        this.#readTo = Math.max(this.#readTo, f.seq);
        return this.emit("read", { seq: f.seq });
      case "context":
        return this.emit("context", { set: f.set });
      case "secure":
        return this.emit("secure", f);
    }
  }

  #welcome(w: Welcome): void {
    const m = this.#memory;
    const user = JSON.stringify(w.user);
    if (m.user !== undefined && m.user !== user) this.#disown();
    // A new page begins at the end, what is older it gets as history.
    const known = m.conversation === w.conversation && m.user === user && m.cursor !== undefined;
    m.cursor = known ? Math.min(m.cursor ?? 0, w.lastSeq) : w.lastSeq;
    m.user = user;
    m.conversation = w.conversation;
    m.session = w.session;
    const resumed = known && this.#shown === w.conversation;
    if (!resumed) {
      this.#shown = w.conversation;
      this.#past.begin(w.conversation, m.cursor + 1);
      this.#readTo = 0;
      this.#historyDue = this.#settings.history > 0;
    }
    this.#context = undefined;
    this.#openedAt = Date.now();
    this.#renewal.expiresIn(w.expiresIn);
    this.#save();
    this.#become({ name: "open" });
    this.emit("session", { conversation: w.conversation, user: w.user, lastSeq: w.lastSeq, resumed });
    if (this.#readTo > 0) this.#say({ type: "read", seq: this.#readTo });
    this.#flush();
    if (this.#historyDue) void this.#loadHistory();
  }

  #deliver(m: Message): void {
    const cursor = this.#memory.cursor ?? 0;
    if (m.seq <= cursor) return;
    if (m.seq > cursor + 1) { // never, says the protocol: then what is missing comes with the next socket
      return this.#wait(new CarnetError("disconnected", `message ${cursor + 1} is missing`));
    }
    this.#memory.cursor = m.seq;
    if (m.from !== "user" || !this.#outbox.has(m.id)) this.#save();
    else this.#stored(m.id, { seq: m.seq, at: m.at }); // its ack was lost with an earlier socket
    this.emit("message", m);
  }

  #stored(id: string, receipt: Receipt): void {
    if (!this.#outbox.settle(id, receipt)) return;
    this.#save();
    this.emit("ack", { id, ...receipt });
    this.#flush();
  }

  #nacked(id: string, why: Refusal): void {
    if (!this.#outbox.has(id)) return;
    if (why.code === "token_expired") {
      this.#outbox.hold(id);
      this.#renewal.soon();
    } else if (why.retryAfter !== undefined) {
      this.#outbox.hold(id);
      clearTimeout(this.#pause);
      this.#pause = setTimeout(() => this.#release(), backoff(0, why.retryAfter));
    } else {
      this.#refuse(id, refused(why));
      this.#flush();
    }
  }

  #refuse(id: string, error: CarnetError): void {
    this.#outbox.settle(id, error);
    this.#save();
    this.emit("nack", { id, error });
  }

  /** Another user has signed in: what the last one wrote must not go out in the new one's name. */
  #disown(): void {
    for (const { id } of this.pending) {
      this.#refuse(id, new CarnetError("user_changed", "another user has signed in"));
    }
  }

  // --- what goes out ---

  #say(f: ClientFrame): void {
    this.#link?.send(f);
  }

  #flush(): void {
    if (this.#state.name === "open") this.#outbox.flush(({ id, body }) => this.#say({ type: "send", id, body }));
  }

  #release(): void {
    this.#outbox.release();
    this.#flush();
  }

  #save(): void {
    this.#memory.pending = this.#outbox.pending;
    remember(this.#settings.store, this.#settings.key, this.#memory);
  }

  async #renew(): Promise<void> {
    const link = this.#link;
    try {
      const token = await this.#assert();
      if (link === undefined || link !== this.#link) return;
      this.#token = token;
      this.#say({ type: "refresh", token });
      this.#release();
    } catch {
      if (link !== undefined && link === this.#link) this.#renewal.soon();
    }
  }

  async #loadHistory(): Promise<void> {
    const conversation = this.#shown;
    try {
      const page = await this.history({ limit: this.#settings.history });
      if (conversation !== this.#shown) return;
      this.#historyDue = false;
      this.emit("history", page);
    } catch {
      // still due with the next socket; until then the page may ask by itself
    }
  }
}

function refused(r: Refusal): CarnetError;
function refused(r: Refusal | undefined): CarnetError | undefined;
function refused(r: Refusal | undefined): CarnetError | undefined {
  return r && new CarnetError(r.code, r.title, { retryAfter: r.retryAfter });
}

function aborted(signal: AbortSignal): CarnetError {
  return new CarnetError("aborted", "the page aborted the connection", { cause: signal.reason });
}
