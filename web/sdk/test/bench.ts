import { vi } from "vitest";
import { connect, type Connection, type Events, type Message, type Options, type State } from "../src/index.ts";
import { FakeServer, FakeStorage } from "./fakeServer.ts";

/** A connection to a fake server, and all that it has told. */
export interface Bench {
  readonly server: FakeServer;
  readonly storage: FakeStorage;
  readonly connection: Connection;
  readonly states: State["name"][];
  readonly messages: Message[];
  readonly events: { [K in keyof Events]: Events[K][] };
  readonly assertion: ReturnType<typeof vi.fn<() => Promise<string>>>;
}

const types = [
  "state", "session", "message", "history", "ack", "nack", "blocked", "resent", "delta", "typing", "read", "secure", "expired",
] as const;

/** What connect gets, and the server. */
export type Setup = Omit<Partial<Options>, "storage"> & { server?: FakeServer; storage?: FakeStorage | null | undefined };

/** Connects, without waiting for anything. Give it a server and a storage to reload a page. */
export function begin({ server = new FakeServer(), storage = new FakeStorage(), ...rest }: Setup = {}): Bench {
  const assertion = vi.fn(rest.assertion ?? (async () => "token"));
  const connection = connect({
    url: "https://carnet.test", bot: "echo", WebSocket: server.WebSocket, storage, ...rest, assertion,
  });
  const events = Object.fromEntries(types.map((t) => [t, [] as unknown[]])) as unknown as Bench["events"];
  for (const t of types) connection.on(t, (detail) => (events[t] as unknown[]).push(detail));
  const states: State["name"][] = [connection.state.name];
  connection.on("state", (s) => states.push(s.name));
  return { server, storage: storage ?? new FakeStorage(), connection, states, messages: events.message, events, assertion };
}

/** Lets what is due at once happen. */
export const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

export const pass = (seconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(seconds * 1_000);

/** Connects and waits until the conversation is open. */
export async function open(options: Setup = {}): Promise<Bench> {
  const b = begin(options);
  await settle();
  return b;
}
