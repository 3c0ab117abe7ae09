import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// Tests run the sources: the export condition "@waggle/source" of every package points at its src/index.ts,
// so there is no build before a test.
const resolve = { conditions: ["@waggle/source", "node", "import", "module", "default"] };

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const packages = readdirSync(here("packages")).filter((name) => existsSync(here(`packages/${name}/package.json`)));
const folders: Record<string, string> = {
  ...Object.fromEntries(packages.map((name) => [name, `packages/${name}`])),
  examples: "examples",
  recipes: "recipes",
  docs: "docs",
};

export default defineConfig({
  resolve,
  ssr: { resolve },
  test: {
    projects: Object.entries(folders).map(([name, folder]) => ({ extends: true as const, test: { name, root: here(folder) } })),
    pool: "forks",
    isolate: false, // importing every module anew for each file takes a third of the time
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
