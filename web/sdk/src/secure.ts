import type { Secure } from "./events.ts";

/** What a check of the session says of a message that it does not let through. */
const blocks: readonly string[] = [
  "unauthorized", "credential_missing", "restricted", "temporarily_unavailable", "bot_not_running",
];

/**
 * Whether a refusal asks for the user: that message goes out again by hand. A server that is
 * busy asks for nothing but time, unless it is so with a session that is not secured.
 */
export function isBlock(code: string, session: Secure | undefined): boolean {
  return blocks.includes(code) || code === "busy" && (session?.state ?? "secured") !== "secured";
}
