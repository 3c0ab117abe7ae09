/** Decoders in many shapes against transformers: reference/language/{llama,opt}.py made the vectors. */
import { readdirSync } from "node:fs";
import { openSafetensors } from "@waggle/checkpoint";
import { input, symbol, type Value } from "@waggle/graph";
import { loadStateDict } from "@waggle/nn";
import { describe, expect, test } from "vitest";
import { expectBatchInvariant, expectCachedMatchesFull, HandDecoder, wholeGraph } from "../../../testing/decoder.ts";
import { runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, integers, need, readMetadata, readTensors } from "../../../testing/tensors.ts";
import { causalCache, type KeyValueCache, type LanguageModel, llama, mistral, opt, qwen2 } from "./index.ts";

const folder = new URL("__vectors__/", import.meta.url);
const names = readdirSync(folder).flatMap((file) => (file.endsWith(".safetensors") ? [file.replace(".safetensors", "")] : []));
const families: Readonly<Record<string, (config: object) => LanguageModel>> = { llama, mistral, opt, qwen2 };

interface Config {
  readonly model_type: string;
}

async function load(name: string, spelling: (config: Config) => object = (config) => config): Promise<LanguageModel> {
  const file = new URL(`${name}.safetensors`, folder);
  const config = (await readMetadata(file)).config as Config;
  const language = families[config.model_type]?.(spelling(config));
  if (language === undefined) throw new Error(config.model_type);
  loadStateDict(language, await openSafetensors(file.pathname), { prefix: "state" });
  return language;
}

/** As config.json had it before transformers 5. */
function oldSpelling({ rope_parameters, ...config }: Config & { rope_parameters?: { rope_type: string; rope_theta: number } }): object {
  if (rope_parameters === undefined) return config;
  const { rope_type, rope_theta, ...scaling } = rope_parameters;
  return { ...config, rope_theta, rope_scaling: rope_type === "default" ? null : { type: rope_type, ...scaling } };
}

test("there are vectors for every kind", () => {
  expect(names).toMatchInlineSnapshot(`
    [
      "biases",
      "dynamic-long-prompt",
      "dynamic",
      "head-dim",
      "linear",
      "llama3",
      "mistral",
      "multi-head",
      "one-key-head",
      "opt-no-final-norm",
      "opt-norm-after",
      "opt-plain",
      "opt-projected",
      "opt-tied",
      "opt-untied",
      "qwen2",
      "tied",
      "yarn-mscale",
      "yarn",
    ]
  `);
});

describe.each(names)("%s", async (name) => {
  const file = new URL(`${name}.safetensors`, folder);
  /** Four times what float32 differs from float64 by, where that is more than the house's 1e-5. */
  const tolerance = { abs: Math.max(1e-5, 4 * Number((await readMetadata(file)).noise)), rel: 1e-4 };

  test.each(["onnxruntime", "portable"] as const)("logits, keys and values, %s", async (target) => {
    const io = await readTensors(file);
    const language = await load(name);
    const input_ids = input("input_ids", "int64", [symbol("B"), symbol("S")]);
    const outputs: Record<string, Value> = {};
    const causal = causalCache();
    const cache: KeyValueCache = {
      positions: causal.positions,
      attend(layer, q, k, v, options) {
        outputs[`past_key.${layer}`] = k;
        outputs[`past_value.${layer}`] = v;
        return causal.attend(layer, q, k, v, options);
      },
    };
    outputs.logits = language.forward(language.embed(input_ids), cache);
    const results = await runGraph({ inputs: { input_ids }, outputs }, { input_ids: need(io, "input.input_ids") }, target);
    expect(Object.keys(outputs)).toHaveLength(1 + 2 * language.layers);
    for (const key of Object.keys(outputs)) expectClose(results[key], io[`output.${key}`], tolerance);
  });

  test("the old spelling of its config", async () => {
    const io = await readTensors(file);
    const { logits } = await runGraph(wholeGraph(await load(name, oldSpelling)), { input_ids: need(io, "input.input_ids") });
    expectClose(logits, io["output.logits"], tolerance);
  });

  test("left padding", async () => {
    const io = await readTensors(file);
    const language = await load(name);
    const feeds = { input_ids: need(io, "input.input_ids"), attention_mask: need(io, "input.attention_mask") };
    const { logits } = await runGraph(wholeGraph(language, { masked: true }), feeds);
    const [data, V] = [floats(logits), language.vocab_size];
    const last = [14, 29].flatMap((row) => [...data.slice(row * V, (row + 1) * V)]);
    expectClose(float32(last, [2, V]), io["output.logits.padded"], tolerance);
  });

  test.each(["onnxruntime", "portable"] as const)("one prefill, then token by token, %s", async (target) => {
    const io = await readTensors(file);
    const prefill = Number((await readMetadata(file)).prefill);
    const language = await load(name);
    const ids = integers(io["input.steps"]);
    const decoder = await HandDecoder.compile(language, 20, target);
    const slot = decoder.slot();
    const logits = [...(await decoder.step([slot], [ids.slice(0, prefill)]))];
    for (const id of ids.slice(prefill)) logits.push(...(await decoder.step([slot], [[id]])));
    expectClose(
      float32(
        logits.flatMap((row) => [...row]),
        [ids.length - prefill + 1, language.vocab_size],
      ),
      io["output.steps"],
      tolerance,
    );
  });

  test("neighbours in a batch change nothing", async () => {
    await expectBatchInvariant(await load(name), [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], [5], [9, 9]], 4, { abs: 5e-6, rel: 1e-5 });
  });

  test("chunks equal the whole, unless keys depend on the length", async () => {
    const language = await load(name);
    const ids = Array.from({ length: 11 }, (_, i) => (i * 7) % 40);
    const chunked = expectCachedMatchesFull(language, ids, [3, 1, 5, 2], tolerance);
    if (name === "dynamic-long-prompt") await expect(chunked).rejects.toThrow(/element \d+ of/);
    else await chunked;
    expect(language.keysDependOnLength).toBe(name.startsWith("dynamic"));
  });
});
