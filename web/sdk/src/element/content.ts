import { href } from "./markdown.ts";

/** Something to pick: it is sent as a message, with its payload if it has one; or it is a link. */
export interface Choice {
  readonly title: string;
  readonly payload?: unknown;
  readonly url?: string;
}

export interface Image {
  readonly url: string;
  readonly alt: string;
}

/** What can be shown of a message. */
export interface Content {
  readonly text: string;
  readonly replies: readonly Choice[];
  readonly buttons: readonly Choice[];
  readonly images: readonly Image[];
}

/**
 * Reads a body: a string, or {text?, quick_replies?, buttons?, images?}. What is of
 * another shape, or leads where a link may not lead, is left out.
 */
export function contentOf(body: unknown): Content {
  const b = fields(body);
  return {
    text: typeof body === "string" ? body : typeof b["text"] === "string" ? b["text"] : "",
    replies: list(b["quick_replies"]).flatMap((r) => typeof r === "string" ? choice({ title: r }) : choice(fields(r))),
    buttons: list(b["buttons"]).flatMap((v) => "url" in fields(v) ? link(fields(v)) : choice(fields(v))),
    images: list(b["images"]).flatMap((v) => image(fields(v))),
  };
}

/** The message that picking something sends. */
export function bodyOf({ title, payload }: Choice): unknown {
  return payload === undefined ? { text: title } : { text: title, payload };
}

type Fields = Readonly<Record<string, unknown>>;

const fields = (v: unknown): Fields => typeof v === "object" && v !== null ? v as Fields : {};
const list = (v: unknown): readonly unknown[] => Array.isArray(v) ? v : [];

function choice({ title, payload }: Fields): Choice[] {
  if (typeof title !== "string" || title === "") return [];
  return [payload === undefined ? { title } : { title, payload }];
}

function link({ title, url }: Fields): Choice[] {
  const to = href(url);
  return typeof title === "string" && title !== "" && to ? [{ title, url: to }] : [];
}

/** An image needs an alternative text, which may be empty if it says nothing. */
function image({ url, alt }: Fields): Image[] {
  const from = href(url);
  return from?.startsWith("https:") && typeof alt === "string" ? [{ url: from, alt }] : [];
}
