import { generate, type JWK, publicJWK, type Recipient, thumbprint } from "./jwe.ts";

/** A key of this browser. */
export interface Own extends Recipient {
  /** The public half, which is told to the bot alone. */
  readonly jwk: JWK;
  /** Nobody can read it, this page included. */
  readonly privateKey: CryptoKey;
}

/**
 * The keys of this browser, in IndexedDB, each under its owner's name and under its kid: a
 * key opens what was sealed to it, whoever the user is by then. Where there is no
 * IndexedDB they last as long as the page.
 */
export class Keyring {
  readonly #known = new Map<string, Own>(); // by owner, and by kid

  /** The owner's key, made now if there is none. */
  async own(owner: string): Promise<Own> {
    const own = await this.#look(owner) ?? await this.#keep(owner, await make());
    for (const name of [owner, own.kid]) this.#known.set(name, own);
    return own;
  }

  /** The key of that kid. */
  async find(kid: string): Promise<CryptoKey | undefined> {
    return (await this.#look(kid))?.privateKey;
  }

  /** Nobody opens any more what was sealed to the owner's key. */
  async forget(owner: string): Promise<void> {
    const own = await this.#look(owner);
    this.#known.clear();
    await use("readwrite", (keys) => {
      keys.delete(owner);
      return keys.delete(own?.kid ?? owner);
    });
  }

  async #look(name: string): Promise<Own | undefined> {
    const own = this.#known.get(name) ?? await use<Own | undefined>("readonly", (keys) => keys.get(name));
    if (own) this.#known.set(name, own);
    return own;
  }

  /** Keeps the key, unless another page was faster: then it is that page's. */
  async #keep(owner: string, own: Own): Promise<Own> {
    await use("readwrite", (keys) => {
      const adding = keys.add(own, owner);
      adding.onsuccess = () => keys.put(own, own.kid);
      adding.onerror = (e) => e.preventDefault(); // it is there
      return adding;
    });
    return await use<Own | undefined>("readonly", (keys) => keys.get(owner)) ?? own;
  }
}

async function make(): Promise<Own> {
  const { publicKey, privateKey } = await generate();
  const jwk = await publicJWK(publicKey);
  return { kid: await thumbprint(jwk), key: publicKey, jwk, privateKey };
}

/** Does one thing with the kept keys; undefined if that is not possible. */
async function use<T>(mode: IDBTransactionMode, act: (keys: IDBObjectStore) => IDBRequest<T>): Promise<T | undefined> {
  try {
    const opening = indexedDB.open("carnet", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("keys");
    const db = await settled(opening);
    try {
      const transaction = db.transaction("keys", mode);
      const done = new Promise((resolve) => transaction.oncomplete = transaction.onabort = resolve);
      const result = await settled(act(transaction.objectStore("keys")));
      await done;
      return result;
    } finally {
      db.close();
    }
  } catch { // the browser has none, or forbids it
    return undefined;
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
}
