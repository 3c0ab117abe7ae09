/** New weights as transformers makes them (reference/nn/init_stats.py). */
import { readFileSync } from "node:fs";
import type { Module } from "@waggle/nn";
import { expect, test } from "vitest";
import { expectInitialValues, type InitialFacts } from "../../../testing/initial-values.ts";
import { llama, mistral, opt, qwen2 } from "./index.ts";

type Case = { readonly config: object; readonly facts: InitialFacts };
const vectors: Readonly<Record<"llama" | "mistral" | "qwen2" | "opt", Case>> = JSON.parse(
  readFileSync(new URL("./__vectors__/initial-values.json", import.meta.url), "utf8"),
);

const families: readonly (readonly [keyof typeof vectors, (config: object) => Module])[] = [
  ["llama", llama],
  ["mistral", mistral],
  ["qwen2", qwen2],
  ["opt", opt],
];

test.each(families)("%s", (name, make) => {
  expectInitialValues(make(vectors[name].config), vectors[name].facts);
});

test("a deviation of 0 is the default, as transformers reads it; a negative one is a mistake", () => {
  expect(llama({ initializer_range: 0 }).config.initializer_range).toBe(0.02);
  expect(opt({ init_std: 0 }).config.init_std).toBe(0.02);
  expect(() => llama({ initializer_range: -1 })).toThrow("initializer_range");
});
