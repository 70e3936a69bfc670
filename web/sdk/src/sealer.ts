import { CarnetError } from "./error.ts";
import { open, type Recipient, seal } from "./jwe.ts";
import { Keyring, type Own } from "./keyring.ts";
import { type Dial, LOST, UNTRUSTED } from "./link.ts";
import { type Encryption, trusted } from "./pin.ts";
import type { ClientFrame, Message, ServerFrame, User } from "./wire.ts";

/** The most bytes of JSON that the body of a sealed message may have: it is sealed twice. */
export const MAX_SEALED = 20 << 10;

/** Whom to seal to, and where. */
interface Place {
  readonly conversation: string;
  readonly bot: Recipient;
  readonly own: Own;
}

/** What is sealed. It names its writer and its place, and counts as nobody else's and nowhere else. */
interface Letter {
  readonly from: string;
  readonly conversation: string;
  readonly id: string;
  readonly body: unknown;
}

/**
 * Seals what goes to a bot, and opens what comes from it: what lies between reads neither. A
 * message is sealed to the bot, and to this browser, which wants to read it again.
 */
export class Sealer {
  readonly #bot: string;
  readonly #pin: Encryption;
  readonly #name: string;
  readonly #ring = new Keyring();
  readonly #seen = new Map<string, string>(); // the message that showed a bot's letter, by conversation and letter

  /** name tells this bot of this server from others. */
  constructor(bot: string, pin: Encryption, name: string) {
    if (!globalThis.crypto?.subtle) throw new CarnetError("insecure_page", "encryption needs a page of https");
    this.#bot = bot;
    this.#pin = pin;
    this.#name = name;
  }

  /** Opens transports on which messages are sealed. All frames keep their order. */
  dial(dial: Dial): Dial {
    return (hello, ears) => {
      let place: Place | undefined;
      let over = false;
      const end = (code: number): void => {
        over = true;
        ears.end(code);
      };
      const orderly = (): (act: () => Promise<void> | void) => void => {
        let last = Promise.resolve();
        return (act) => {
          last = last.then(() => over ? undefined : act()).catch((error: CarnetError) => {
            if (over) return;
            transport.close(false);
            if (error.code !== "key_refused") return end(LOST);
            ears.frame({ type: "error", error: { code: error.code, title: error.message } });
            end(UNTRUSTED);
          });
        };
      };
      const [hear, say] = [orderly(), orderly()];
      const transport = dial(hello, {
        frame: (f) => hear(async () => {
          if (f?.type === "welcome") place = await this.#place(f);
          const opened = await this.#opened(f, place);
          if (!over) ears.frame(opened);
        }),
        end: (code) => hear(() => end(code)),
      });
      return {
        send: (f) => say(async () => {
          const sealed = f.type === "send" && place ? { ...f, body: await sealedBody(f, place) } : f;
          if (!over) transport.send(sealed);
        }),
        close: (deaf) => {
          over = true;
          transport.close(deaf);
        },
      };
    };
  }

  /** A message as its writer wrote it, as far as it is sealed and can be opened here. */
  async open(conversation: string, m: Message): Promise<Message> {
    const { jwe, self } = Object(m.body) as { jwe?: unknown; self?: unknown };
    const sealed = m.from === "user" ? self : jwe;
    if (m.from === "system" || typeof sealed !== "string") return m;
    const opened = await open(sealed, (kid) => this.#ring.find(kid));
    if (typeof opened === "string") return { ...m, sealed: opened };
    const letter = letterFrom(opened.plain);
    const its = letter.from === m.from && letter.conversation === conversation
      && (m.from === "user" ? letter.id : this.#first(letter, m.id)) === m.id;
    return its ? { ...m, body: letter.body, sealed: "opened" } : { ...m, sealed: "broken" };
  }

  /** Drops the user's key: what was sealed to it opens no more. */
  forget(user: string | undefined): Promise<void> {
    return this.#ring.forget(this.#name + user);
  }

  async #place({ conversation, user, botKey }: ServerFrame & { type: "welcome" }): Promise<Place> {
    const bot = await trusted(this.#pin, this.#bot, botKey);
    return { conversation, bot, own: await this.#ring.own(this.#name + nameOf(user)) };
  }

  async #opened(f: ServerFrame | undefined, place: Place | undefined): Promise<ServerFrame | undefined> {
    if (f?.type === "delta") return undefined; // nobody who writes in the clear is heard half
    return f?.type === "message" && place ? { ...f, message: await this.open(place.conversation, f.message) } : f;
  }

  /** The message that was the first to show a letter. Another one that shows it is a replay. */
  #first(letter: Partial<Letter>, id: string): string {
    const name = `${letter.conversation} ${letter.id}`;
    const first = this.#seen.get(name) ?? id;
    this.#seen.set(name, first);
    return first;
  }
}

/** What is no letter at all is from nobody. */
function letterFrom(text: string): Partial<Letter> {
  try {
    return Object(JSON.parse(text)) as Partial<Letter>;
  } catch {
    return {};
  }
}

/** A user as Connection remembers it. */
const nameOf = (user: User): string => JSON.stringify(user);

async function sealedBody({ id, body }: ClientFrame & { type: "send" }, { conversation, bot, own }: Place): Promise<unknown> {
  const letter = JSON.stringify({ from: "user", conversation, id, key: own.jwk, body });
  return { jwe: await seal(bot, letter), self: await seal(own, letter) };
}
