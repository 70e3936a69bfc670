import { describe, expect, test } from "vitest";
import { decode, decodePage, MAX_BODY, unfit } from "../src/wire.ts";

const at = "2026-06-01T12:00:00.123Z";

describe("decode", () => {
  test.each<[string, object, object]>([
    ["welcome", {
      type: "welcome", conversation: "c", user: { iss: "i", sub: "s", name: "Ann" }, last_seq: 2, session: "s", expires_in: 900,
      ping_interval: 25, later: 1,
    }, {
      type: "welcome", conversation: "c", user: { iss: "i", sub: "s" }, lastSeq: 2, readSeq: 0, session: "s", expiresIn: 900, pingInterval: 25,
    }],
    ["message", { type: "message", seq: 1, id: "a", from: "bot", body: null, at }, {
      type: "message", message: { seq: 1, id: "a", from: "bot", body: null, at: new Date(at) },
    }],
    ["ack", { type: "ack", id: "a", seq: 1, at }, { type: "ack", id: "a", seq: 1, at: new Date(at) }],
    ["nack", { type: "nack", id: "a", error: { code: "x", title: "y", retry_after: 0.5 } }, {
      type: "nack", id: "a", error: { code: "x", title: "y", retryAfter: 0.5 },
    }],
    ["nack for good", { type: "nack", id: "a", error: { code: "x", title: "y" } }, { type: "nack", id: "a", error: { code: "x", title: "y" } }],
    ["session", { type: "session", session: "s", expires_in: 3 }, { type: "session", session: "s", expiresIn: 3 }],
    ["secure", { type: "secure", state: "unavailable", reason: "r", message: "m", retry_after: 3 }, {
      type: "secure", state: "unavailable", reason: "r", message: "m", retryAfter: 3,
    }],
    ["typing of a bot that does not say so", { type: "typing" }, { type: "typing", from: "bot" }],
  ])("%s", (_, frame, want) => {
    expect(decode(JSON.stringify(frame))).toStrictEqual(want);
  });

  test.each([undefined, null, 7, {}, new ArrayBuffer(2), new Blob(["{}"]), "", "[", "nul", `"ping"`])("%s is no frame", (junk) => {
    expect(decode(junk)).toBeUndefined();
  });

  test.each(["constructor", "toString", "__proto__", "hasOwnProperty", "PING", " ping"])("there is no type %s", (type) => {
    expect(decode(JSON.stringify({ type }))).toBeUndefined();
  });

  test("a frame with any member of another kind is no frame, and none throws", () => {
    const frames = [
      { type: "welcome", conversation: "c", user: { iss: "i", sub: "s" }, last_seq: 2, session: "s", expires_in: 900, ping_interval: 25 },
      { type: "message", seq: 1, id: "a", from: "bot", at, body: 1 },
      { type: "ack", id: "a", seq: 1, at },
      { type: "nack", id: "a", error: { code: "x", title: "y" } },
      { type: "delta", id: "a", text: "t" },
      { type: "read", seq: 1 },
      { type: "context", id: "c" },
      { type: "session", session: "s" },
      { type: "secure", state: "locked", reason: "r" },
      { type: "error", error: { code: "x", title: "y" } },
    ];
    for (const frame of frames) {
      expect(decode(JSON.stringify(frame)), frame.type).toBeDefined();
      for (const name of Object.keys(frame).filter((n) => n !== "body")) {
        const cases: unknown[] = [undefined, null, true, [], -1, 0.5, 1e300, "other", { iss: 1 }, { code: "x" }];
        for (const value of cases.filter((v) => typeof v !== typeof frame[name as keyof typeof frame] || v === null || Array.isArray(v))) {
          expect(decode(JSON.stringify({ ...frame, [name]: value })), `${frame.type} with ${name} ${JSON.stringify(value)}`).toBeUndefined();
        }
      }
    }
  });
});

describe("decodePage", () => {
  const m = { seq: 1, id: "a", from: "user", body: { text: "x" }, at };
  test("reads messages, and that there are more", () => {
    expect(decodePage({ messages: [m], more: true })).toEqual({ messages: [{ ...m, at: new Date(at) }], more: true });
    expect(decodePage({ messages: [] })).toEqual({ messages: [], more: false });
  });
  test.each([undefined, null, [], {}, { messages: {} }, { messages: [null] }, { messages: [{ ...m, seq: 0 }] }])("%j is no page", (junk) => {
    expect(decodePage(junk)).toBeUndefined();
  });
});

describe("unfit", () => {
  const nested = (levels: number): unknown => levels === 0 ? 1 : [nested(levels - 1)];
  test.each<[string, unknown, string | undefined]>([
    ["a string of the most bytes", "x".repeat(MAX_BODY - 2), undefined],
    ["one more", "x".repeat(MAX_BODY - 1), "too_large"],
    ["bytes count, not characters", "é".repeat(MAX_BODY / 2), "too_large"],
    ["the most levels", nested(31), undefined],
    ["one more", nested(32), "bad_body"],
    ["a date, which is a string", new Date(0), undefined],
    ["what writes itself as nothing", { toJSON: () => undefined }, "bad_body"],
    ["what cannot be written", { toJSON: () => { throw new Error("no"); } }, "bad_body"],
    ["half a character, which JSON escapes", "\ud800", undefined],
    ["undefined", undefined, "bad_body"],
    ["a symbol", Symbol("x"), "bad_body"],
  ])("%s", (_, value, want) => {
    expect(unfit(value, MAX_BODY)).toBe(want);
  });
});
