import { CarnetError } from "./error.ts";

/** How long the page may take for a token, in milliseconds. */
const WITHIN = 30_000;

/**
 * Gets a token from the page. A CarnetError of the page's own is thrown as it is: it ends
 * the connection. All else that goes wrong is assertion_failed, and may be tried again.
 */
export async function tokenFrom(assertion: () => Promise<string>): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in time")), WITHIN);
  });
  try {
    const token: unknown = await Promise.race([assertion(), late]);
    if (typeof token !== "string" || token === "") throw new TypeError("the token must be a string");
    return token;
  } catch (cause) {
    throw CarnetError.is(cause) ? cause : new CarnetError("assertion_failed", "there is no token to sign in with", { cause });
  } finally {
    clearTimeout(timer);
  }
}
