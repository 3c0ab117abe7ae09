import { readFile } from "node:fs/promises";
import { openCheckpoint } from "@waggle/checkpoint";
import { loadStateDict } from "@waggle/nn";
import type { Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { compileGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, int64, readTensors } from "../../../testing/tensors.ts";
import { exportedDecoder, exportedEmbedding, llama } from "./index.ts";

const folder = new URL("../../../golden/llama-tiny/", import.meta.url).pathname;

async function tiny() {
  const language = llama(JSON.parse(await readFile(`${folder}config.json`, "utf8")));
  loadStateDict(language, await openCheckpoint(folder));
  return language;
}

test("in one run and token by token, with a cache that starts empty: the reference's logits, keys and values", async () => {
  const language = await tiny();
  const io = await readTensors(`${folder}io.safetensors`);
  const ids = io["input.input_ids"] ?? expect.unreachable();
  const [B = 0, T = 0] = ids.dims;
  const embed = await compileGraph(exportedEmbedding(language), "portable");
  const decode = await compileGraph(exportedDecoder(language), "portable");
  const { kv_heads, head_dim, layers, vocab_size: V } = language;
  const past: Record<string, Tensor> = {};
  for (let layer = 0; layer < layers; layer++) {
    for (const part of ["key", "value"]) past[`past_key_values.${layer}.${part}`] = float32([], [B, kv_heads, 0, head_dim]);
  }
  const row = (from: number, to: number, values: (b: number, t: number) => number | bigint): Tensor =>
    int64(
      Array.from({ length: B * (to - from) }, (_, i) => values(Math.floor(i / (to - from)), from + (i % (to - from)))),
      [B, to - from],
    );
  const run = async (from: number, to: number, cache: Record<string, Tensor>) => {
    const input_ids = row(from, to, (b, t) => (ids.data as BigInt64Array)[b * T + t] ?? 0n);
    const { inputs_embeds } = await embed({ input_ids });
    const feeds = { attention_mask: row(0, to, () => 1), position_ids: row(from, to, (_, t) => t), ...cache };
    return decode({ inputs_embeds: inputs_embeds ?? expect.unreachable(), ...feeds });
  };
  const whole = await run(0, T, past);
  expectClose(whole.logits, io["output.logits"], { abs: 8e-5 });
  for (let layer = 0; layer < layers; layer++) {
    expectClose(whole[`present.${layer}.key`], io[`output.past_key.${layer}`], { abs: 2e-5 });
    expectClose(whole[`present.${layer}.value`], io[`output.past_value.${layer}`], { abs: 2e-5 });
  }
  let cache = past;
  for (let t = 0; t < T; t++) {
    const step = await run(t, t + 1, cache);
    const wanted = (io["output.logits"]?.data ?? new Float32Array()) as Float32Array;
    const at = Array.from({ length: B }, (_, b) => wanted.slice((b * T + t) * V, (b * T + t + 1) * V));
    expectClose(
      step.logits,
      float32(
        at.flatMap((values) => [...values]),
        [B, 1, V],
      ),
      { abs: 8e-5 },
    );
    cache = Object.fromEntries(
      Object.keys(past).map((name) => [name, step[name.replace("past_key_values", "present")] ?? expect.unreachable(name)]),
    );
  }
});

test("left padding is not looked at", async () => {
  const language = await tiny();
  const io = await readTensors(`${folder}io.safetensors`);
  const mask = io["input.attention_mask.padded"] ?? expect.unreachable();
  const ids = io["input.input_ids"] ?? expect.unreachable();
  const [B = 0, T = 0] = mask.dims;
  const embed = await compileGraph(exportedEmbedding(language), "portable");
  const decode = await compileGraph(exportedDecoder(language), "portable");
  const { inputs_embeds } = await embed({ input_ids: ids });
  const counted = Array.from({ length: B }, (_, b) => {
    let seen = 0;
    return Array.from({ length: T }, (_, t) => ((mask.data as BigInt64Array)[b * T + t] === 1n ? seen++ : 0));
  });
  const past = Object.fromEntries(
    Array.from({ length: language.layers }, (_, layer) =>
      ["key", "value"].map(
        (part) => [`past_key_values.${layer}.${part}`, float32([], [B, language.kv_heads, 0, language.head_dim])] as const,
      ),
    ).flat(),
  );
  const { logits } = await decode({
    inputs_embeds: inputs_embeds ?? expect.unreachable(),
    attention_mask: mask,
    position_ids: int64(counted.flat(), [B, T]),
    ...past,
  });
  const V = language.vocab_size;
  const rows = (logits?.data ?? new Float32Array()) as Float32Array;
  const last = Array.from({ length: B }, (_, b) => [...rows.slice((b * T + T - 1) * V, (b + 1) * T * V)]);
  expectClose(float32(last.flat(), io["output.logits.padded"]?.dims ?? []), io["output.logits.padded"], { abs: 8e-5 });
});
