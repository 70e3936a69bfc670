import { h } from "./dom.ts";

/**
 * Reads a small part of Markdown: **bold**, *italic* and _italic_, `code`, fenced code,
 * [links](https://…) and bare addresses, and lists. All else is text, HTML too: nodes are
 * made by name, of strong, em, code, pre, a, ul, ol and li alone. It takes time in
 * proportion to the text, whatever that says.
 */
export function markdown(text: string): (Node | string)[] {
  const out: (Node | string)[] = [];
  const lines = text.split("\n");
  let plain: string[] = [];
  const flush = (end: string): void => {
    const words = plain.join("\n");
    if (words.trim() !== "") out.push(...inline(end ? words.trimEnd() + end : words));
    plain = [];
  };
  for (let at = 0; at < lines.length;) {
    const block = code(lines, at) ?? items(lines, at);
    if (block) {
      flush("\n");
      out.push(block.node);
      at = block.end;
      while (lines[at]?.trim() === "") at++;
    } else {
      plain.push(lines[at++] ?? "");
    }
  }
  flush("");
  return out;
}

/** The address that a link may lead to, undefined for any other. */
export function href(text: unknown): string | undefined {
  try {
    const url = new URL(text as string);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

/** A link out of the page. */
export function anchor(to: string, attributes: Readonly<Record<string, string>>, ...children: (Node | string)[]): HTMLAnchorElement {
  return h("a", { href: to, target: "_blank", rel: "noopener noreferrer", ...attributes }, ...children);
}

interface Block {
  readonly node: Node;
  /** The line after it. */
  readonly end: number;
}

const fence = /^ {0,3}```/;

/** Code between fences, or from a fence to the end: perhaps the rest is still being written. */
function code(lines: readonly string[], at: number): Block | undefined {
  if (!fence.test(lines[at] ?? "")) return undefined;
  let end = at + 1;
  while (end < lines.length && !fence.test(lines[end] ?? "")) end++;
  return { node: h("pre", {}, h("code", {}, lines.slice(at + 1, end).join("\n"))), end: end + 1 };
}

const item = /^\s{0,12}(?:[-*•]|(\d{1,3})[.)])\s+(\S.*)$/;

/** The items from a line on, of the kind of the first. What is indented below an item is of it. */
function items(lines: readonly string[], at: number): Block | undefined {
  const first = item.exec(lines[at] ?? "");
  if (!first) return undefined;
  const number = first[1];
  const texts: string[] = [];
  let end = at;
  for (; end < lines.length; end++) {
    const line = lines[end] ?? "";
    const next = item.exec(line);
    if (next && (next[1] === undefined) === (number === undefined)) texts.push(next[2] ?? "");
    else if (!next && /^\s{2,}\S/.test(line) && !fence.test(line)) texts.push(`${texts.pop()}\n${line.trim()}`);
    else break;
  }
  const list = number === undefined ? h("ul") : h("ol", { start: String(Number(number)) });
  for (const text of texts) list.append(h("li", {}, ...inline(text)), "\n"); // the break parts the words of textContent
  return { node: list, end };
}

/** How emphasis begins and how it ends: never within a word, never at a space. */
const marks = [
  { open: /\*\*(?!\s)/y, close: /\S\*\*(?![\w*])/g, tag: "strong" },
  { open: /\*(?![\s*])/y, close: /[^\s*]\*(?![\w*])/g, tag: "em" },
  { open: /_(?![\s_])/y, close: /[^\s_]_(?!\w)/g, tag: "em" },
] as const;

const DEEPEST = 4;

interface Span {
  readonly node: Node;
  readonly end: number;
}

/** Reads what stands within lines. Of links there are none within a link. */
function inline(text: string, depth = 0, links = true): (Node | string)[] {
  if (depth === DEEPEST) return [text];
  const out: (Node | string)[] = [];
  const none = new Set<RegExp>(); // what does not end in the rest of the text
  const start = /[`*_[]|https?:\/\//g;
  let from = 0;
  for (let m = start.exec(text); m; m = start.exec(text)) {
    const span = verbatim(text, m.index) ?? (links ? link(text, m.index, depth) : undefined) ?? emphasis(text, m.index, depth, links, none);
    if (!span) continue;
    out.push(text.slice(from, m.index), span.node);
    from = start.lastIndex = span.end;
  }
  out.push(text.slice(from));
  return out.filter((n) => n !== "");
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function verbatim(text: string, at: number): Span | undefined {
  const m = match(/`([^`\n]+)`/y, text, at);
  return m ? { node: h("code", {}, m[1] ?? ""), end: at + m[0].length } : undefined;
}

function link(text: string, at: number, depth: number): Span | undefined {
  const m = match(/\[([^[\]\n]+)\]\(((?:[^\s()]|\([^\s()]*\))+)\)/y, text, at);
  const named = m && href(m[2]);
  if (named) return { node: anchor(named, {}, ...inline(m[1] ?? "", depth + 1, false)), end: at + m[0].length };
  const bare = /\w/.test(text[at - 1] ?? "") ? undefined : match(/https?:\/\/[^\s<>"`]{1,2048}/y, text, at)?.[0];
  if (!bare) return undefined;
  const words = withoutPunctuation(bare);
  const to = href(words);
  return to ? { node: anchor(to, {}, words), end: at + words.length } : undefined;
}

/** A sentence's end is not the address's. */
function withoutPunctuation(address: string): string {
  let end = address.length;
  const open = address.includes("(");
  while (end > 0 && (".,;:!?*_~'’”]}".includes(address[end - 1] ?? "") || !open && address[end - 1] === ")")) end--;
  return address.slice(0, end);
}

function emphasis(text: string, at: number, depth: number, links: boolean, none: Set<RegExp>): Span | undefined {
  if (/\w/.test(text[at - 1] ?? "")) return undefined;
  for (const { open, close, tag } of marks) {
    const begin = match(open, text, at)?.[0].length;
    if (begin === undefined || none.has(close)) continue;
    const m = match(close, text, at + begin);
    if (!m) {
      none.add(close);
      continue;
    }
    return { node: h(tag, {}, ...inline(text.slice(at + begin, m.index + 1), depth + 1, links)), end: m.index + m[0].length };
  }
  return undefined;
}
