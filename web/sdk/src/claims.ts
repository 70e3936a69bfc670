import { parse } from "./jwe.ts";

/** What a token claims, unverified: nothing if it cannot be read. */
export function claimsOf(token: string): Readonly<Record<string, unknown>> {
  try {
    return parse(token.split(".")[1]);
  } catch {
    return {};
  }
}
