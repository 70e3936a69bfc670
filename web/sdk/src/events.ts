import type { CarnetError } from "./error.ts";
import type { Receipt } from "./outbox.ts";
import type { From, Message, Page, ServerFrame, User } from "./wire.ts";

/**
 * Where a connection stands. It begins with connecting, goes to and fro between open and
 * waiting (for the next attempt, at retryAt in Date.now's milliseconds), and ends closed.
 * While it is locked, nothing is sent: its token has expired, and all can be read; or a check
 * of the session forbids to go on (the reason has its code), and there is no connection.
 */
export type State =
  | { readonly name: "connecting" }
  | { readonly name: "open" }
  | { readonly name: "locked"; readonly reason: CarnetError }
  | { readonly name: "waiting"; readonly retryAt: number; readonly reason: CarnetError }
  | { readonly name: "closed"; readonly reason: CarnetError };

/** A conversation that the server has opened. */
export interface Session {
  readonly conversation: string;
  readonly user: User;
  readonly lastSeq: number;
  /** It goes on where this page left it; if not, what the page shows is of another one. */
  readonly resumed: boolean;
}

/** The outcome of the check that a bot's owner wants of the session. */
export type Secure = Omit<ServerFrame & { type: "secure" }, "type">;

/** The events and what each carries as its detail. */
export interface Events {
  state: State;
  session: Session;
  /** A stored message, each once and in the conversation's order, one's own included. */
  message: Message;
  /** The page of past messages that loadHistory asked for. */
  history: Page;
  ack: Receipt & { readonly id: string };
  /** A message that will not be stored. */
  nack: { readonly id: string; readonly error: CarnetError };
  /** A message that was not let through, and is kept until resend. */
  blocked: { readonly id: string; readonly error: CarnetError };
  /** A blocked message is on its way again. */
  resent: { readonly id: string };
  /**
   * More of an answer that is being written, and as much as there is of it. The message
   * of that id takes its place.
   */
  delta: { readonly id: string; readonly text: string; readonly whole: string };
  typing: { readonly from: From };
  /** How far the user has read on another page or device. */
  read: { readonly seq: number };
  /** What a check of the session has found: whether the user may write to the bot. */
  secure: Secure;
  /**
   * The user must sign in again before the bot hears more: a check of the session has failed, for
   * the reason that secure gives, or the token has expired (token_expired). Told each time.
   */
  expired: { readonly reason: string };
}
