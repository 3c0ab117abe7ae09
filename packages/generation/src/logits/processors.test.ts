import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openSafetensors } from "@waggle/checkpoint";
import { describe, expect, test } from "vitest";
import { type GenerationOptions, resolveOptions } from "../options.ts";
import { survivors } from "./distribution.ts";
import { logitsProcessors } from "./processors.ts";
import { removeInvalidValues } from "./token-rules.ts";

interface Case {
  readonly options: GenerationOptions;
  readonly order: readonly string[];
  readonly argmax?: readonly number[];
}

interface Rows {
  readonly data: Float32Array;
  readonly columns: number;
}

/** Runs a case's chain over every row and returns scores, and probabilities with zeros for what was removed. */
function run({ options }: Case, logits: Rows, ids: readonly (readonly number[])[], promptLength: number, maxLength: number) {
  const scores = logits.data.slice();
  const probabilities = new Float64Array(scores.length);
  for (const [row, prefix] of ids.entries()) {
    const at = row * logits.columns;
    const view = scores.subarray(at, at + logits.columns);
    for (const processor of logitsProcessors(resolveOptions(options), { promptLength, maxLength })) processor.process(view, prefix);
    const left = survivors(view);
    for (const [i, id] of left.ids.entries()) probabilities[at + id] = left.probabilities[i] ?? Number.NaN;
  }
  return { scores, probabilities };
}

/** Element by element; −∞ must stand at the same places exactly. Elements in `except` are not looked at. */
function expectClose(
  actual: Float32Array | Float64Array,
  expected: Float32Array | Float64Array,
  tolerance: number,
  except = new Set<number>(),
): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) {
    if (except.has(i)) continue;
    const got = actual[i] ?? Number.NaN;
    const same = Number.isFinite(value) ? Math.abs(got - value) <= tolerance + 1e-6 * Math.abs(value) : Object.is(got, value);
    if (!same) expect.fail(`element ${i}: expected ${value}, got ${got}`);
  }
}

/** Elements whose logit occurs twice in their row. */
function ties({ data, columns }: Rows): Set<number> {
  const rowOf = (i: number) => data.subarray(i - (i % columns), i - (i % columns) + columns);
  const twice = (i: number) => rowOf(i).indexOf(data[i] ?? 0) !== rowOf(i).lastIndexOf(data[i] ?? 0);
  return new Set(Array.from(data.keys()).filter(twice));
}

async function reader(path: string) {
  const { tensors } = await openSafetensors(path);
  return async (name: string): Promise<{ float: Float32Array; ids: number[][]; columns: number }> => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`${path} has no ${name}`);
    const { buffer } = (await tensor.read()).slice();
    const columns = tensor.shape[1] ?? 0;
    const int64 = tensor.dtype === "int64" ? Array.from(new BigInt64Array(buffer), Number) : [];
    const ids = Array.from({ length: tensor.shape[0] ?? 0 }, (_, row) => int64.slice(row * columns, (row + 1) * columns));
    return { float: tensor.dtype === "float32" ? new Float32Array(buffer) : new Float32Array(), ids, columns };
  };
}

const golden = fileURLToPath(new URL("../../../../golden/generation-logits-processors/", import.meta.url));
const goldenCases: Record<string, Case> = JSON.parse(readFileSync(`${golden}expected.json`, "utf8")).cases;

describe("golden/generation-logits-processors", async () => {
  const read = await reader(`${golden}io.safetensors`);

  test.each(Object.entries(goldenCases))("%s", async (name, one) => {
    const logits = await read("input.logits");
    const { ids } = await read(name.endsWith(".empty_prefix") ? "input.empty_prefix_ids" : "input.prefix_ids");
    const { scores, probabilities } = run(one, { data: logits.float, columns: logits.columns }, ids, 12, 100);
    const expected = {
      scores: (await read(`output.${name}.scores`)).float,
      probabilities: (await read(`output.${name}.probabilities`)).float,
    };
    // Which of equal tokens top-p keeps depends on torch's unstable sort (the case says so): there the values count, not the places.
    const except = one.order.includes("TopPLogitsWarper") ? ties({ data: logits.float, columns: logits.columns }) : new Set<number>();
    expectClose(scores, expected.scores, 1e-5, except);
    expectClose(scores.slice().sort(), expected.scores.slice().sort(), 1e-5);
    expectClose(probabilities, expected.probabilities, 1e-6, except);
    expectClose(probabilities.slice().sort(), expected.probabilities.slice().sort(), 1e-6);
    const chain = logitsProcessors(resolveOptions(one.options), { promptLength: 12, maxLength: 100 });
    expect(chain.map((processor) => processor.name)).toEqual(one.order);
  });
});

const vectors = fileURLToPath(new URL("../__vectors__/", import.meta.url));
const more: { cases: Record<string, Case>; promptLength: number; eos: number[] } = JSON.parse(
  readFileSync(`${vectors}logits-processors.json`, "utf8"),
  (_, value) => (value === "-Infinity" ? -Infinity : value),
);

describe("transformers' other processors (reference/generation/vectors.py)", async () => {
  const read = await reader(`${vectors}logits-processors.safetensors`);

  test.each(Object.entries(more.cases))("%s", async (name, { options, order }) => {
    const logits = await read("input.logits");
    const { ids } = await read("input.ids");
    const one = { options: { eos_token_id: more.eos, ...options }, order };
    const { scores } = run(one, { data: logits.float, columns: logits.columns }, ids, more.promptLength, options.max_length ?? 1000);
    expectClose(scores, (await read(`output.${name}`)).float, 1e-5);
    const chain = logitsProcessors(resolveOptions(one.options), { promptLength: more.promptLength, maxLength: 1000 });
    expect(chain.map((processor) => processor.name)).toEqual(order);
  });

  test("invalid values", async () => {
    const scores = (await read("input.invalid")).float;
    removeInvalidValues().process(scores, []);
    expectClose(scores, (await read("output.invalid")).float, 1e-5);
  });
});
