/** The demo: signs in, picks a bot, and leaves the rest to <carnet-chat>. */
import "/sdk/carnet-chat.js";
import type { CarnetChat, State } from "/sdk/carnet-chat.js";
import { type Account, assertionOf, signIn, store, stored, visit } from "./account.ts";

interface Demo {
  readonly client_id: string;
  readonly bots: readonly string[];
}

const BOT = "carnet demo bot";

function find<T extends Element = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no ${id}`);
  return element as Element as T;
}

const door = find("door");
const room = find("room");
const note = find("note");
const form = find<HTMLFormElement>("login");
const demo = await fetch("/demo.json").then((r) => r.json()) as Demo;
let chat: CarnetChat | undefined;

/** Shows the way in, with a word on why. */
function leave(why: string): void {
  store(undefined);
  chat?.remove();
  chat = undefined;
  room.hidden = find("session").hidden = true;
  door.hidden = false;
  note.textContent = why;
  form.querySelector("input")?.focus();
}

function enter(account: Account): void {
  door.hidden = true;
  room.hidden = find("session").hidden = false;
  find("who").textContent = account.name;
  const last = sessionStorage.getItem(BOT) ?? "";
  talkTo(demo.bots.includes(last) ? last : demo.bots[0] ?? "");
}

function talkTo(bot: string): void {
  sessionStorage.setItem(BOT, bot);
  find("bots").replaceChildren(...demo.bots.map((name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-pressed", String(name === bot));
    button.addEventListener("click", () => talkTo(name));
    return button;
  }));
  chat?.remove();
  chat = document.createElement("carnet-chat");
  chat.setAttribute("bot", bot);
  chat.assertion = assertionOf(demo.client_id);
  chat.addEventListener("carnet-state", (e) => {
    const state = (e as CustomEvent<State>).detail;
    if (state.name === "closed" && state.reason.code === "signed_out") leave(sentence(state.reason.message));
  });
  room.append(chat);
}

/** Lets somebody in, and says why not. */
async function admit(button: HTMLButtonElement, getAccount: () => Promise<Account>): Promise<void> {
  button.disabled = true;
  note.textContent = "";
  try {
    const account = await getAccount();
    store(account);
    form.reset();
    enter(account);
  } catch (error) {
    note.textContent = sentence(error instanceof Error ? error.message : String(error));
  } finally {
    button.disabled = false;
  }
}

function sentence(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1) + ".";
}

form.addEventListener("submit", (e) => {
  e.preventDefault();
  const data = new FormData(form);
  const button = form.querySelector("button") as HTMLButtonElement;
  void admit(button, () => signIn(demo.client_id, String(data.get("username")), String(data.get("password"))));
});

const visitButton = find<HTMLButtonElement>("visit");
visitButton.addEventListener("click", () => void admit(visitButton, () => visit(demo.client_id)));

find("out").addEventListener("click", () => {
  leave("");
  sessionStorage.clear();
});

const account = stored();
if (account) enter(account);
else form.querySelector("input")?.focus();
