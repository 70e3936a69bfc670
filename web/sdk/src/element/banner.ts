import type { State } from "../events.ts";
import { h } from "./dom.ts";
import { trouble, words } from "./words.ts";

/** Troubles that pass sooner, in milliseconds, are not worth a word. */
const PATIENCE = 1_500;

/** Says that the connection is not there, and offers to try. */
export class Banner {
  readonly element: HTMLElement;
  readonly #text = h("span");
  readonly #button = h("button", { type: "button", part: "retry" });
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(retry: () => void) {
    // A live region is there before it has something to say.
    this.element = h("div", { class: "banner", part: "banner", role: "status" });
    this.#button.addEventListener("click", retry);
  }

  show(state: State): void {
    if (state.name === "connecting") return; // what there is to say is true until it is open
    this.#text.textContent = trouble(state);
    this.#button.textContent = state.name === "closed" ? words.reconnect : words.now;
    if (this.#text.textContent === "") this.#hide();
    else if (state.name === "closed") this.#reveal();
    else this.#timer ??= setTimeout(() => this.#reveal(), PATIENCE);
  }

  #reveal(): void {
    this.element.replaceChildren(this.#text, this.#button);
  }

  #hide(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.element.replaceChildren();
  }
}
