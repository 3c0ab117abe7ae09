import { defineConfig } from "vitest/config";

// Tests run the sources: the "@waggle/source" export condition points at src/index.ts.
const resolve = { conditions: ["@waggle/source", "node", "import", "module", "default"] };

export default defineConfig({
  resolve,
  ssr: { resolve },
  test: {
    projects: ["packages/*", "examples"].map((glob) => glob),
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
