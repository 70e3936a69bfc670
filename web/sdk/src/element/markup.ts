/**
 * Reads timeline markup, as bots of ServisBOT have it for what a check of the session says, as
 * the body of a message: its texts, its links, and what may be picked. Nothing of it
 * becomes an element of the page. Undefined if it is not well-formed XML.
 */
export function bodyFrom(markup: string): unknown {
  let root: Element;
  try {
    root = new DOMParser().parseFromString(markup, "text/xml").documentElement;
  } catch { // a page's trusted types forbid it
    return undefined;
  }
  if (root.localName !== "TimelineMessage" || root.querySelector("parsererror")) return undefined;
  const texts: string[] = [];
  const buttons: object[] = [];
  for (const e of root.querySelectorAll("*")) {
    const title = e.getAttribute("label") ?? e.getAttribute("title") ?? "";
    const url = e.getAttribute("url");
    if (url !== null) buttons.push({ title: e.getAttribute("urlTitle") ?? (title || url), url });
    else if (e.matches(choices)) buttons.push({ title, payload: e.getAttribute("id") ?? undefined });
    else texts.push(title, e.getAttribute("subtitle") ?? "", e.getAttribute("body") ?? "", own(e));
  }
  return { text: texts.filter(Boolean).join("\n"), buttons };
}

/** The elements that send their title when they are picked. */
const choices = "ButtonPrompt, Option, [selectable=true] > Item";

/** An element's text without that of the elements in it. */
function own(e: Element): string {
  return [...e.childNodes].map((n) => n.nodeType === n.ELEMENT_NODE ? "" : n.textContent).join("").trim();
}
