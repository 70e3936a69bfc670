import { CarnetError } from "./error.ts";
import { decode, importKey, type JWK, parse, type Recipient, thumbprint } from "./jwe.ts";

/**
 * How the page knows the bot's key, whoever stands between them: by its thumbprint (RFC 7638),
 * or several while it changes; or because it is signed by a key that the page has, a
 * public P-256 JWK for ES256.
 */
export type Encryption =
  | { readonly thumbprint: string | readonly string[] }
  | { readonly signedBy: JsonWebKey };

/** The typ of a token that names the key of a bot. */
const TYPE = "bot-key+jwt";

/**
 * The bot's key as the server has shown it: a JWK, or a token over one. It throws a
 * CarnetError unless that is the bot's key for certain.
 */
export async function trusted(pin: Encryption, bot: string, shown: unknown): Promise<Recipient> {
  try {
    const jwk = typeof shown === "string" ? await signed(pin, bot, shown) : shown as JWK;
    const kid = await thumbprint(jwk);
    if ("thumbprint" in pin ? ![pin.thumbprint].flat().includes(kid) : typeof shown !== "string") throw new TypeError("another key");
    return { kid, key: await importKey(jwk) };
  } catch (cause) {
    throw new CarnetError("key_refused", "the bot's key is not the one that this page trusts", { cause });
  }
}

/** The key that a token names (cnf.jwk, RFC 7800). Who pins a thumbprint need not know the signer. */
async function signed(pin: Encryption, bot: string, token: string): Promise<JWK> {
  const [header, claims, signature] = token.split(".");
  const { sub, exp, cnf } = parse(claims);
  if (!("thumbprint" in pin)) {
    const { alg, typ } = parse(header);
    const { kty, crv, x, y } = pin.signedBy as JWK;
    const key = await crypto.subtle.importKey("jwk", { kty, crv, x, y }, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
    const good = alg === "ES256" && typ === TYPE && sub === bot && Number(exp) * 1_000 > Date.now()
      && await crypto.subtle.verify(
        { name: "ECDSA", hash: "SHA-256" }, key, decode(signature ?? ""), new TextEncoder().encode(`${header}.${claims}`),
      );
    if (!good) throw new TypeError("not signed for this bot and time");
  }
  return (cnf as { jwk: JWK }).jwk;
}
