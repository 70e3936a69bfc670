import type { Dial } from "./link.ts";
import { decode, encode, PROTOCOL } from "./wire.ts";

/** Dials a WebSocket each time. */
export function bySocket(socket: typeof WebSocket, url: string): Dial {
  return (hello, ears) => {
    const s = new socket(url, PROTOCOL);
    const listening = new AbortController();
    const { signal } = listening;
    s.addEventListener("open", () => s.send(encode(hello)), { signal });
    s.addEventListener("message", (e) => ears.frame(decode(e.data)), { signal });
    s.addEventListener("close", (e) => ears.end(e.code), { signal });
    return {
      send: (f) => s.send(encode(f)),
      close() {
        listening.abort();
        s.close(1000);
      },
    };
  };
}
