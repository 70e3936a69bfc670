/** The web SDK of Carnet: conversations with bots that survive drops, reloads and restarts. */
export { connect, type Options } from "./client.ts";
export type { Connection } from "./connection.ts";
export { CarnetError, type Code } from "./error.ts";
export type { Events, Secure, Session, State } from "./events.ts";
export type { Store } from "./memory.ts";
export type { Pending, Receipt, Sent } from "./outbox.ts";
export type { Range } from "./past.ts";
export type { Encryption } from "./pin.ts";
export type { From, Message, Page, User } from "./wire.ts";
