import type { Pending } from "./outbox.ts";

/** What a page remembers of a conversation over a reload. */
export interface Memory {
  /** The user as the server named it, as JSON: another user must not get this state. */
  user?: string | undefined;
  conversation?: string | undefined;
  /** The server's sealed state. */
  session?: string | undefined;
  /** The newest message that the page has seen. */
  cursor?: number | undefined;
  /** An anonymous token of the user, see Options.merge. */
  token?: string | undefined;
  pending: readonly Pending[];
}

/** The part of the Storage interface that is needed. */
export type Store = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** Reads what was remembered. Junk, and a storage that refuses, are an empty memory. */
export function recall(store: Store | undefined, key: string): Memory {
  try {
    const v: unknown = JSON.parse(store?.getItem(key) ?? "");
    if (valid(v)) return v;
  } catch {
    // no storage, or not ours
  }
  return { pending: [] };
}

/** Remembers m as well as the storage allows: a full one costs the reload, no more. */
export function remember(store: Store | undefined, key: string, m: Memory): void {
  try {
    store?.setItem(key, JSON.stringify(m));
  } catch {
    // the page goes on without
  }
}

export function forget(store: Store | undefined, key: string): void {
  try {
    store?.removeItem(key);
  } catch {
    // there was nothing to forget
  }
}

/** This tab's own storage, unless the browser forbids it. */
export function tabStorage(): Store | undefined {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}

function valid(v: unknown): v is Memory {
  if (typeof v !== "object" || v === null) return false;
  const m = v as Record<keyof Memory, unknown>;
  const optional = (value: unknown, type: string): boolean => value === undefined || typeof value === type;
  return optional(m.user, "string") && optional(m.conversation, "string") && optional(m.session, "string")
    && optional(m.token, "string") && (m.cursor === undefined || Number.isSafeInteger(m.cursor))
    && Array.isArray(m.pending)
    && m.pending.every((p: Pending | null) => typeof p === "object" && p !== null && "body" in p && isID(p.id) && optional(p.blocked, "string"));
}

function isID(v: unknown): boolean {
  return typeof v === "string" && /^[\w-]{1,64}$/.test(v);
}
