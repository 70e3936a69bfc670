import { vi } from "vitest";
import "../src/element.ts";
import { settle } from "./bench.ts";
import { FakeServer } from "./fakeServer.ts";

/** Begins a test of the element: with a fake server, whose history is past's. undefined is a fault. */
export function begin(past: (url: URL) => object | undefined = () => ({ messages: [], more: false })): FakeServer {
  vi.useFakeTimers({ now: Date.UTC(2026, 5, 1, 12) });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  const server = new FakeServer();
  vi.stubGlobal("WebSocket", server.WebSocket);
  vi.stubGlobal("fetch", async (url: URL) => {
    const page = past(url);
    return page ? Response.json(page) : new Response("", { status: 502 });
  });
  return server;
}

export function end(): void {
  document.body.replaceChildren();
  sessionStorage.clear();
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
}

/** An element in the page, with what it shows. */
export class Page {
  readonly chat = document.createElement("carnet-chat");

  constructor(attributes: Record<string, string> = {}) {
    for (const [name, value] of Object.entries({ url: "https://carnet.test", bot: "echo", ...attributes })) {
      this.chat.setAttribute(name, value);
    }
    document.body.append(this.chat);
  }

  all(selector: string): HTMLElement[] {
    return [...(this.chat.shadowRoot?.querySelectorAll<HTMLElement>(selector) ?? [])];
  }

  one(selector: string): HTMLElement {
    const [element] = this.all(selector);
    if (!element) throw new Error(`there is no ${selector}`);
    return element;
  }

  get input(): HTMLTextAreaElement {
    return this.one("textarea") as HTMLTextAreaElement;
  }

  get texts(): string[] {
    return this.all(".text").map((e) => e.textContent);
  }

  get states(): (string | undefined)[] {
    return this.all(".message").map((e) => e.dataset["state"]);
  }

  write(text: string): void {
    this.input.value = text;
    this.input.dispatchEvent(new Event("input"));
  }

  enter(init: KeyboardEventInit = {}): void {
    this.input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", cancelable: true, ...init }));
  }

  say(text: string): void {
    this.write(text);
    this.enter();
  }
}

/** An element with a way to get tokens, connected. */
export async function page(attributes: Record<string, string> = {}): Promise<Page> {
  const p = new Page(attributes);
  p.chat.assertion = async () => "token";
  await settle();
  return p;
}

/** Pretends a scroll position, for which happy-dom has no layout. */
export function scroll(p: Page, { top, height, client }: { top: number; height: number; client: number }): void {
  const log = p.one(".log");
  for (const [name, value] of Object.entries({ scrollTop: top, scrollHeight: height, clientHeight: client })) {
    Object.defineProperty(log, name, { value, configurable: true, writable: true });
  }
  log.dispatchEvent(new Event("scroll"));
}
