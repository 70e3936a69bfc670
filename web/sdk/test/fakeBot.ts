import { compactDecrypt, CompactEncrypt, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import type { FakeServer, Frame } from "./fakeServer.ts";

/** A letter as the bot reads it. */
export interface Letter {
  readonly from: string;
  readonly conversation: string;
  readonly id: string;
  readonly key?: JWK;
  readonly body: unknown;
}

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

/** A bot with a key, which opens and seals by another library than the SDK does. */
export class FakeBot {
  readonly jwk: JWK;
  readonly kid: string;
  readonly #pair: Pair;

  private constructor(jwk: JWK, kid: string, pair: Pair) {
    this.jwk = jwk;
    this.kid = kid;
    this.#pair = pair;
  }

  static async make(): Promise<FakeBot> {
    const pair = await generateKeyPair("ECDH-ES", { crv: "P-256" });
    const jwk = await exportJWK(pair.publicKey);
    return new FakeBot(jwk, await thumbprint(jwk), pair);
  }

  async open({ body }: Frame): Promise<Letter> {
    const { plaintext, protectedHeader } = await compactDecrypt(body.jwe, this.#pair.privateKey);
    if (protectedHeader.kid !== this.kid) throw new Error(`sealed to ${protectedHeader.kid}`);
    return JSON.parse(new TextDecoder().decode(plaintext)) as Letter;
  }

  /** What the bot answers to a letter, or says in its place. */
  async answer(letter: Letter, body: unknown, edit: Partial<Letter> = {}): Promise<Frame> {
    const reply = { from: "bot", conversation: letter.conversation, id: `${letter.id}/0`, body, ...edit };
    return { jwe: await sealTo(letter.key as JWK, JSON.stringify(reply)) };
  }
}

export async function sealTo(jwk: JWK, text: string, enc = "A256GCM"): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: "ECDH-ES", enc, kid: await thumbprint(jwk) })
    .encrypt(await importJWK(jwk, "ECDH-ES"));
}

export async function thumbprint({ crv, kty, x, y }: JWK): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify({ crv, kty, x, y })));
  return Buffer.from(hash).toString("base64url");
}

/** An app that signs the keys of its bots. */
export class FakeApp {
  readonly jwk: JWK;
  readonly #pair: Pair;

  private constructor(jwk: JWK, pair: Pair) {
    this.jwk = jwk;
    this.#pair = pair;
  }

  static async make(): Promise<FakeApp> {
    const pair = await generateKeyPair("ES256");
    return new FakeApp(await exportJWK(pair.publicKey), pair);
  }

  sign(bot: FakeBot, { sub = "echo", typ = "bot-key+jwt", exp = "1h" } = {}): Promise<string> {
    return new SignJWT({ cnf: { jwk: bot.jwk } }).setProtectedHeader({ alg: "ES256", typ }).setSubject(sub).setExpirationTime(exp)
      .sign(this.#pair.privateKey);
  }
}

/** The bodies that a server has been sent, as text: what it can read of them. */
export const seenBy = (server: FakeServer): string => JSON.stringify(server.heard());
