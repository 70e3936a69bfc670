/** The longest pause between two attempts, in milliseconds, unless the server wants one. */
const CAP = 30_000;
const FIRST = 1_000;

/**
 * How long to wait before the attempt, in milliseconds: full jitter, so that the pages of
 * a server that went down do not come back all at once. attempt counts from 0. retryAfter
 * is the server's wish in seconds: no attempt comes earlier.
 */
export function backoff(attempt: number, retryAfter = 0): number {
  return retryAfter * 1_000 + Math.random() * Math.min(CAP, FIRST * 2 ** attempt);
}
