import { tokenFrom } from "./assertion.ts";
import { backoff } from "./backoff.ts";
import { CarnetError, refused } from "./error.ts";
import type { State } from "./events.ts";
import { type Dial, type End, type Hello, isFinal, Link, UNTRUSTED } from "./link.ts";
import { follow } from "./presence.ts";
import { Renewal } from "./renewal.ts";
import type { ClientFrame, ServerFrame } from "./wire.ts";

export interface LineSettings {
  readonly dial: Dial;
  readonly assertion: () => Promise<string>;
  readonly signal: AbortSignal | undefined;
}

export interface LineHandlers {
  /** What the next hello says beside its token. */
  hello(): Omit<Hello, "type" | "token">;
  frame(f: ServerFrame): void;
  /** Called when the state has another name. */
  state(s: State): void;
  /** The link is gone, and with it what was on the way. */
  cut(): void;
  /** Drops what hello says of the past: perhaps that was refused. False if it says nothing. */
  forget(): boolean;
}

/** The close code that asks for other credentials in the context. */
const BARRED = 4423;

/** A link that was open for so long was no failure. */
const STEADY = 10_000;

/** The way to the server: one link after another, each with a token of its own, until it is closed. */
export class Line {
  readonly #settings: LineSettings;
  readonly #handlers: LineHandlers;
  readonly #renewal = new Renewal(() => void this.#renew(), () => this.#lock());
  readonly #listening = new AbortController();
  #state: State = { name: "connecting" };
  #link: Link | undefined;
  #token = "";
  #stale = false; // the server takes nothing on this token
  #attempt = 0;
  #openedAt = 0;
  #hasty = false; // the server has not asked to wait
  #timer: ReturnType<typeof setTimeout> | undefined; // of the next attempt

  constructor(settings: LineSettings, handlers: LineHandlers) {
    this.#settings = settings;
    this.#handlers = handlers;
    const { signal } = this.#listening;
    follow({ back: () => this.#back(), gone: () => this.#link?.probe() }, signal);
    settings.signal?.addEventListener("abort", (e) => this.close(aborted(e.target as AbortSignal)), { signal });
    queueMicrotask(() => {
      if (settings.signal?.aborted) this.close(aborted(settings.signal));
      else if (this.#state.name !== "closed") void this.#dial();
    });
  }

  get state(): State {
    return this.#state;
  }

  /** The token that was given last. */
  get token(): string {
    return this.#token;
  }

  /** Sends f if the server has said welcome; else nothing happens. */
  say(f: ClientFrame): void {
    this.#link?.send(f);
  }

  /** The welcome is taken in, its token has so many seconds to live. */
  open(seconds: number): void {
    this.#openedAt = Date.now();
    this.#renewal.expiresIn(seconds);
    this.#become({ name: "open" });
  }

  /** The token has a new life. */
  renewed(seconds: number): void {
    this.#stale = false;
    this.#renewal.expiresIn(seconds);
    if (this.#state.name === "locked") this.#become({ name: "open" });
  }

  /** The server says that the token has expired. */
  expired(): void {
    this.#stale = true;
    this.#renewal.soon();
  }

  /** Gets a token in place of one that was refused. */
  async replace(): Promise<string> {
    return (this.#token = await this.#assert());
  }

  /** Tries at once instead of waiting, and makes sure of a link that seems open. */
  retry(): void {
    if (this.#state.name === "waiting") void this.#dial();
    if (this.#state.name === "locked") this.#link ? this.#renewal.soon() : void this.#dial();
    this.#link?.probe();
    this.#renewal.check();
  }

  /** Gives the link up, and comes back later. deaf: because the server does not answer. */
  renounce(why: string, deaf = false): void {
    this.#link?.close(deaf);
    this.#wait(new CarnetError("disconnected", why));
  }

  /** Ends for good. */
  close(reason: CarnetError): void {
    if (this.#state.name === "closed") return;
    this.#cut();
    clearTimeout(this.#timer);
    this.#listening.abort();
    this.#become({ name: "closed", reason });
  }

  async #dial(): Promise<void> {
    clearTimeout(this.#timer);
    this.#become({ name: "connecting" });
    try {
      await this.replace();
    } catch (error) {
      return this.#wait(error as CarnetError);
    }
    if (this.#state.name !== "connecting") return;
    const hello: Hello = { type: "hello", token: this.#token, ...this.#handlers.hello() };
    try {
      this.#link = new Link(this.#settings.dial, hello, {
        frame: (f) => this.#handlers.frame(f),
        end: (e) => this.#ended(e),
      });
    } catch (cause) {
      this.close(new CarnetError("bad_url", "the browser refuses the address", { cause }));
    }
  }

  /** Gets a token. A CarnetError of the page's closes the line, any other error does not. */
  async #assert(): Promise<string> {
    try {
      return await tokenFrom(this.#settings.assertion);
    } catch (error) {
      if ((error as CarnetError).code !== "assertion_failed") this.close(error as CarnetError);
      throw error;
    }
  }

  #ended({ code, refusal, welcomed }: End): void {
    this.#cut();
    if (welcomed && Date.now() - this.#openedAt > STEADY) this.#attempt = 0;
    const final = isFinal(code);
    const error = refusal ? refused(refusal) : new CarnetError(final ? "refused" : "disconnected", `the connection was closed (${code})`);
    const expired = welcomed && code === 4401; // a new token will do
    if (code === BARRED) this.#become({ name: "locked", reason: error });
    else if (!final || expired || !welcomed && code !== UNTRUSTED && this.#handlers.forget()) this.#wait(error);
    else this.close(error);
  }

  #wait(reason: CarnetError): void {
    if (this.#state.name === "closed") return;
    this.#cut();
    const delay = backoff(this.#attempt++, reason.retryAfter);
    this.#hasty = reason.retryAfter === undefined;
    this.#timer = setTimeout(() => void this.#dial(), delay);
    this.#become({ name: "waiting", retryAt: Date.now() + delay, reason });
  }

  /** Lets go of the link and all that hangs on it. */
  #cut(): void {
    this.#link?.close();
    this.#link = undefined;
    this.#stale = false;
    this.#renewal.stop();
    this.#handlers.cut();
  }

  async #renew(): Promise<void> {
    const link = this.#link;
    try {
      const token = await this.#assert();
      if (link === undefined || link !== this.#link) return;
      this.#token = token;
      this.say({ type: "refresh", token });
    } catch {
      if (link === undefined || link !== this.#link) return;
      if (this.#stale) this.#lock();
      this.#renewal.soon();
    }
  }

  /** The token has expired: the server tells on, and listens no more. */
  #lock(): void {
    if (this.#state.name !== "open") return;
    this.#become({ name: "locked", reason: new CarnetError("token_expired", "the token has expired, and there is no other") });
  }

  /** The page is back: tries at once, unless the server has asked to wait. */
  #back(): void {
    if (this.#state.name !== "waiting" || this.#hasty) this.retry();
  }

  #become(state: State): void {
    const changed = state.name !== this.#state.name;
    this.#state = state;
    if (changed) this.#handlers.state(state);
  }
}

function aborted(signal: AbortSignal): CarnetError {
  return new CarnetError("aborted", "the page aborted the connection", { cause: signal.reason });
}
