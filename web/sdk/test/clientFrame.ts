/**
 * The server's view of a client's frame, for the fake server: as strict as the real one,
 * which the vectors in testdata/protocol prove. JSON.parse hides two faults that the real
 * one sees, members given twice and numbers written otherwise than in digits; the SDK
 * writes by JSON.stringify and can make neither.
 */
type Check = (v: unknown) => boolean;

const encoder = new TextEncoder();
const text = (most: number): Check => (v) => typeof v === "string" && v !== "" && encoder.encode(v).length <= most;
const id: Check = (v) => typeof v === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(v);
const count: Check = (v) => Number.isSafeInteger(v) && (v as number) >= 0;
const object = (most: number): Check => (v) =>
  typeof v === "object" && v !== null && !Array.isArray(v) && encoder.encode(JSON.stringify(v)).length <= most;
const present: Check = (v) => v !== null && v !== undefined;
const optional = (c: Check): Check => (v) => v === undefined || c(v);

const TOKEN = 16 << 10;

const members: Record<string, Record<string, Check>> = {
  hello: {
    token: text(TOKEN), bot: text(64), conversation: optional(id), after: optional(count),
    session: optional(text(21 << 10)), context: optional(object(10 << 10)),
    merge: optional(text(TOKEN)),
  },
  send: { id, body: present },
  typing: {},
  read: { seq: count },
  context: { id: optional(id), set: object(10 << 10) },
  refresh: { token: text(TOKEN) },
  ping: {},
  pong: {},
};

/** Why the server would close on this text, undefined if it would not. */
export function refusalOf(frame: string): string | undefined {
  if (encoder.encode(frame).length > 64 << 10) return "too large";
  let value: unknown;
  try {
    value = JSON.parse(frame);
  } catch {
    return "not JSON";
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "not an object";
  const f = value as Record<string, unknown>;
  const type = f["type"];
  if (type === "context" && id(f["id"])) return object(64 << 10)(f["set"]) ? undefined : "set"; // the rest is answered
  if (depth(value) > 32) return "too deep";
  if (typeof type !== "string" || !Object.hasOwn(members, type)) return "type";
  return Object.entries(members[type] ?? {}).find(([name, ok]) => !ok(f[name]))?.[0];
}

function depth(v: unknown): number {
  return typeof v === "object" && v !== null ? 1 + Math.max(0, ...Object.values(v).map(depth)) : 0;
}
