import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";

test("plain Node reads TypeScript, and the TypeScript that it imports, through the loader", () => {
  const folder = mkdtempSync(join(tmpdir(), "waggle-import-"));
  try {
    writeFileSync(join(folder, "width.ts"), "export const width: number = 3;\n");
    writeFileSync(join(folder, "spec.ts"), `import { width } from "./width.ts";\nexport default { width } satisfies { width: number };\n`);
    const loader = new URL("../worker/strip-types.mjs", import.meta.url);
    const code = `import { register } from "node:module";
      register(${JSON.stringify(loader.href)});
      console.log(JSON.stringify((await import(${JSON.stringify(pathToFileURL(join(folder, "spec.ts")).href)})).default));`;
    expect(execFileSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" })).toBe('{"width":3}\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
