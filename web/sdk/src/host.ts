import type { Dial, Ears, Hello, Transport } from "./link.ts";
import { LOST } from "./link.ts";
import { newID } from "./outbox.ts";
import type { ClientFrame, ServerFrame, Welcome } from "./wire.ts";

/** What a tab that joins has, of what a hello says. */
export type Joining = Pick<Hello, "conversation" | "after" | "context">;

type MessageFrame = ServerFrame & { type: "message" };
type SecureFrame = ServerFrame & { type: "secure" };

/** What tabs say to each other. Each seat of a tab, and each host, has an id. */
export type Note =
  | { readonly from: string; readonly join: Joining }
  | { readonly from: string; readonly host: string; readonly frame: ClientFrame }
  | { readonly host: string; readonly lead: true }
  /** The answer to join: without a welcome the host has not all that was missed. */
  | { readonly to: string; readonly host: string; readonly welcome?: Welcome; readonly missed: readonly (MessageFrame | SecureFrame)[] }
  | { readonly host: string; readonly frame: ServerFrame }
  | { readonly host: string; readonly end: number };

/** So many messages are kept for tabs that join. */
const KEPT = 100;

/** Gives the guests of a tab their part in its connection. */
export class Host {
  readonly #id: string;
  readonly #post: (note: Note) => void;
  readonly #waiting = new Map<string, Joining>(); // for the welcome
  #transport: Transport | undefined;
  #ears: Ears | undefined;
  #welcome: Welcome | undefined;
  #expires = 0; // in Date.now's milliseconds
  #base = 0; // the messages after it are kept
  #kept: MessageFrame[] = [];
  #secure: SecureFrame[] = []; // the last one

  constructor(id: string, post: (note: Note) => void) {
    this.#id = id;
    this.#post = post;
  }

  /** Dials, and tells the guests whatever the ears are told. */
  open(dial: Dial, hello: Hello, ears: Ears): Transport {
    const host = this.#id;
    this.#post({ host, lead: true });
    this.#ears = ears;
    const transport = dial(hello, {
      frame: (f) => {
        if (f) this.#pass(f, hello);
        ears.frame(f);
      },
      end: (code) => {
        this.#post({ host, end: code });
        ears.end(code);
      },
    });
    this.#transport = transport;
    return {
      send: (f) => this.#send(f),
      close: (deaf) => {
        this.#post({ host, end: LOST });
        transport.close(deaf);
      },
    };
  }

  hear(note: Note): void {
    if (!("from" in note)) return;
    if ("frame" in note) {
      if (note.host !== this.#id) return;
      this.#send(note.frame);
      if (note.frame.type === "read") this.#ears?.frame(note.frame);
    } else if (this.#welcome) {
      this.#admit(note.from, note.join, this.#welcome);
    } else {
      this.#waiting.set(note.from, note.join);
    }
  }

  #send(frame: ClientFrame): void {
    this.#transport?.send(frame);
    if (frame.type !== "read") return;
    // the server tells its other sessions how far the user has read, and this is one session
    this.#post({ host: this.#id, frame: { type: "read", seq: frame.seq } });
    this.#marked(frame.seq);
  }

  #marked(seq: number): void {
    if (this.#welcome) this.#welcome = { ...this.#welcome, readSeq: Math.max(this.#welcome.readSeq, seq) };
  }

  #pass(frame: ServerFrame, hello: Hello): void {
    switch (frame.type) {
      case "welcome":
        this.#welcome = frame;
        this.#expires = Date.now() + frame.expiresIn * 1_000;
        this.#base = Math.min(hello.after ?? frame.lastSeq, frame.lastSeq);
        for (const [id, join] of this.#waiting) this.#admit(id, join, frame);
        return this.#waiting.clear();
      case "message":
        this.#kept.push(frame);
        if (this.#kept.length > KEPT) this.#base = this.#kept.shift()?.message.seq ?? this.#base;
        break;
      case "secure":
        this.#secure = [frame];
        break;
      case "session":
        if (this.#welcome) this.#welcome = { ...this.#welcome, session: frame.session };
        if (frame.expiresIn !== undefined) this.#expires = Date.now() + frame.expiresIn * 1_000;
        break;
      case "read":
        this.#marked(frame.seq);
        break;
      case "ping":
        return;
    }
    this.#post({ host: this.#id, frame });
  }

  #admit(to: string, { conversation, after, context }: Joining, w: Welcome): void {
    const host = this.#id;
    if (conversation !== undefined && conversation !== w.conversation || after !== undefined && after < this.#base) {
      return this.#post({ to, host, missed: [] });
    }
    const welcome = {
      ...w,
      lastSeq: Math.max(w.lastSeq, this.#kept.at(-1)?.message.seq ?? 0),
      expiresIn: Math.max(0, this.#expires - Date.now()) / 1_000,
    };
    const from = after ?? welcome.lastSeq;
    this.#post({ to, host, welcome, missed: [...this.#kept.filter((f) => f.message.seq > from), ...this.#secure] });
    // one by one, each with an id: as in a hello, what is the server's holds up nothing else
    for (const [name, value] of Object.entries(context ?? {})) {
      this.#transport?.send({ type: "context", id: newID(), set: { [name]: value } });
    }
  }
}
