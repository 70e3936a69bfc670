import { backoff } from "./backoff.ts";
import { claimsOf } from "./claims.ts";
import { Emitter } from "./emitter.ts";
import { CarnetError, refused } from "./error.ts";
import type { Events, Secure, State } from "./events.ts";
import { Line, type LineSettings } from "./line.ts";
import type { Hello } from "./link.ts";
import { forget, type Memory, recall, remember, type Store } from "./memory.ts";
import { newID, Outbox, type Pending, type Receipt, type Sent } from "./outbox.ts";
import { Partials } from "./partials.ts";
import { Past, type Range } from "./past.ts";
import { MAX_SEALED, type Sealer } from "./sealer.ts";
import { isBlock } from "./secure.ts";
import { MAX_CONTEXT, type Message, type Page, type Refusal, type ServerFrame, unfit, type Welcome } from "./wire.ts";

/** What connect has made of its options. */
export interface Settings extends LineSettings {
  readonly messagesURL: (conversation: string) => string;
  readonly bot: string;
  readonly conversation: string | undefined;
  readonly context: Readonly<Record<string, unknown>> | undefined;
  readonly merge: boolean | undefined;
  /** How many past messages to load; 0: none. */
  readonly history: number;
  readonly store: Store | undefined;
  readonly key: string;
  readonly sealer: Sealer | undefined;
}

/** So long may what was said be without an answer, in milliseconds: no check of a session takes as long. */
const ACK_WITHIN = 45_000;

/** The server hears of typing no more often. */
const TYPING_APART = 3_000;

/** A change of the context that the server has not answered. */
interface Change {
  readonly set: Readonly<Record<string, unknown>>;
  readonly resolve: () => void;
  readonly reject: (e: CarnetError) => void;
}

/** A conversation of one page with one bot, over as many sockets as it takes. */
export class Connection extends Emitter<Events> {
  readonly #settings: Settings;
  readonly #outbox: Outbox;
  readonly #partials = new Partials();
  readonly #memory: Memory;
  readonly #line: Line;
  readonly #past: Past;
  #pause: ReturnType<typeof setTimeout> | undefined; // that the server asked for
  #unanswered: ReturnType<typeof setTimeout> | undefined; // while messages or changes are on their way
  #shown: string | undefined; // the conversation that the page has seen
  #historyDue: boolean;
  #asked: number | undefined; // the message behind which others were missing, and were asked for
  #readTo = 0;
  #typedAt = 0;
  #context: Settings["context"]; // not told yet
  readonly #changes = new Map<string, Change>();
  #merging = false; // the last hello shows the token of the visitor that the user was
  #secure: Secure | undefined;

  /** Use connect. */
  constructor(settings: Settings) {
    super();
    this.#settings = settings;
    const { sealer } = settings;
    this.#outbox = new Outbox(sealer && MAX_SEALED);
    this.#historyDue = settings.history > 0;
    this.#context = settings.context;
    this.#memory = recall(settings.store, settings.key);
    for (const { id, body, blocked } of this.#memory.pending) this.#outbox.add(body, id, blocked);
    this.#line = new Line(sealer ? { ...settings, dial: sealer.dial(settings.dial) } : settings, {
      hello: () => this.#hello(),
      frame: (f) => this.#hear(f),
      state: (s) => this.#changed(s),
      cut: () => this.#cut(),
      forget: () => this.#forget(),
    });
    this.#past = new Past(settings.messagesURL, this.#line, sealer && ((c, m) => sealer.open(c, m)));
  }

  get state(): State {
    return this.#line.state;
  }

  /**
   * What the last check of the session in this conversation has found; undefined before there
   * was one, and for bots whose owner wants none.
   */
  get secure(): Secure | undefined {
    return this.#secure;
  }

  /** The messages that are not stored yet, in order; after a reload also those of the page before. */
  get pending(): readonly Pending[] {
    return this.#outbox.pending;
  }

  /**
   * Sends a message, or keeps it until it can be sent, even over a reload. A string is
   * short for {text}. done resolves when it is stored; it rejects when it is refused, and
   * when the connection closes first: then the message is kept for the next connection.
   * While the message is blocked it does neither.
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

  /**
   * Sends blocked messages again, each under its id: the one of that id, or all in their
   * order. Call it when the user has signed in again, since nothing is checked before that.
   */
  resend(id?: string): void {
    if (this.state.name === "closed") return;
    if (this.state.name === "locked") this.retry();
    const freed = this.#outbox.free(id);
    this.#save();
    for (const id of freed) this.emit("resent", { id });
    this.#flush();
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

  /**
   * Sets members of the conversation's context, null to take one away; while the connection
   * is not open, as soon as it is. It resolves when that is stored. It rejects, and nothing
   * has changed, when it is refused, as protected if a member is the server's, and when the
   * connection closes first.
   */
  setContext(set: Readonly<Record<string, unknown>>): Promise<void> {
    const { state } = this;
    const id = newID();
    const code = unfit(set, MAX_CONTEXT);
    const done = new Promise<void>((resolve, reject) => this.#changes.set(id, { set: { ...set }, resolve, reject }));
    if (code) this.#answer(id, new CarnetError(code, `the context must be an object of at most ${MAX_CONTEXT} bytes of JSON`));
    else if (state.name === "closed") this.#answer(id, state.reason);
    else if (state.name === "open") this.#tell(id);
    else if (state.name === "locked") this.retry();
    done.catch(() => {}); // a page need not look
    return done;
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

  /**
   * Closes, and drops all that this tab remembers of the conversation, and this browser's key
   * to the encrypted messages of the user, if there is one. Call it on sign-out.
   */
  forget(): void {
    this.close();
    if (this.#memory.user) void this.#settings.sealer?.forget(this.#memory.user);
    forget(this.#settings.store, this.#settings.key);
  }

  // --- the line's life ---

  #hello(): Omit<Hello, "type" | "token"> {
    const { bot, conversation } = this.#settings;
    const m = this.#memory;
    const merge = isVisitor(this.#line.token) ? undefined : m.token;
    this.#merging = merge !== undefined;
    return {
      bot, conversation: conversation ?? m.conversation, after: m.cursor, session: m.session, context: this.#newContext(), merge,
    };
  }

  /** What the server has not heard of the context: a conversation may open to that alone. */
  #newContext(): Settings["context"] {
    const context: Settings["context"] = Object.assign({}, this.#context, ...[...this.#changes.values()].map((c) => c.set));
    return this.#changes.size === 0 || unfit(context, MAX_CONTEXT) ? this.#context : context;
  }

  #changed(state: State): void {
    this.emit("state", state);
    if (state.name === "locked" && state.reason.code !== this.#secure?.reason) this.emit("expired", { reason: state.reason.code });
    if (state.name !== "closed") return;
    for (const { id } of this.pending) this.#outbox.settle(id, state.reason);
    for (const id of this.#changes.keys()) this.#answer(id, state.reason);
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
    const known = (m.session ?? m.cursor ?? m.token) !== undefined;
    m.conversation = m.session = m.cursor = m.token = undefined;
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
        return this.#marked(f.seq);
      case "context":
        return this.#settle(f.id);
      case "secure": {
        const { type: _, ...outcome } = f;
        return this.#checked(outcome);
      }
    }
  }

  #welcome(w: Welcome): void {
    const m = this.#memory;
    const user = JSON.stringify(w.user);
    if (this.#merging) m.user = user;
    if (m.user !== undefined && m.user !== user) this.#disown();
    // A new page begins at the end, what is older it gets as history.
    const known = m.conversation === w.conversation && m.user === user && m.cursor !== undefined;
    m.cursor = known ? Math.min(m.cursor ?? 0, w.lastSeq) : w.lastSeq;
    m.user = user;
    m.conversation = w.conversation;
    m.session = w.session;
    this.#keepToken();
    const resumed = known && this.#shown === w.conversation;
    if (!resumed) {
      this.#shown = w.conversation;
      this.#past.begin(w.conversation, m.cursor + 1);
      this.#readTo = 0;
      this.#secure = undefined;
      this.#historyDue = this.#settings.history > 0;
    }
    this.#context = undefined;
    this.#save();
    this.#line.open(w.expiresIn);
    this.emit("session", { conversation: w.conversation, user: w.user, lastSeq: w.lastSeq, resumed });
    this.#marked(w.readSeq);
    this.#catchUp(w.readSeq);
    if (this.#historyDue) void this.#loadHistory();
  }

  #renewed(session: string, expiresIn: number | undefined): void {
    this.#memory.session = session;
    if (expiresIn !== undefined) this.#keepToken();
    this.#save();
    if (expiresIn === undefined) return;
    this.#line.renewed(expiresIn);
    if (this.#pause === undefined) this.#outbox.release();
    this.#catchUp();
  }

  #deliver(m: Message): void {
    const cursor = this.#memory.cursor ?? 0;
    if (m.seq <= cursor) return;
    if (m.seq > cursor + 1 && this.#asked !== cursor) { // what is missing comes with the next socket, or is kept no more
      this.#asked = cursor;
      return this.#line.renounce(`message ${cursor + 1} is missing`);
    }
    this.#memory.cursor = m.seq;
    this.#partials.end(m.id);
    if (m.from !== "user" || !this.#outbox.has(m.id)) this.#save();
    else this.#stored(m.id, { seq: m.seq, at: m.at }); // its ack was lost with an earlier socket
    this.emit("message", m);
  }

  #marked(seq: number): void {
    if (seq <= this.#readTo) return;
    this.#readTo = seq;
    this.emit("read", { seq });
  }

  #checked(s: Secure): void {
    this.#secure = s;
    this.emit("secure", s);
    if (s.state === "locked") this.emit("expired", { reason: s.reason });
    if (s.state === "secured" && this.#historyDue) void this.#loadHistory(); // it may have been refused
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

  #keepToken(): void {
    const { token } = this.#line;
    this.#memory.token = this.#settings.merge && isVisitor(token) ? token : undefined;
  }

  #nacked(id: string, why: Refusal): void {
    if (this.#changes.has(id)) {
      if (why.code === "token_expired") this.#line.expired(); // it is told again then
      else this.#settle(id, refused(why));
    }
    if (!this.#outbox.has(id)) return;
    this.#answered();
    if (why.code === "token_expired") {
      this.#outbox.hold(id);
      this.#line.expired();
    } else if (why.code === "conversation_ended") {
      this.#outbox.hold(id);
      this.#line.renounce(why.title); // the next hello begins another, where it is said again
    } else if (isBlock(why.code, this.#secure)) {
      this.#outbox.block(id, why.code);
      this.#save();
      this.emit("blocked", { id, error: refused(why) });
      this.#flush();
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
    const error = new CarnetError("user_changed", "another user has signed in");
    for (const { id } of this.pending) this.#refuse(id, error);
    for (const id of this.#changes.keys()) this.#answer(id, error);
  }

  // --- what goes out ---

  /** Says what the server has not heard while it was away, or would not listen. */
  #catchUp(read = 0): void {
    for (const id of this.#changes.keys()) this.#tell(id);
    if (this.#readTo > read) this.#line.say({ type: "read", seq: this.#readTo });
    this.#flush();
  }

  #tell(id: string): void {
    const change = this.#changes.get(id);
    if (!change) return;
    this.#line.say({ type: "context", id, set: change.set });
    this.#await();
  }

  #answer(id: string, error?: CarnetError): void {
    const change = this.#changes.get(id);
    this.#changes.delete(id);
    if (error) change?.reject(error);
    else change?.resolve();
  }

  /** The server has answered a change. */
  #settle(id: string, error?: CarnetError): void {
    this.#answer(id, error);
    this.#answered();
    this.#await();
  }

  #flush(): void {
    if (this.state.name !== "open") return;
    this.#outbox.flush(({ id, body }) => this.#line.say({ type: "send", id, body }));
    this.#await();
  }

  /** Gives the server its time to answer what is on its way, from the last answer on. */
  #await(): void {
    if (this.state.name !== "open" || !this.#outbox.awaits && this.#changes.size === 0) return;
    this.#unanswered ??= setTimeout(() => this.#line.renounce("the server does not answer", true), ACK_WITHIN);
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
    this.#historyDue = false;
    try {
      const page = await this.history({ limit: this.#settings.history });
      if (conversation === this.#shown && this.state.name !== "closed") this.emit("history", page);
    } catch { // due again with the next socket; until then the page may ask by itself
      this.#historyDue ||= conversation === this.#shown;
    }
  }
}

/** Whether a token is of somebody whom nobody knows. */
function isVisitor(token: string): boolean {
  return String(claimsOf(token)["isAnonymous"]) === "true";
}
