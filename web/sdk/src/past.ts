import { CarnetError } from "./error.ts";
import { decodePage, type Message, type Page } from "./wire.ts";

/** How long the server may take for a page, in milliseconds. */
const WITHIN = 15_000;

/** Where tokens come from. */
export interface Tokens {
  /** The one that was given last. */
  readonly token: string;
  /** Gets one in place of one that was refused. */
  replace(): Promise<string>;
}

/** Makes a message readable that is not. */
type Open = (conversation: string, m: Message) => Promise<Message>;

export interface Range {
  /** Messages older than this one; left out, than any that came before. */
  readonly before?: number;
  readonly limit?: number;
}

/** A conversation's past, page after page. */
export class Past {
  readonly #url: (conversation: string) => string;
  readonly #tokens: Tokens;
  readonly #open: Open | undefined;
  #conversation: string | undefined;
  #oldest = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(url: (conversation: string) => string, tokens: Tokens, open?: Open) {
    this.#url = url;
    this.#tokens = tokens;
    this.#open = open;
  }

  /** From here on the past is that of the conversation, before the message of that seq. */
  begin(conversation: string, before: number): void {
    this.#conversation = conversation;
    this.#oldest = before;
  }

  /** Gets one page at a time, in the order of the calls. */
  page(range: Range): Promise<Page> {
    const page = this.#last.then(() => this.#page(range));
    this.#last = page.catch(() => {});
    return page;
  }

  async #page({ before, limit }: Range): Promise<Page> {
    const conversation = this.#conversation;
    if (conversation === undefined) throw new CarnetError("not_open", "the conversation is not open yet");
    const end = before ?? this.#oldest;
    if (end <= 1) return { messages: [], more: false };
    const request = { url: this.#url(conversation), before: end, limit };
    let page: Page;
    try {
      page = await fetchPage({ ...request, token: this.#tokens.token });
    } catch (error) {
      if (!CarnetError.is(error) || error.code !== "unauthenticated") throw error;
      page = await fetchPage({ ...request, token: await this.#tokens.replace() });
    }
    if (end === this.#oldest && conversation === this.#conversation) this.#oldest = page.messages[0]?.seq ?? end;
    const open = this.#open;
    return open ? { ...page, messages: await Promise.all(page.messages.map((m) => open(conversation, m))) } : page;
  }
}

interface PageRequest {
  readonly url: string;
  readonly token: string;
  readonly before: number;
  readonly limit?: number | undefined;
}

/** Gets a page of a conversation's past. It throws a CarnetError under the server's code. */
async function fetchPage(r: PageRequest): Promise<Page> {
  const url = new URL(r.url);
  url.searchParams.set("before", String(r.before));
  if (r.limit !== undefined) url.searchParams.set("limit", String(r.limit));
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(url, {
      headers: { authorization: `Bearer ${r.token}` },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(WITHIN),
    });
    body = await response.json().catch(() => undefined);
  } catch (cause) {
    throw new CarnetError("disconnected", "the server cannot be reached", { cause });
  }
  if (!response.ok) throw problem(response.status, body);
  const page = decodePage(body);
  if (!page) throw new CarnetError("bad_response", "the answer is not a page of messages");
  return page;
}

/** The server's refusal as an error; its body is RFC 9457's. */
function problem(status: number, body: unknown): CarnetError {
  const { code, detail } = (body ?? {}) as { code?: unknown; detail?: unknown };
  return new CarnetError(
    typeof code === "string" ? code : "bad_response",
    typeof detail === "string" ? detail : `the server answers ${status}`,
  );
}
