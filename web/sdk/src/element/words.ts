/** All that the element says. {name} is the bot's, {why} a reason, {seconds} a number. */
export const english = {
  placeholder: "Write a message",
  send: "Send",
  log: "Conversation with {name}",
  replies: "Suggested replies",
  earlier: "Earlier messages",
  jump: "New messages",
  greeting: "Say hello to {name}",
  you: "You",
  notice: "Notice",
  sending: "Sending…",
  notSent: "Not sent: {why}.",
  again: "Try again",
  blocked: "Not sent yet.",
  stopped: "Not sent yet: {name} is away.",
  resend: "Send again",
  unreadable: "This message cannot be shown here.",
  encrypted: "Encrypted to {name}",
  distrusted: "The key of {name} is not the one that this page trusts",
  clear: "Not encrypted",
  elsewhere: "This message cannot be read on this device.",
  broken: "This message was changed on its way, and is not shown.",
  now: "Try now",
  reconnect: "Reconnect",
  today: "Today",
  yesterday: "Yesterday",
  connecting: "Connecting…",
  open: "Online",
  locked: "Read only",
  waiting: "No connection",
  closed: "Closed",
  lost: "The connection is lost. Trying again…",
  offline: "You are offline. Messages go out when you are back.",
  ended: "This chat has closed: {why}.",
  expired: "Your session is over. You can read on; sign in again to write.",
  signIn: "You need to sign in to continue.",
  unchecked: "We can't verify your session right now. Please try again.",
  restricted: "Too many attempts. Please wait a while.",
  wait: "You can try again in {seconds} s.",
  waited: "You can try again now.",
  secured: "Your session is confirmed",
};

export type Words = Readonly<typeof english>;

/** What words may have in them. */
interface Values {
  readonly name?: string;
  readonly why?: string;
  readonly seconds?: number;
}

const DAY = 86_400_000;

/** The words, and how days and times are written. */
export class Language {
  readonly #words: Words;
  readonly #hour: Intl.DateTimeFormat;
  readonly #day: Intl.DateTimeFormat;

  /** strings take the place of the English ones; locale left out is the browser's. */
  constructor(strings?: Partial<Words> | null, locale?: string) {
    const own = Object.entries(strings ?? {}).filter(([, word]) => typeof word === "string");
    this.#words = { ...english, ...Object.fromEntries(own) };
    this.#hour = format({ hour: "numeric", minute: "2-digit" }, locale);
    this.#day = format({ weekday: "long", day: "numeric", month: "long" }, locale);
  }

  say(word: keyof Words, values: Values = {}): string {
    return this.#words[word].replace(/\{(name|why|seconds)\}/g, (_, key: keyof Values) => String(values[key] ?? ""));
  }

  /** What the server says by itself (signIn, unchecked, restricted) in these words; else text as it is. */
  translate(text: string): string {
    const word = Object.keys(english).find((w) => english[w as keyof Words] === text);
    return word === undefined ? text : this.say(word as keyof Words);
  }

  time(at: Date): string {
    return this.#hour.format(at);
  }

  day(at: Date, now = new Date()): string {
    const midnight = (d: Date): number => new Date(d).setHours(0, 0, 0, 0);
    switch (Math.round((midnight(now) - midnight(at)) / DAY)) {
      case 0:
        return this.say("today");
      case 1:
        return this.say("yesterday");
      default:
        return this.#day.format(at);
    }
  }
}

function format(options: Intl.DateTimeFormatOptions, locale: string | undefined): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat(locale, options);
  } catch { // a lang that is no language
    return new Intl.DateTimeFormat(undefined, options);
  }
}
