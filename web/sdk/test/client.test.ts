import { afterEach, describe, expect, test, vi } from "vitest";
import { CarnetError, connect } from "../src/index.ts";
import { FakeServer } from "./fakeServer.ts";

afterEach(() => vi.unstubAllGlobals());

/** The address that connect makes of its options, or the code of what it throws. */
async function target(url: string, requireHTTPS?: boolean): Promise<string> {
  const server = new FakeServer();
  const assertion = async (): Promise<string> => "token";
  try {
    const c = connect({ url, bot: "echo", assertion, WebSocket: server.WebSocket, storage: null, requireHTTPS });
    await vi.waitFor(() => expect(c.state.name).toBe("open"), { timeout: 30_000, interval: 5 });
    c.close();
    return server.socket.url;
  } catch (e) {
    return CarnetError.is(e) ? e.code : String(e);
  }
}

describe("the address", () => {
  test.each<[string, boolean | undefined, string]>([
    ["https://carnet.test", undefined, "wss://carnet.test/chat/v1/connect"],
    ["https://carnet.test:8443/eu//", true, "wss://carnet.test:8443/eu/chat/v1/connect"],
    ["https://carnet.test/?a=b#c", undefined, "wss://carnet.test/chat/v1/connect"],
    ["http://localhost:8080", undefined, "ws://localhost:8080/chat/v1/connect"],
    ["http://127.0.0.1:8080", undefined, "ws://127.0.0.1:8080/chat/v1/connect"],
    ["http://[::1]:8080", undefined, "ws://[::1]:8080/chat/v1/connect"],
    ["http://app.localhost", undefined, "ws://app.localhost/chat/v1/connect"],
    ["http://carnet.test", false, "ws://carnet.test/chat/v1/connect"],
    ["http://carnet.test", undefined, "insecure_url"],
    ["http://127.0.0.1.carnet.test", undefined, "insecure_url"],
    ["http://localhost.carnet.test", undefined, "insecure_url"],
    ["http://localhost", true, "insecure_url"],
    ["ftp://carnet.test", undefined, "bad_url"],
    ["javascript:alert(1)", false, "bad_url"],
    ["/", undefined, "bad_url"],
    ["", undefined, "bad_url"],
  ])("%s, requireHTTPS %j: %s", async (url, requireHTTPS, want) => {
    expect(await target(url, requireHTTPS)).toBe(want);
  });

  test("may be relative to the page", async () => {
    vi.stubGlobal("location", new URL("https://shop.test/help/"));
    expect(await target("/chat")).toBe("wss://shop.test/chat/chat/v1/connect");
  });
});

describe("CarnetError", () => {
  test("is known across copies of the SDK", () => {
    class Other extends Error {
      override readonly name = "CarnetError";
      readonly code = "x";
    }
    expect(CarnetError.is(new Other())).toBe(true);
    expect(CarnetError.is(new CarnetError("x", "y"))).toBe(true);
    expect(CarnetError.is(new Error("CarnetError"))).toBe(false);
    expect(CarnetError.is({ name: "CarnetError", code: "x" })).toBe(false);
    expect(CarnetError.is(undefined)).toBe(false);
  });
});
