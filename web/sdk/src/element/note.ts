import type { Bubble } from "./bubble.ts";
import { h, icon, lock } from "./dom.ts";
import type { Language } from "./words.ts";

const SECOND = 1_000;

/** Says why the bot hears nothing, below the conversation and no part of it. */
export class Note {
  readonly element = h("div", { class: "note", part: "note" });
  readonly #wait = h("div", { class: "wait", part: "wait", role: "timer" });
  readonly #over: (text: string) => void;
  #ticks: ReturnType<typeof setInterval> | undefined;

  /** over is told, in words, that the time to wait has passed. */
  constructor(over: (text: string) => void) {
    this.#over = over;
  }

  /** Shows what there is to say. Before so many seconds another attempt makes no sense. */
  show(bubble: Bubble, seconds: number, language: Language): void {
    this.hide();
    this.element.replaceChildren(icon(lock), bubble.element, this.#wait);
    this.#wait.textContent = "";
    if (seconds === 0) return;
    const end = Date.now() + seconds * SECOND;
    const tick = (): void => {
      const left = Math.ceil((end - Date.now()) / SECOND);
      this.#wait.textContent = left > 0 ? language.say("wait", { seconds: left }) : language.say("waited");
      this.element.toggleAttribute("data-waiting", left > 0);
      if (left > 0) return;
      clearInterval(this.#ticks);
      this.#over(this.#wait.textContent);
    };
    this.#ticks = setInterval(tick, SECOND);
    tick();
  }

  hide(): void {
    clearInterval(this.#ticks);
    this.element.replaceChildren();
    this.element.removeAttribute("data-waiting");
  }
}
