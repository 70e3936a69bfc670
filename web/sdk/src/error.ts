import type { Refusal } from "./wire.ts";

/** The codes of the SDK's own errors. What the server refuses carries the server's code. */
export type Code =
  | "bad_url" // connect: url is not an http or https URL
  | "insecure_url" // connect: plain http to another machine
  | "insecure_page" // connect: encryption in a page of plain http
  | "key_refused" // the server shows another key of the bot than the page trusts
  | "bad_body" // send: the body is not JSON
  | "too_large" // send: the body has more than 60 KiB of JSON, or 20 KiB if it is to be encrypted
  | "queue_full" // send: too many messages are waiting already
  | "user_changed" // send: somebody else has signed in since
  | "not_open" // history: the conversation is not known yet
  | "bad_response" // history: the answer is not one of Carnet's
  | "assertion_failed" // the function that gets tokens failed; it is tried again
  | "disconnected" // the socket closed; it is tried again
  | "token_expired" // nothing can be sent until there is a new token
  | "refused" // the server closed for good and did not say why
  | "closed" // the page closed the connection
  | "aborted"; // the page's AbortSignal fired

/**
 * The one class of errors that the SDK throws. Tell them apart by code.
 *
 * Thrown by an assertion function it closes the connection for good, under its code;
 * any other error there counts as a passing fault and is tried again.
 */
export class CarnetError extends Error {
  override readonly name = "CarnetError";
  readonly code: Code | (string & {});
  /** Seconds that the server asks to wait for. */
  readonly retryAfter: number | undefined;

  constructor(code: Code | (string & {}), message: string, options?: ErrorOptions & { retryAfter?: number | undefined }) {
    super(message, options);
    this.code = code;
    this.retryAfter = options?.retryAfter;
  }

  /** Tells a CarnetError of any copy of the SDK in the page. */
  static is(value: unknown): value is CarnetError {
    return value instanceof Error && value.name === "CarnetError" && "code" in value;
  }
}

/** What the server has said, as an error. */
export function refused(r: Refusal): CarnetError {
  return new CarnetError(r.code, r.title, { retryAfter: r.retryAfter });
}
