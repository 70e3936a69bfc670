import { arrowUp, h, icon } from "./dom.ts";
import type { Language } from "./words.ts";

export interface ComposerHandlers {
  /** False if the text cannot be sent now: it stays in the field. */
  send(text: string): boolean;
  typing(): void;
}

/** Where the user writes. Enter sends, Shift+Enter begins a line. */
export class Composer {
  readonly element: HTMLFormElement;
  readonly input = h("textarea", {
    rows: "1", part: "input", enterkeyhint: "send", autocomplete: "off", dir: "auto",
  });
  readonly #button = h("button", { type: "submit", class: "send", part: "send", disabled: "" }, icon(arrowUp));
  readonly #handlers: ComposerHandlers;

  constructor(handlers: ComposerHandlers) {
    this.#handlers = handlers;
    this.element = h("form", { class: "composer", part: "composer" }, h("div", { class: "field", part: "field" }, this.input, this.#button));
    this.element.addEventListener("submit", (e) => {
      e.preventDefault();
      this.#submit();
    });
    this.input.addEventListener("input", () => {
      this.#changed();
      if (!this.#button.disabled) handlers.typing();
    });
    this.input.addEventListener("keydown", (e) => {
      // An input method takes Enter for itself; Safari ends composing before it, hence 229.
      if (e.key !== "Enter" || e.shiftKey || e.isComposing || e.keyCode === 229) return;
      e.preventDefault();
      this.#submit();
    });
  }

  set language(language: Language) {
    this.input.placeholder = language.say("placeholder");
    this.input.setAttribute("aria-label", language.say("placeholder"));
    this.#button.setAttribute("aria-label", language.say("send"));
  }

  /** While it is locked, what is written stays, and nothing can be. */
  set locked(locked: boolean) {
    this.input.readOnly = locked;
    this.#changed();
  }

  #changed(): void {
    this.#button.disabled = this.input.readOnly || this.input.value.trim() === "";
    this.#fit();
  }

  /** Makes the field as high as its text, for browsers without field-sizing. */
  #fit(): void {
    if (CSS.supports("field-sizing", "content")) return;
    this.input.style.blockSize = "auto";
    this.input.style.blockSize = `${this.input.scrollHeight}px`;
  }

  #submit(): void {
    const text = this.input.value.trim();
    if (this.#button.disabled || !this.#handlers.send(text)) return;
    this.input.value = "";
    this.#changed();
    this.input.focus();
  }
}
