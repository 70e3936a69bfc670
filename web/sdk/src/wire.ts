/**
 * The protocol carnet.v1. This is the one place where the wire's snake_case meets the
 * camelCase of TypeScript, and where text from outside becomes a value that the rest
 * may trust.
 */

import type { Unread } from "./jwe.ts";

export const PROTOCOL = "carnet.v1";

/** The most bytes of JSON that a message's body may have. */
export const MAX_BODY = 60 << 10;

/** The most bytes of JSON that a conversation's context may have. */
export const MAX_CONTEXT = 10 << 10;

/** The most levels of objects and lists in either. */
const MAX_DEPTH = 31;

/** How many sends may be without an answer on one socket. */
export const WINDOW = 32;

/** Who wrote a message. */
export type From = "user" | "bot" | "system";

/** A message that the server keeps. Within a conversation seq counts from 1, without gaps. */
export interface Message {
  readonly seq: number;
  readonly id: string;
  readonly from: From;
  readonly body: unknown;
  readonly at: Date;
  /**
   * With Options.encryption: opened, so that the body is as its writer wrote it; elsewhere, since
   * no key of this browser opens it; or broken, since it is damaged, or was made for another
   * place. Left out, it was not sealed: anybody between may have read or written it.
   */
  readonly sealed?: "opened" | Unread;
}

/** A refusal as the server words it; retryAfter is in seconds. */
export interface Refusal {
  readonly code: string;
  readonly title: string;
  readonly retryAfter?: number;
}

/** Who is signed in: the pair that names a user everywhere. */
export interface User {
  readonly iss: string;
  readonly sub: string;
}

export interface Welcome {
  readonly type: "welcome";
  readonly conversation: string;
  readonly user: User;
  readonly lastSeq: number;
  /** How far the user has read, on any page or device. */
  readonly readSeq: number;
  readonly session: string;
  /** Seconds until the token expires. */
  readonly expiresIn: number;
  /** Seconds of silence after which to ask whether the other end is still there. */
  readonly pingInterval: number;
  /** The key that the bot publishes, as the server says: a JWK, or a token over one. */
  readonly botKey?: unknown;
}

export type ServerFrame =
  | Welcome
  | { readonly type: "message"; readonly message: Message }
  | { readonly type: "ack"; readonly id: string; readonly seq: number; readonly at: Date }
  | { readonly type: "nack"; readonly id: string; readonly error: Refusal }
  | { readonly type: "delta"; readonly id: string; readonly text: string }
  | { readonly type: "typing"; readonly from: From }
  | { readonly type: "read"; readonly seq: number }
  | { readonly type: "context"; readonly id: string }
  | { readonly type: "session"; readonly session: string; readonly expiresIn?: number }
  | {
    readonly type: "secure";
    readonly state: "locked" | "secured" | "unavailable";
    readonly reason: string;
    readonly message?: string;
    readonly retryAfter?: number;
  }
  | { readonly type: "error"; readonly error: Refusal }
  /** The end of a stream; a WebSocket has a close frame. */
  | { readonly type: "close"; readonly code: number }
  | { readonly type: "ping" }
  | { readonly type: "pong" };

export type ClientFrame =
  | {
    readonly type: "hello";
    readonly token: string;
    readonly bot: string;
    readonly conversation?: string | undefined;
    readonly after?: number | undefined;
    readonly session?: string | undefined;
    readonly context?: Readonly<Record<string, unknown>> | undefined;
    readonly merge?: string | undefined;
  }
  | { readonly type: "send"; readonly id: string; readonly body: unknown }
  | { readonly type: "typing" }
  | { readonly type: "read"; readonly seq: number }
  | { readonly type: "context"; readonly id: string; readonly set: Readonly<Record<string, unknown>> }
  | { readonly type: "refresh"; readonly token: string }
  | { readonly type: "ping" }
  | { readonly type: "pong" };

/** A page of history, oldest first. */
export interface Page {
  readonly messages: readonly Message[];
  /** Whether there are older messages. */
  readonly more: boolean;
}

export const encode = (frame: ClientFrame): string => JSON.stringify(frame);

/**
 * Reads a frame. It never throws: what is not a frame of the protocol is undefined, and
 * to be ignored, as are members that it does not know.
 */
export function decode(text: unknown): ServerFrame | undefined {
  try {
    const f = object(JSON.parse(string(text)));
    const type = string(f["type"]);
    return Object.hasOwn(decoders, type) ? decoders[type as keyof typeof decoders](f) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What keeps value from being sent, undefined if nothing does. A frame that the server
 * cannot take would cost the connection.
 */
export function unfit(value: unknown, most: number): "bad_body" | "too_large" | undefined {
  try {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined || text === "null" || depth(JSON.parse(text)) > MAX_DEPTH) return "bad_body";
    return new TextEncoder().encode(text).length > most ? "too_large" : undefined;
  } catch {
    return "bad_body";
  }
}

function depth(value: unknown): number {
  return typeof value === "object" && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depth)) : 0;
}

/** Reads the answer to a request for history; undefined if it is none. */
export function decodePage(value: unknown): Page | undefined {
  try {
    const f = object(value);
    return { messages: array(f["messages"]).map((m) => message(object(m))), more: f["more"] === true };
  } catch {
    return undefined;
  }
}

type Fields = Record<string, unknown>;

const decoders: { readonly [T in ServerFrame["type"]]: (f: Fields) => ServerFrame & { type: T } } = {
  welcome: (f) => ({
    type: "welcome",
    conversation: string(f["conversation"]),
    user: user(f["user"]),
    lastSeq: count(f["last_seq"]),
    readSeq: f["read_seq"] === undefined ? 0 : count(f["read_seq"]),
    session: string(f["session"]),
    expiresIn: seconds(f["expires_in"]),
    pingInterval: seconds(f["ping_interval"]),
    ...maybe("botKey", f["bot_key"], (v) => v),
  }),
  message: (f) => ({ type: "message", message: message(f) }),
  ack: (f) => ({ type: "ack", id: string(f["id"]), seq: position(f["seq"]), at: time(f["at"]) }),
  nack: (f) => ({ type: "nack", id: string(f["id"]), error: refusal(f["error"]) }),
  delta: (f) => ({ type: "delta", id: string(f["id"]), text: string(f["text"]) }),
  typing: (f) => ({ type: "typing", from: f["from"] === undefined ? "bot" : from(f["from"]) }),
  read: (f) => ({ type: "read", seq: count(f["seq"]) }),
  context: (f) => ({ type: "context", id: string(f["id"]) }),
  session: (f) => ({
    type: "session",
    session: string(f["session"]),
    ...maybe("expiresIn", f["expires_in"], seconds),
  }),
  secure: (f) => ({
    type: "secure",
    state: one(["locked", "secured", "unavailable"], f["state"]),
    reason: string(f["reason"]),
    ...maybe("message", f["message"], string),
    ...maybe("retryAfter", f["retry_after"], seconds),
  }),
  error: (f) => ({ type: "error", error: refusal(f["error"]) }),
  close: (f) => ({ type: "close", code: count(f["code"]) }),
  ping: () => ({ type: "ping" }),
  pong: () => ({ type: "pong" }),
};

function message(f: Fields): Message {
  if (!("body" in f)) throw junk;
  return {
    seq: position(f["seq"]),
    id: string(f["id"]),
    from: from(f["from"]),
    body: f["body"],
    at: time(f["at"]),
  };
}

function user(value: unknown): User {
  const f = object(value);
  return { iss: string(f["iss"]), sub: string(f["sub"]) };
}

function refusal(value: unknown): Refusal {
  const f = object(value);
  return { code: string(f["code"]), title: string(f["title"]), ...maybe("retryAfter", f["retry_after"], seconds) };
}

/** What the readers below throw; only decode and decodePage see it. */
const junk = new TypeError("not a frame of " + PROTOCOL);

function check<T>(value: unknown, ok: boolean): T {
  if (!ok) throw junk;
  return value as T;
}

const string = (v: unknown): string => check(v, typeof v === "string");
const array = (v: unknown): unknown[] => check(v, Array.isArray(v));
const object = (v: unknown): Fields => check(v, typeof v === "object" && v !== null && !Array.isArray(v));
const count = (v: unknown): number => check(v, Number.isSafeInteger(v) && (v as number) >= 0);
const position = (v: unknown): number => check(v, count(v) > 0);
const seconds = (v: unknown): number => check(v, Number.isFinite(v) && (v as number) >= 0);
const one = <T extends string>(among: readonly T[], v: unknown): T => check(v, among.includes(v as T));
const from = (v: unknown): From => one(["user", "bot", "system"], v);

function time(v: unknown): Date {
  const at = new Date(string(v));
  return check(at, !Number.isNaN(at.getTime()));
}

function maybe<K extends string, T>(key: K, v: unknown, read: (v: unknown) => T): { [P in K]?: T } {
  return v === undefined ? {} : { [key]: read(v) } as { [P in K]?: T };
}
