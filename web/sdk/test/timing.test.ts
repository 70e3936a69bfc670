import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { backoff } from "../src/backoff.ts";
import { Renewal } from "../src/renewal.ts";

const NOW = Date.UTC(2026, 5, 1, 12);

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("backoff", () => {
  test("spreads over all of a window that grows to 30 seconds", () => {
    for (const [attempt, most] of [[0, 1_000], [1, 2_000], [4, 16_000], [5, 30_000], [2_000, 30_000]] as const) {
      const waits = Array.from({ length: 500 }, () => backoff(attempt));
      expect(Math.max(...waits)).toBeLessThanOrEqual(most);
      expect(Math.max(...waits)).toBeGreaterThan(most * 0.9);
      expect(Math.min(...waits)).toBeLessThan(most * 0.1);
    }
  });

  test("never comes before the server's wish, and is spread behind it", () => {
    const waits = Array.from({ length: 500 }, () => backoff(0, 60));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(60_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(61_000);
    expect(new Set(waits).size).toBeGreaterThan(400);
  });
});

describe("Renewal", () => {
  const begin = (): { renewal: Renewal; at: () => number[]; expired: () => number[] } => {
    const times: number[] = [];
    const ends: number[] = [];
    const now = (): number => (Date.now() - NOW) / 1_000;
    return { renewal: new Renewal(() => times.push(now()), () => ends.push(now())), at: () => times, expired: () => ends };
  };

  test.each([
    [900, 0.999, 840], [900, 0, 870], [300, 0.999, 240], [100, 0.999, 80], [100, 0, 90], [10, 0.999, 8], [1, 0.999, 0.8], [0, 0, 0],
  ])("of %d seconds, at a chance of %d, is due after %d", (life, chance, due) => {
    vi.spyOn(Math, "random").mockReturnValue(chance);
    const { renewal, at, expired } = begin();
    renewal.expiresIn(life);
    vi.advanceTimersByTime(life * 1_000 + 1);
    expect(at()).toHaveLength(1);
    expect(at()[0]).toBeCloseTo(due, 1);
    expect(expired()).toEqual([life]);
  });

  test("tells of an end once, and not of one that was put off", () => {
    const { renewal, expired } = begin();
    renewal.expiresIn(900);
    vi.advanceTimersByTime(899_000);
    renewal.expiresIn(900);
    vi.advanceTimersByTime(899_000);
    expect(expired()).toEqual([]);
    vi.advanceTimersByTime(60_000);
    expect(expired()).toEqual([899 + 900]);
    renewal.expiresIn(900);
    renewal.stop();
    vi.advanceTimersByTime(1_000_000);
    expect(expired()).toHaveLength(1);
  });

  test("counts anew with each token", () => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    const { renewal, at } = begin();
    renewal.expiresIn(900);
    vi.advanceTimersByTime(800_000);
    renewal.expiresIn(900);
    vi.advanceTimersByTime(839_000);
    expect(at()).toEqual([]);
    vi.advanceTimersByTime(1_000);
    expect(at()).toEqual([1_640]);
  });

  test("comes at most every five seconds", () => {
    const { renewal, at } = begin();
    renewal.soon();
    vi.advanceTimersByTime(1);
    for (let i = 0; i < 100; i++) {
      renewal.soon();
      vi.advanceTimersByTime(100);
    }
    expect(at().length).toBeLessThanOrEqual(3);
    renewal.stop();
  });

  test("survives clocks that jump", () => {
    const { renewal, at } = begin();
    renewal.soon();
    vi.advanceTimersByTime(1);
    vi.setSystemTime(NOW - 3_600_000);
    renewal.soon();
    vi.advanceTimersByTime(5_000);
    expect(at()).toHaveLength(2);
    vi.setSystemTime(NOW + 3_600_000);
    renewal.soon();
    vi.advanceTimersByTime(1);
    expect(at()).toHaveLength(3);
  });

  test("is not due before its time, nor after it was stopped", () => {
    const { renewal, at } = begin();
    renewal.expiresIn(900);
    renewal.check();
    vi.advanceTimersByTime(1);
    expect(at()).toEqual([]);
    renewal.stop();
    vi.setSystemTime(NOW + 3_600_000);
    renewal.check();
    vi.advanceTimersByTime(3_600_000);
    expect(at()).toEqual([]);
  });

  test("of a token for a year does not come at once, nor does its end", () => {
    const { renewal, at, expired } = begin();
    renewal.expiresIn(365 * 86_400);
    vi.advanceTimersByTime(86_400_000);
    expect([at(), expired()]).toEqual([[], []]);
  });
});
