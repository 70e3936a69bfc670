import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const web = fileURLToPath(new URL("../..", import.meta.url));
const name = "@carnetproject/sdk";

interface About {
  readonly exports: Record<string, string | Record<string, string>>;
  readonly sideEffects: string[];
  readonly [name: string]: unknown;
}

/** A page's folder, with the package installed as npm would. */
let page: string;
let installed: string;
let files: string[];
let about: About;

const run = (command: string, args: string[], cwd: string): string =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

beforeAll(() => {
  const [listed] = JSON.parse(run("npm", ["pack", "--dry-run", "--json", "--silent"], join(web, "sdk"))) as [{ files: { path: string }[] }];
  files = listed.files.map((f) => f.path).sort();
  page = mkdtempSync(join(tmpdir(), "carnet-sdk-"));
  installed = join(page, "node_modules", name);
  mkdirSync(installed, { recursive: true });
  for (const f of files) cpSync(join(web, "sdk", f), join(installed, f));
  writeFileSync(join(page, "package.json"), `{"type":"module"}`);
  about = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as About;
}, 120_000);

afterAll(() => rmSync(page, { recursive: true, force: true }));

describe("the npm package", () => {
  test("has the bundles, their types, and nothing else", () => {
    expect(files.filter((f) => !f.startsWith("types/"))).toEqual([
      "LICENSE", "README.md", "dist/carnet-chat.js", "dist/carnet.global.js", "dist/carnet.js", "package.json",
    ]);
    expect(files.filter((f) => f.startsWith("types/") && !f.endsWith(".d.ts"))).toEqual([]);
  });

  test("has what it says that it has", () => {
    const targets = Object.values(about.exports).flatMap((e) => typeof e === "string" ? e : Object.values(e));
    for (const path of [...targets, ...about.sideEffects, about["unpkg"] as string]) {
      expect(existsSync(join(installed, path)), path).toBe(true);
    }
  });

  test("has the bundles that Carnet serves", () => {
    for (const f of ["carnet.js", "carnet-chat.js", "carnet.global.js"]) {
      expect(readFileSync(join(installed, "dist", f), "utf8")).toBe(readFileSync(join(web, "dist/sdk", f), "utf8"));
    }
  });

  test("needs no other package", () => {
    expect(about).not.toHaveProperty("dependencies");
    expect(about).not.toHaveProperty("peerDependencies");
  });

  test("can be imported, and does nothing by that", async () => {
    const before = Object.keys(globalThis);
    const sdk = await import(pathToFileURL(join(installed, "dist/carnet.js")).href) as Record<string, unknown>;
    expect(Object.keys(sdk).sort()).toEqual(["CarnetError", "connect"]);
    expect(Object.keys(globalThis)).toEqual(before);
    expect(about.sideEffects).not.toContain("./dist/carnet.js");
  });

  test("as a script tag makes one global of the same", () => {
    const window: Record<string, unknown> = { EventTarget };
    runInNewContext(readFileSync(join(installed, "dist/carnet.global.js"), "utf8"), window);
    expect(Object.keys(window)).toEqual(["EventTarget", "Carnet"]);
    expect(Object.keys(window["Carnet"] as object).sort()).toEqual(["CarnetError", "connect"]);
  });
});

const good = `
import { connect, CarnetError, type Connection, type Encryption, type Events, type Message, type Options, type Page, type Receipt, type State } from "${name}";
import { CarnetChat } from "${name}/chat";

const options: Options = { url: "https://carnet.test", bot: "echo", assertion: async () => "t", tabs: "shared", loadHistory: 50 };
const chat: Connection = connect(options);
const off: () => void = chat.on("message", (m: Message) => m.seq.toFixed());
chat.on("delta", ({ id, whole }) => id + whole);
chat.on("state", (s: State) => { if (s.name === "waiting") s.retryAt.toFixed(); else if (s.name === "locked") s.reason.code; });
const receipt: Promise<Receipt> = chat.send({ text: "x" }).done;
const page: Promise<Page> = chat.history({ before: 3, limit: 10 });
const kinds: (keyof Events)[] = ["state", "session", "message", "history", "ack", "nack", "blocked", "resent", "delta", "typing", "read", "secure", "expired"];
chat.on("expired", ({ reason }) => reason.toUpperCase());
for (const { id, blocked } of chat.pending) if (blocked === "unauthorized" && chat.secure?.state !== "locked") chat.resend(id);
const element: CarnetChat = document.createElement("carnet-chat");
element.assertion = async () => "t";
element.strings = { send: "Senden" };
element.encryption = { thumbprint: ["a", "b"] };
const pin: Encryption = { signedBy: { kty: "EC" } };
connect({ ...options, encryption: pin }).on("message", ({ sealed }) => sealed === "elsewhere" || sealed === "broken");
const connection: Connection | undefined = element.connection;
try { off(); } catch (e) { if (CarnetError.is(e)) e.code; }
export { receipt, page, kinds, connection };
`;

/** What TypeScript has to say of a page's code. */
function check(source: string, resolution: "bundler" | "nodenext"): string {
  writeFileSync(join(page, "page.ts"), source);
  const args = [
    join(web, "node_modules/typescript/bin/tsc"), "--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom",
    "--module", resolution === "bundler" ? "esnext" : "nodenext", "--moduleResolution", resolution,
    "--exactOptionalPropertyTypes", "--types", "", "page.ts",
  ];
  try {
    return run(process.execPath, args, page);
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

describe("its types", { timeout: 120_000 }, () => { // a compiler runs for each
  test.each(["bundler", "nodenext"] as const)("are found, resolving as %s", (resolution) => {
    expect(check(good, resolution)).toBe("");
  });

  test.each([
    [`import { connect } from "${name}"; connect({ url: "/", bot: "echo" });`, "assertion"],
    [`import { connect } from "${name}"; connect({ url: "/", bot: "b", assertion: async () => "", tabs: "some" });`, `"some"`],
    [`import type { Connection } from "${name}"; declare const c: Connection; c.on("mesage", () => {});`, "mesage"],
    [`import type { Connection } from "${name}"; declare const c: Connection; c.on("message", (m) => { m.seq = 1; });`, "seq"],
    [`import type { Connection } from "${name}"; declare const c: Connection; c.emit("typing", { from: "bot" });`, "emit"],
    [`import { connect } from "${name}"; connect({ url: "/", bot: "b", assertion: async () => "", encryption: {} });`, "Encryption"],
    [`import x from "${name}/dist/carnet.js"; x;`, "dist/carnet.js"],
  ])("refuse %s", (source, word) => {
    expect(check(source, "bundler")).toContain(word);
  });
});
