/** As much of IndexedDB as keeps keys: one store of one database, which outlives pages. */
export class FakeKeys {
  readonly items = new Map<string, unknown>();

  open(): object {
    return later((opening) => {
      opening.onupgradeneeded?.(new Event("upgradeneeded"));
      return this.#database();
    }, { createObjectStore: () => {} });
  }

  #database(): object {
    return {
      createObjectStore: () => {},
      close: () => {},
      transaction: () => {
        const transaction = { oncomplete: undefined as (() => void) | undefined, objectStore: () => this.#store };
        setTimeout(() => transaction.oncomplete?.(), 2);
        return transaction;
      },
    };
  }

  readonly #store = {
    get: (name: string) => later(() => this.items.get(name)),
    put: (value: unknown, name: string) => later(() => void this.items.set(name, value)),
    delete: (name: string) => later(() => void this.items.delete(name)),
    add: (value: unknown, name: string) => later(() => {
      if (this.items.has(name)) throw new DOMException("it is there", "ConstraintError");
      this.items.set(name, value);
    }),
  };
}

type Request = EventTarget & Record<"onsuccess" | "onerror" | "onupgradeneeded", ((e: Event) => void) | undefined> & { result: unknown; error: unknown };

/** A request that is done with the next task. */
function later(act: (request: Request) => unknown, result?: unknown): Request {
  const request = Object.assign(new EventTarget(), { result, error: undefined }) as Request;
  setTimeout(() => {
    let type: "success" | "error" = "success";
    try {
      request.result = act(request);
    } catch (error) {
      request.error = error;
      type = "error";
    }
    const event = new Event(type, { cancelable: true });
    request[`on${type}`]?.(event);
    request.dispatchEvent(event);
  });
  return request;
}
