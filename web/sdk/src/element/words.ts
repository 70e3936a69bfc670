import type { State } from "../events.ts";

/** All that the element says, in one place. */
export const words = {
  placeholder: "Write a message",
  send: "Send",
  log: (name: string): string => `Conversation with ${name}`,
  replies: "Suggested replies",
  earlier: "Earlier messages",
  jump: "New messages",
  greeting: (name: string): string => `Say hello to ${name}`,
  you: "You",
  notice: "Notice",
  sending: "Sending…",
  notSent: (why: string): string => `Not sent: ${why}.`,
  again: "Try again",
  unreadable: "This message cannot be shown here.",
  now: "Try now",
  reconnect: "Reconnect",
  today: "Today",
  yesterday: "Yesterday",
};

/** What the header says of a state. */
export const status: { readonly [S in State["name"]]: string } = {
  connecting: "Connecting…",
  open: "Online",
  waiting: "No connection",
  closed: "Closed",
};

/** What the banner says of a state that lasts; empty if there is nothing to say. */
export function trouble(s: State): string {
  switch (s.name) {
    case "waiting":
      return navigator.onLine ? "The connection is lost. Trying again…" : "You are offline. Messages go out when you are back.";
    case "closed":
      return s.reason.code === "closed" ? "" : `This chat has closed: ${s.reason.message}.`;
    default:
      return "";
  }
}

const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const hour = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });

export const timeOf = (at: Date): string => hour.format(at);

export function dayOf(at: Date, now = new Date()): string {
  const midnight = (d: Date): number => new Date(d).setHours(0, 0, 0, 0);
  switch (Math.round((midnight(now) - midnight(at)) / 86_400_000)) {
    case 0:
      return words.today;
    case 1:
      return words.yesterday;
    default:
      return day.format(at);
  }
}
