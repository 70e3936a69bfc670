import { Connection } from "./connection.ts";
import { CarnetError } from "./error.ts";
import { type Store, tabStorage } from "./memory.ts";
import type { Encryption } from "./pin.ts";
import { Sealer } from "./sealer.ts";
import { bySocket } from "./socket.ts";
import { byStream, either } from "./stream.ts";
import { byTabs } from "./tabs.ts";

export interface Options {
  /** Where Carnet is, e.g. "https://carnet.example"; may be relative to the page. */
  readonly url: string;
  readonly bot: string;
  /**
   * Gets a token of the user: one of the JWT service, or an access token with the scope
   * chat. It is called for each socket, and on an open one before the token expires. A
   * CarnetError that it throws closes the connection; any other error is tried again.
   */
  readonly assertion: () => Promise<string>;
  /** The conversation to open; left out, the one that this tab had, else the user's newest. */
  readonly conversation?: string | undefined;
  /** What the bot is told of the page: at most 10 KiB of JSON. */
  readonly context?: Readonly<Record<string, unknown>> | undefined;
  /**
   * When an anonymous visitor signs in, and assertion gives tokens of a known user then, the
   * conversation goes on as that user's. For that the visitor's last token, which soon
   * expires, is kept in storage.
   */
  readonly merge?: boolean | undefined;
  /** Load so many past messages (true: 20) and tell them as one history event. */
  readonly loadHistory?: boolean | number | undefined;
  /** true: https only. false: http too. Left out: http on this machine alone. */
  readonly requireHTTPS?: boolean | undefined;
  /**
   * "shared": all tabs of this origin take part in one connection, as long as their tokens
   * are of the same user. Left out: each tab has its own.
   */
  readonly tabs?: "shared" | "own" | undefined;
  /** Where to keep what survives a reload, of this tab alone; null for nowhere. Left out: sessionStorage. */
  readonly storage?: Store | null | undefined;
  /**
   * Encrypts what is said, for a bot that publishes a key: only the bot and this browser can read
   * it. A server that shows another key than the page trusts is told nothing: the connection
   * closes with key_refused. Messages have at most 20 KiB then, and answers come whole.
   */
  readonly encryption?: Encryption | undefined;
  /**
   * The only way to connect, for tests. Left out: the browser's, and where that does not
   * get through, requests whose answers are streams.
   */
  readonly WebSocket?: typeof WebSocket | undefined;
  /** Closes the connection when it fires. */
  readonly signal?: AbortSignal | undefined;
}

const HISTORY = 20;

/**
 * Opens a conversation with a bot and keeps it open until it is closed. It throws a
 * CarnetError if the address cannot be used, and reports all else by events, none of them
 * before the next microtask.
 */
export function connect(options: Options): Connection {
  const base = address(options.url, options.requireHTTPS);
  const { bot, conversation, loadHistory = false } = options;
  const key = `carnet ${base} ${bot}${conversation ? " " + conversation : ""}`;
  const socket = bySocket(options.WebSocket ?? WebSocket, `${base}/chat/v1/connect`.replace(/^http/, "ws"));
  const dial = options.WebSocket ? socket : either(socket, byStream(base));
  return new Connection({
    dial: options.tabs === "shared" ? byTabs(dial, key) : dial,
    messagesURL: (id) => `${base}/chat/v1/conversations/${encodeURIComponent(id)}/messages`,
    bot,
    conversation,
    assertion: async () => options.assertion(),
    context: options.context,
    merge: options.merge,
    history: loadHistory === true ? HISTORY : Number(loadHistory),
    store: options.storage === undefined ? tabStorage() : options.storage ?? undefined,
    key,
    sealer: options.encryption && new Sealer(bot, options.encryption, `${base} ${bot} `),
    signal: options.signal,
  });
}

/** The base address without a slash at its end. */
function address(text: string, requireHTTPS: boolean | undefined): string {
  let url: URL;
  try {
    url = new URL(text, globalThis.location?.href);
  } catch (cause) {
    throw new CarnetError("bad_url", "url must be the address of Carnet", { cause });
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new CarnetError("bad_url", "url must begin with https:// or http://");
  }
  if (url.protocol === "http:" && (requireHTTPS ?? !isLoopback(url.hostname))) {
    throw new CarnetError("insecure_url", "url must begin with https://: a token would travel in the open");
  }
  return url.origin + url.pathname.replace(/\/+$/, "");
}

function isLoopback(host: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(host);
}
