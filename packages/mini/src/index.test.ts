import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as index from "./index.ts";
import { mini, pictures } from "./index.ts";

test("exports", () => {
  expect(Object.keys(index).sort()).toMatchInlineSnapshot(`
    [
      "mini",
      "pictures",
    ]
  `);
});

test.each(["config.json", "tokenizer.json", "model.safetensors", "README.md"])("the model folder holds %s", (file) =>
  expect(statSync(join(mini, file)).size).toBeGreaterThan(0),
);

test("the safetensors file is as long as its header says", () => {
  const file = readFileSync(join(mini, "model.safetensors"));
  const headerLength = Number(file.readBigUInt64LE(0));
  const header: Record<string, { data_offsets?: readonly [number, number] }> = JSON.parse(file.toString("utf8", 8, 8 + headerLength));
  const end = Math.max(...Object.values(header).map(({ data_offsets }) => data_offsets?.[1] ?? 0));
  expect(8 + headerLength + end).toBe(file.length);
});

test("every picture is a PNG", () => {
  for (const { path } of pictures) expect(readFileSync(path).subarray(1, 4).toString("latin1")).toBe("PNG");
});
