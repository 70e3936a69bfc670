// @vitest-environment happy-dom
import { describe, expect, test } from "vitest";
import { contentOf } from "../src/element/content.ts";
import { href, markdown } from "../src/element/markdown.ts";

/** What a text is shown as, with its marks as HTML. */
function shown(text: string): string {
  const div = document.createElement("div");
  div.append(...markdown(text));
  return div.innerHTML.replaceAll(` target="_blank" rel="noopener noreferrer"`, "");
}

describe("markdown", () => {
  test.each<[string, string]>([
    ["", ""],
    ["plain\ntext", "plain\ntext"],
    ["**bold** and *italic* and _italic_", "<strong>bold</strong> and <em>italic</em> and <em>italic</em>"],
    ["***both***", "<strong><em>both</em></strong>"],
    ["*a **b** c*", "<em>a <strong>b</strong> c</em>"],
    ["这是**粗体**文字", "这是<strong>粗体</strong>文字"],
    ["2 * 3 * 4, a*b*c, snake_case_name, __init__", "2 * 3 * 4, a*b*c, snake_case_name, __init__"],
    ["** no **, * no *, **no", "** no **, * no *, **no"],
    ["**", "**"],
    ["a `**code**` b", "a <code>**code**</code> b"],
    ["a ` b", "a ` b"],
    ["[Carnet](https://carnet.test/a_(b)?c=d&e) now", `<a href="https://carnet.test/a_(b)?c=d&amp;e">Carnet</a> now`],
    ["[**bold** link](https://x.test)", `<a href="https://x.test/"><strong>bold</strong> link</a>`],
    ["write to [us](mailto:a@x.test)", `write to <a href="mailto:a@x.test">us</a>`],
    ["see https://x.test/a_b_c.", `see <a href="https://x.test/a_b_c">https://x.test/a_b_c</a>.`],
    ["(https://x.test), \"https://y.test\"!", `(<a href="https://x.test/">https://x.test</a>), "<a href="https://y.test/">https://y.test</a>"!`],
    ["https://x.test/w_(b)", `<a href="https://x.test/w_(b)">https://x.test/w_(b)</a>`],
    ["[one https://x.test](https://y.test)", `<a href="https://y.test/">one https://x.test</a>`],
    ["[x](javascript:alert(1))", "[x](javascript:alert(1))"],
    ["[x](data:text/html,a)", "[x](data:text/html,a)"],
    ["[x](/path) [x](//host)", "[x](/path) [x](//host)"],
    ["http:// and http://[ stay", "http:// and http://[ stay"],
    ["Colours:\n\n- red\n- **blue**\n\nPick!", "Colours:\n<ul><li>red</li>\n<li><strong>blue</strong></li>\n</ul>Pick!"],
    ["* one\n* two", "<ul><li>one</li>\n<li>two</li>\n</ul>"],
    ["1. one\n   more\n2) two", `<ol start="1"><li>one\nmore</li>\n<li>two</li>\n</ol>`],
    ["3. three\n- other", `<ol start="3"><li>three</li>\n</ol><ul><li>other</li>\n</ul>`],
    ["2026. a year", "2026. a year"],
    ["-no list", "-no list"],
    ["code:\n```js\nlet <a> = **b**\n\n```\nend", "code:\n<pre><code>let &lt;a&gt; = **b**\n</code></pre>end"],
    ["```\nstill being", "<pre><code>still being</code></pre>"],
    ["<b>x</b><img src=x onerror=alert(1)>", "&lt;b&gt;x&lt;/b&gt;&lt;img src=x onerror=alert(1)&gt;"],
    ["**<script>alert(1)</script>**", "<strong>&lt;script&gt;alert(1)&lt;/script&gt;</strong>"],
    ["**a *b **c *d **e", "**a *b **c *d **e"],
  ])("%j", (text, want) => {
    expect(shown(text)).toBe(want);
  });

  test("opens links elsewhere, and tells them nothing", () => {
    const [a] = markdown("https://x.test") as [HTMLAnchorElement];
    expect([a.target, a.rel]).toEqual(["_blank", "noopener noreferrer"]);
  });

  const allowed: Record<string, string[]> = {
    STRONG: [], EM: [], CODE: [], PRE: [], UL: [], LI: [], OL: ["start"], A: ["href", "rel", "target"],
  };

  test("makes nothing but what is allowed, of whatever is said", () => {
    const pieces = [
      "*", "**", "_", "__", "`", "```", "\n", "\n\n", "- ", "* ", "1. ", "9) ", "[", "](", ")", "(", "]", " ", "  ", "a", "Ωß", "word",
      "https://x.test/", "http://", "mailto:a@b", "javascript:alert(1)", "JaVaScRiPt:", "data:text/html,", "vbscript:x", "\tjava\nscript:",
      "<script>", "</script>", "<img src=x onerror=alert(1)>", "<a href=\"javascript:x\">", "&lt;", "&#x3c;", "\"", "'", "\\", "\u0000", "\u202e", "\ud800",
    ];
    let seed = 7;
    const pick = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
    let links = 0;
    for (let round = 0; round < 4_000; round++) {
      const text = Array.from({ length: 1 + pick(25) }, () => pieces[pick(pieces.length)]).join("");
      const div = document.createElement("div");
      div.append(...markdown(text));
      for (const e of div.querySelectorAll("*")) {
        expect(Object.keys(allowed), text).toContain(e.tagName);
        for (const { name } of e.attributes) expect(allowed[e.tagName], text).toContain(name);
        if (e.tagName !== "A") continue;
        links++;
        expect(e.getAttribute("href"), text).toMatch(/^(https?:\/\/|mailto:)/);
        expect(e.querySelector("a"), text).toBeNull();
      }
      // nothing is added but the breaks between items, and nothing taken away but marks
      const letters = (s: string): string => s.replace(/[^a-zΩß<>&;"'=#]/g, "");
      if (!/```|\]\(/.test(text)) expect(letters(div.textContent), text).toBe(letters(text));
    }
    expect(links).toBeGreaterThan(100);
  });

  test.each([
    "**a ", "*a ", "_a ", "*", "`", "``a", "[", "[a](", "[a](x", "[a]((", "http://", "http://[", "https://x!", "- a\n", "1. a\n", "```\n", "\n", " ",
    "**a*b_", "-", "http://a(", "[[a](b)", "*a _b **c ",
  ])("takes time in proportion to a text of many %j", (piece) => {
    const time = (size: number): number => { // of a processor, in milliseconds
      const text = piece.repeat(size / piece.length);
      const begin = process.cpuUsage();
      markdown(text);
      const { user, system } = process.cpuUsage(begin);
      return (user + system) / 1_000;
    };
    time(1_000);
    const long = time(60_000);
    if (long <= 400) return;
    const best = (size: number): number => Math.min(...[1, 2, 3].map(() => time(size))); // what else runs only adds
    expect(best(60_000) / best(15_000)).toBeLessThan(9); // four times as long, and some noise
  });
});

test.each<[unknown, string | undefined]>([
  ["https://x.test", "https://x.test/"], ["HTTP://x.test", "http://x.test/"], ["mailto:a@x.test", "mailto:a@x.test"],
  [" https://x.test ", "https://x.test/"], ["javascript:alert(1)", undefined], ["java\nscript:alert(1)", undefined], [" javascript:x", undefined],
  ["blob:https://x.test/a", undefined], ["file:///etc/passwd", undefined], ["x.test", undefined], ["/x", undefined], ["//x.test", undefined],
  ["", undefined], [undefined, undefined], [7, undefined], [{}, undefined], [["https://x.test"], "https://x.test/"],
])("a link to %j leads to %j", (text, want) => {
  expect(href(text)).toBe(want);
});

describe("contentOf", () => {
  const empty = { text: "", replies: [], buttons: [], images: [] };
  test.each<[unknown, object]>([
    ["a string", { text: "a string" }],
    [{ text: "hello" }, { text: "hello" }],
    [{ text: 7 }, {}],
    [null, {}], [undefined, {}], [7, {}], [[], {}], [{ card: 1 }, {}],
    [{ text: "?", quick_replies: ["red", "", 7, null, { title: "Blue", payload: { c: 1 } }, { title: "" }, { payload: 1 }, { title: "Green" }] }, {
      text: "?", replies: [{ title: "red" }, { title: "Blue", payload: { c: 1 } }, { title: "Green" }],
    }],
    [{ quick_replies: "red" }, {}],
    [{ buttons: [{ title: "Open", url: "https://x.test" }, { title: "Buy", payload: "buy" }, { title: "Bad", url: "javascript:x" }, { title: "No", url: 7 }] }, {
      buttons: [{ title: "Open", url: "https://x.test/" }, { title: "Buy", payload: "buy" }],
    }],
    [{ images: [{ url: "https://x.test/a.png", alt: "A cat" }, { url: "https://x.test/b.png", alt: "" }] }, {
      images: [{ url: "https://x.test/a.png", alt: "A cat" }, { url: "https://x.test/b.png", alt: "" }],
    }],
    [{ images: [{ url: "http://x.test/a.png", alt: "" }, { url: "https://x.test/a.png" }, { url: "data:image/png,x", alt: "" }, "https://x.test/a.png"] }, {}],
  ])("of %j", (body, want) => {
    expect(contentOf(body)).toEqual({ ...empty, ...want });
  });
});
