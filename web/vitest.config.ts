import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["sdk/test/**/*.test.ts"],
    environment: "node",
    testTimeout: 60_000, // a machine may have much else to do
    hookTimeout: 60_000,
  },
});
