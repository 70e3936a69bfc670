import { type Message } from "../src/wire.ts";
import { refusalOf } from "./clientFrame.ts";

export type Frame = Record<string, any>;

export const USER = { iss: "https://carnet.test", sub: "ann" };
const AT = "2026-06-01T12:00:00.000Z";

/**
 * A server of carnet.v1 without a network: sockets are made by the class that it hands
 * out, and it does with the next microtask what is asked of it, or what the test says. It keeps messages
 * as the real one does, knows doubles, and refuses frames that the real one refuses.
 */
export class FakeServer {
  readonly sockets: FakeSocket[] = [];
  readonly stored: Frame[] = [];
  readonly refusals: string[] = [];
  conversation = "cnv_a";
  user: Frame = USER;
  expiresIn = 900;
  pingInterval = 25;
  /** What the bot publishes for those who seal to it. */
  botKey: unknown;
  /** How far the user has read elsewhere. */
  readTo = 0;
  /** Whether sockets open, hellos are welcomed, sends are stored and tokens taken by themselves. */
  opens = true;
  welcomes = true;
  stores = true;
  pongs = true;
  refreshes = true;
  /** What a hello is refused with. */
  refuse: ((hello: Frame) => [code: number, error: Frame] | undefined) | undefined;
  /** What a message is refused with. */
  gate: ((send: Frame) => Frame | undefined) | undefined;
  /** Whether changes of the context are answered, and the members that are the server's. */
  answersContext = true;
  readonly owned = new Set<string>();

  get WebSocket(): typeof WebSocket {
    const server = this;
    return class extends FakeSocket {
      constructor(url: string, protocol: string) {
        super(server, url, protocol);
      }
    } as unknown as typeof WebSocket;
  }

  /** The newest socket. */
  get socket(): FakeSocket {
    const s = this.sockets.at(-1);
    if (!s) throw new Error("nobody has connected");
    return s;
  }

  /** All that clients have said, of one type if given. */
  heard(type?: string): Frame[] {
    return this.sockets.flatMap((s) => s.heard).filter((f) => type === undefined || f["type"] === type);
  }

  /** Stores a message and tells all who listen. */
  say(body: unknown, from = "bot", id = `b-${this.stored.length + 1}`): Frame {
    const m = this.keep(body, from, id);
    this.tellAll(m);
    return m;
  }

  /** Stores without telling, as a node does whose event was lost. */
  keep(body: unknown, from = "bot", id = `b-${this.stored.length + 1}`): Frame {
    const m = { type: "message", seq: this.stored.length + 1, id, from, body, at: AT };
    this.stored.push(m);
    return m;
  }

  store(socket: FakeSocket, f: Frame): void {
    const before = this.stored.find((m) => m["id"] === f["id"]);
    const m = before ?? this.keep(f["body"], "user", f["id"]);
    socket.tell({ type: "ack", id: m["id"], seq: m["seq"], at: m["at"] });
    if (!before) this.tellAll(m);
  }

  tellAll(m: Frame): void {
    for (const s of this.sockets) if (s.welcomed) s.tell(m);
  }

  hear(socket: FakeSocket, f: Frame): void {
    switch (f["type"]) {
      case "hello": {
        const refusal = this.refuse?.(f);
        if (refusal) {
          socket.tell({ type: "error", error: refusal[1] });
          socket.drop(refusal[0]);
        } else if (this.welcomes) this.welcome(socket, f);
        break;
      }
      case "send": {
        const why = this.gate?.(f);
        if (why) socket.tell({ type: "nack", id: f["id"], error: why });
        else if (this.stores) this.store(socket, f);
        break;
      }
      case "context":
        if (this.answersContext && f["id"]) socket.tell(this.#changed(f));
        break;
      case "ping":
        if (this.pongs) socket.tell({ type: "pong" });
        break;
      case "refresh":
        if (this.refreshes) socket.tell({ type: "session", session: "sealed-2", expires_in: this.expiresIn });
    }
  }

  #changed({ id, set }: Frame): Frame {
    const name = Object.keys(set as object).find((n) => this.owned.has(n));
    return name === undefined ? { type: "context", id }
      : { type: "nack", id, error: { code: "protected", title: `context: "${name}" is the server's to set` } };
  }

  welcome(socket: FakeSocket, hello: Frame): void {
    socket.welcomed = true;
    socket.tell({
      type: "welcome", conversation: this.conversation, user: this.user, last_seq: this.stored.length, read_seq: this.readTo,
      session: "sealed-1", expires_in: this.expiresIn, ping_interval: this.pingInterval,
      bot_key: this.botKey, // undefined is left out
    });
    for (const m of this.stored.slice(hello["after"] ?? this.stored.length)) socket.tell(m);
  }
}

/** The server's end of a socket, and the client's, which has the WebSocket interface's part of it. */
export class FakeSocket extends EventTarget {
  readonly server: FakeServer;
  readonly url: string;
  readonly protocol: string;
  readonly heard: Frame[] = [];
  /** The code that the client closed with. */
  closedWith: number | undefined;
  /** Whether the server tells it what is new. */
  welcomed = false;
  #open = false;

  constructor(server: FakeServer, url: string, protocol: string) {
    super();
    this.server = server;
    this.url = url;
    this.protocol = protocol;
    server.sockets.push(this);
    if (server.opens) queueMicrotask(() => this.open());
  }

  open(): void {
    this.#open = true;
    this.dispatchEvent(new Event("open"));
  }

  tell(frame: Frame | string): void {
    const data = typeof frame === "string" ? frame : JSON.stringify(frame);
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  /** Ends the connection: 1006 is a lost network. */
  drop(code = 1006): void {
    this.#open = this.welcomed = false;
    this.dispatchEvent(Object.assign(new Event("close"), { code }));
  }

  send(text: string): void {
    if (!this.#open) return;
    const refusal = refusalOf(text);
    if (refusal) this.server.refusals.push(refusal);
    const f = JSON.parse(text) as Frame;
    this.heard.push(f);
    queueMicrotask(() => this.server.hear(this, f));
  }

  close(code?: number): void {
    this.#open = this.welcomed = false;
    this.closedWith ??= code ?? 1005;
  }
}

/** A Storage of its own, which may be full. */
export class FakeStorage {
  readonly items = new Map<string, string>();
  full = false;

  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    if (this.full) throw new DOMException("full", "QuotaExceededError");
    this.items.set(key, value);
  }

  removeItem(key: string): void {
    this.items.delete(key);
  }
}

export const texts = (messages: readonly Message[]): string[] =>
  messages.map((m) => (m.body as { text: string }).text);
