import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { load } from "@waggle/mllm";
import { expect, test } from "vitest";

const compatibility = readFileSync(new URL("../COMPATIBILITY.md", import.meta.url), "utf8");

test("the architectures in COMPATIBILITY.md are those that load() lists when it is given another one", async () => {
  const folder = mkdtempSync(join(tmpdir(), "waggle-docs-"));
  try {
    writeFileSync(join(folder, "config.json"), JSON.stringify({ model_type: "unheard-of" }));
    const { message } = await load(folder).then(
      () => new Error("load() took it"),
      (error: Error) => error,
    );
    const supported = message.match(/\w+For\w+/g) ?? [];
    const documented = [...compatibility.matchAll(/^\| `(\w+For\w+)` \|/gm)].map(([, name]) => name);
    expect(supported.length).toBeGreaterThan(0);
    expect(documented.sort()).toEqual([...supported].sort());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
