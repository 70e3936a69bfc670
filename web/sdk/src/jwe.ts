/**
 * JWE (RFC 7516) in compact serialization, in the one way that the page and a bot seal by:
 * ECDH-ES with P-256 (RFC 7518 §4.6), and A256GCM. Pages of plain http have no crypto.subtle.
 */

/** A public P-256 key (RFC 7518 §6.2.1). */
export interface JWK {
  readonly kty: string;
  readonly crv: string;
  readonly x: string;
  readonly y: string;
}

/** Whom to seal to; kid is the key's thumbprint. */
export interface Recipient {
  readonly kid: string;
  readonly key: CryptoKey;
}

/** Nobody has the key here; or what there is was not sealed so, or is damaged. */
export type Unread = "elsewhere" | "broken";

const agreement = { name: "ECDH", namedCurve: "P-256" } as const;
const encryption = "A256GCM";

type Bytes = Uint8Array<ArrayBuffer>;

const utf8 = (text: string): Bytes => new TextEncoder().encode(text);

export function encode(bytes: Bytes): string {
  let text = "";
  for (const b of bytes) text += String.fromCharCode(b);
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}

/** Throws if the text is no base64url. */
export function decode(text: string): Bytes {
  return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
}

/** What a part of a token says, which is JSON. Throws if it is none. */
export const parse = (part: string | undefined): Record<string, unknown> =>
  Object(JSON.parse(new TextDecoder().decode(decode(part ?? "")))) as Record<string, unknown>;

/** A new pair; the private key can be used and kept, and by nobody be read. */
export const generate = (): Promise<CryptoKeyPair> => crypto.subtle.generateKey(agreement, false, ["deriveBits"]);

/** Only what makes the key what it is. */
export async function publicJWK(key: CryptoKey): Promise<JWK> {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", key) as JWK;
  return { kty, crv, x, y };
}

/** Throws if jwk is no public P-256 key: the browser checks that the point is on the curve. */
export const importKey = ({ kty, crv, x, y }: JWK): Promise<CryptoKey> =>
  crypto.subtle.importKey("jwk", { kty, crv, x, y }, agreement, true, []);

/** RFC 7638. */
export async function thumbprint({ crv, kty, x, y }: JWK): Promise<string> {
  return encode(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(JSON.stringify({ crv, kty, x, y })))));
}

export async function seal({ kid, key }: Recipient, plain: string): Promise<string> {
  const ephemeral = await generate();
  const header = encode(utf8(JSON.stringify({ alg: "ECDH-ES", enc: encryption, epk: await publicJWK(ephemeral.publicKey), kid })));
  const content = await contentKey(ephemeral.privateKey, key);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const out = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: utf8(header) }, content, utf8(plain)));
  return [header, "", encode(iv), encode(out.slice(0, -16)), encode(out.slice(-16))].join(".");
}

/** Opens what was sealed to a key that find has, or says why not. */
export async function open(jwe: string, find: (kid: string) => Promise<CryptoKey | undefined>): Promise<{ plain: string } | Unread> {
  try {
    const [header = "", none, iv = "", text = "", tag = "", more] = jwe.split(".");
    const { alg, enc, epk, kid, ...others } = parse(header);
    if (alg !== "ECDH-ES" || enc !== encryption || Object.keys(others).length > 0 || none !== "" || more !== undefined) return "broken";
    const own = await find(String(kid));
    if (!own) return "elsewhere";
    const content = await contentKey(own, await importKey(epk as JWK));
    const sealed = join(decode(text), decode(tag));
    const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: decode(iv), additionalData: utf8(header) }, content, sealed);
    return { plain: new TextDecoder().decode(plain) };
  } catch {
    return "broken";
  }
}

/** What two keys agree on, by the one round of the Concat KDF that 256 bits take (RFC 7518 §4.6.2). */
async function contentKey(own: CryptoKey, theirs: CryptoKey): Promise<CryptoKey> {
  const shared = new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: theirs }, own, 256));
  const round = join(number(1), shared, number(encryption.length), utf8(encryption), number(0), number(0), number(256));
  return crypto.subtle.importKey("raw", await crypto.subtle.digest("SHA-256", round), "AES-GCM", false, ["encrypt", "decrypt"]);
}

const number = (n: number): Bytes => Uint8Array.of(0, 0, n >> 8, n & 255);

function join(...parts: readonly Bytes[]): Bytes {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  parts.reduce((at, p) => (all.set(p, at), at + p.length), 0);
  return all;
}
