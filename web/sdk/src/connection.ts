import { backoff } from "./backoff.ts";
import { Emitter } from "./emitter.ts";
import { CarnetError, refused } from "./error.ts";
import type { Events, State } from "./events.ts";
import { Line, type LineSettings } from "./line.ts";
import type { Hello } from "./link.ts";
import { forget, type Memory, recall, remember, type Store } from "./memory.ts";
import { Outbox, type Pending, type Receipt, type Sent } from "./outbox.ts";
import { Partials } from "./partials.ts";
import { Past, type Range } from "./past.ts";
import { MAX_CONTEXT, type Message, type Page, type Refusal, type ServerFrame, unfit, type Welcome } from "./wire.ts";

/** What connect has made of its options. */
export interface Settings extends LineSettings {
  readonly messagesURL: (conversation: string) => string;
  readonly bot: string;
  readonly conversation: string | undefined;
  readonly context: Readonly<Record<string, unknown>> | undefined;
  /** How many past messages to load; 0: none. */
  readonly history: number;
  readonly store: Store | undefined;
  readonly key: string;
}

/** So long may messages be without an answer, in milliseconds: no check of a session takes as long. */
const ACK_WITHIN = 45_000;

/** The server hears of typing no more often. */
const TYPING_APART = 3_000;

/** A conversation of one page with one bot, over as many sockets as it takes. */
export class Connection extends Emitter<Events> {
  readonly #settings: Settings;
  readonly #outbox = new Outbox();
  readonly #partials = new Partials();
  readonly #memory: Memory;
  readonly #line: Line;
  readonly #past: Past;
  #pause: ReturnType<typeof setTimeout> | undefined; // that the server asked for
  #unanswered: ReturnType<typeof setTimeout> | undefined; // while messages are on their way
  #shown: string | undefined; // the conversation that the page has seen
  #historyDue: boolean;
  #readTo = 0;
  #typedAt = 0;
  #context: Record<string, unknown> | undefined; // not told yet
  #told: Record<string, unknown> | undefined; // by the last hello

  /** Use connect. */
  constructor(settings: Settings) {
    super();
    this.#settings = settings;
    this.#historyDue = settings.history > 0;
    this.#context = settings.context && { ...settings.context };
    this.#memory = recall(settings.store, settings.key);
    for (const { id, body } of this.#memory.pending) this.#outbox.add(body, id);
    this.#line = new Line(settings, {
      hello: () => this.#hello(),
      frame: (f) => this.#hear(f),
      state: (s) => this.#changed(s),
      cut: () => this.#cut(),
      forget: () => this.#forget(),
    });
    this.#past = new Past(settings.messagesURL, this.#line);
  }

  get state(): State {
    return this.#line.state;
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
    const { state } = this;
    if (state.name === "closed") {
      const done = Promise.reject(state.reason);
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
    this.#line.say({ type: "typing" });
  }

  /** Tells how far the user has read. */
  read(seq: number): void {
    if (seq <= this.#readTo) return;
    this.#readTo = seq;
    this.#line.say({ type: "read", seq });
  }

  /** Sets members of the conversation's context, null to take one away. */
  setContext(set: Readonly<Record<string, unknown>>): void {
    const code = unfit(set, MAX_CONTEXT);
    if (code) throw new CarnetError(code, `the context must be an object of at most ${MAX_CONTEXT} bytes of JSON`);
    this.#context = { ...this.#context, ...set };
    if (this.state.name === "open") this.#tellContext();
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
    this.#line.retry();
  }

  /** Closes for good. What is not stored yet is kept for the next connection of this tab. */
  close(): void {
    this.#line.close(new CarnetError("closed", "the page closed the connection"));
  }

  /** Closes, and drops all that this tab remembers of the conversation. Call it on sign-out. */
  forget(): void {
    this.close();
    forget(this.#settings.store, this.#settings.key);
  }

  // --- the line's life ---

  #hello(): Omit<Hello, "type" | "token"> {
    const { bot, conversation } = this.#settings;
    const m = this.#memory;
    this.#told = this.#context;
    return {
      bot, conversation: conversation ?? m.conversation, after: m.cursor, session: m.session, context: this.#context,
    };
  }

  #changed(state: State): void {
    this.emit("state", state);
    if (state.name !== "closed") return;
    for (const { id } of this.pending) this.#outbox.settle(id, state.reason);
  }

  #cut(): void {
    this.#outbox.reset();
    this.#partials.cut();
    clearTimeout(this.#pause);
    this.#pause = undefined;
    this.#answered();
  }

  /** Another user's, or of a store that is lost: what this page remembers may be why it was refused. */
  #forget(): boolean {
    const m = this.#memory;
    const known = (m.session ?? m.cursor) !== undefined;
    m.conversation = m.session = m.cursor = undefined;
    return known;
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
        return this.#renewed(f.session, f.expiresIn);
      case "delta":
        return this.#grow(f.id, f.text);
      case "typing":
        return this.emit("typing", { from: f.from });
      case "read":
        if (f.seq <= this.#readTo) return;
        this.#readTo = f.seq;
        return this.emit("read", { seq: f.seq });
      case "context":
        return this.emit("context", { set: f.set });
      case "secure": {
        const { type: _, ...outcome } = f;
        return this.emit("secure", outcome);
      }
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
    if (this.#context === this.#told) this.#context = undefined;
    this.#save();
    this.#line.open(w.expiresIn);
    this.emit("session", { conversation: w.conversation, user: w.user, lastSeq: w.lastSeq, resumed });
    this.#catchUp();
    if (this.#historyDue) void this.#loadHistory();
  }

  #renewed(session: string, expiresIn: number | undefined): void {
    this.#memory.session = session;
    this.#save();
    if (expiresIn === undefined) return;
    this.#line.renewed(expiresIn);
    if (this.#pause === undefined) this.#outbox.release();
    this.#catchUp();
  }

  #deliver(m: Message): void {
    const cursor = this.#memory.cursor ?? 0;
    if (m.seq <= cursor) return;
    if (m.seq > cursor + 1) { // never, says the protocol: then what is missing comes with the next socket
      return this.#line.renounce(`message ${cursor + 1} is missing`);
    }
    this.#memory.cursor = m.seq;
    this.#partials.end(m.id);
    if (m.from !== "user" || !this.#outbox.has(m.id)) this.#save();
    else this.#stored(m.id, { seq: m.seq, at: m.at }); // its ack was lost with an earlier socket
    this.emit("message", m);
  }

  #grow(id: string, text: string): void {
    const whole = this.#partials.grow(id, text);
    if (whole !== undefined) this.emit("delta", { id, text, whole });
  }

  #stored(id: string, receipt: Receipt): void {
    if (!this.#outbox.settle(id, receipt)) return;
    this.#answered();
    this.#save();
    this.emit("ack", { id, ...receipt });
    this.#flush();
  }

  #nacked(id: string, why: Refusal): void {
    if (!this.#outbox.has(id)) return;
    this.#answered();
    if (why.code === "token_expired") {
      this.#outbox.hold(id);
      this.#line.expired();
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

  /** Says what the server has not heard while it was away, or would not listen. */
  #catchUp(): void {
    this.#tellContext();
    if (this.#readTo > 0) this.#line.say({ type: "read", seq: this.#readTo });
    this.#flush();
  }

  #tellContext(): void {
    if (this.#context) this.#line.say({ type: "context", set: this.#context });
    this.#context = undefined;
  }

  #flush(): void {
    if (this.state.name !== "open") return;
    this.#outbox.flush(({ id, body }) => this.#line.say({ type: "send", id, body }));
    if (this.#outbox.awaits) this.#unanswered ??= setTimeout(() => this.#line.renounce("the server does not answer", true), ACK_WITHIN);
  }

  #answered(): void {
    clearTimeout(this.#unanswered);
    this.#unanswered = undefined;
  }

  #release(): void {
    this.#pause = undefined;
    this.#outbox.release();
    this.#flush();
  }

  #save(): void {
    this.#memory.pending = this.#outbox.pending;
    remember(this.#settings.store, this.#settings.key, this.#memory);
  }

  async #loadHistory(): Promise<void> {
    const conversation = this.#shown;
    try {
      const page = await this.history({ limit: this.#settings.history });
      if (conversation !== this.#shown || this.state.name === "closed") return;
      this.#historyDue = false;
      this.emit("history", page);
    } catch {
      // still due with the next socket; until then the page may ask by itself
    }
  }
}
