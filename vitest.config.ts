import { existsSync, readdirSync } from "node:fs";
import { defineConfig } from "vitest/config";

// Tests run the sources: the export condition "@waggle/source" of every package points at its src/index.ts,
// so there is no build before a test.
const resolve = { conditions: ["@waggle/source", "node", "import", "module", "default"] };

const packages = readdirSync(new URL("packages/", import.meta.url)).filter((name) =>
  existsSync(new URL(`packages/${name}/package.json`, import.meta.url)),
);
const roots = [
  ...packages.map((name) => [name, `packages/${name}`] as const),
  ["examples", "examples"] as const,
  ["docs", "docs"] as const,
];

export default defineConfig({
  resolve,
  ssr: { resolve },
  test: {
    projects: roots.map(([name, root]) => ({ extends: true as const, test: { name, root } })),
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
