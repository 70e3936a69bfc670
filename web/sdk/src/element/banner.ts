import type { State } from "../events.ts";
import { h } from "./dom.ts";
import type { Language } from "./words.ts";

/** Troubles that pass sooner, in milliseconds, are not worth a word. */
const PATIENCE = 1_500;

/** Says that the connection is not there, or that nothing can be written, and offers to try. */
export class Banner {
  readonly element: HTMLElement;
  readonly #text = h("span");
  readonly #button = h("button", { type: "button", part: "retry" });
  readonly #leave: (going: HTMLElement) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** leave is called before the button goes, which may have the focus. */
  constructor(retry: () => void, leave: (going: HTMLElement) => void) {
    this.#leave = leave;
    // A live region is there before it has something to say.
    this.element = h("div", { class: "banner", part: "banner", role: "status" });
    this.#button.addEventListener("click", retry);
  }

  show(state: State, language: Language): void {
    if (state.name === "connecting") return; // what there is to say is true until it is open
    const words = trouble(state, language);
    if (words !== this.#text.textContent) { // what is told anew is read out anew
      this.#text.textContent = words;
      this.#button.textContent = language.say(state.name === "closed" ? "reconnect" : "now");
    }
    if (words === "") this.hide();
    else if (state.name === "waiting") this.#timer ??= setTimeout(() => this.#reveal(), PATIENCE);
    else this.#reveal();
  }

  #reveal(): void {
    if (!this.#text.isConnected) this.element.replaceChildren(this.#text, this.#button);
  }

  hide(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#leave(this.element);
    this.element.replaceChildren();
  }
}

/** What there is to say of a state that lasts; empty if there is nothing. */
function trouble(s: State, language: Language): string {
  switch (s.name) {
    case "waiting":
      return language.say(navigator.onLine ? "lost" : "offline");
    case "closed":
      return s.reason.code === "closed" ? "" : language.say("ended", { why: s.reason.message });
    case "locked":
      return language.say(s.reason.code === "token_expired" ? "expired" : "signIn");
    default:
      return "";
  }
}
