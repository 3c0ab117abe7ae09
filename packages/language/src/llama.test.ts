/** golden/llama-tiny: hidden states, cache contents and logits of transformers' LlamaForCausalLM. */
import { readFileSync } from "node:fs";
import { openCheckpoint } from "@waggle/checkpoint";
import { input, symbol, type Value } from "@waggle/graph";
import { loadStateDict, setRecompute } from "@waggle/nn";
import { describe, expect, test } from "vitest";
import { argMax, expectBatchInvariant, expectCachedMatchesFull, HandDecoder, wholeGraph } from "../../../testing/decoder.ts";
import { expectGradients } from "../../../testing/gradients.ts";
import { runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, int64, integers, need, readTensors } from "../../../testing/tensors.ts";
import { causalCache, decoderGraph, type KeyValueCache, type Llama, llama } from "./index.ts";

const golden = new URL("../../../golden/llama-tiny/", import.meta.url).pathname;
const json = (name: string) => JSON.parse(readFileSync(golden + name, "utf8"));
const expected = json("expected.json") as {
  noise_f32_vs_f64_max_abs: { grad: number };
  tolerance: { logits: { abs: number; rel: number } };
  cases: readonly { name: string; promptIds: readonly number[]; tokenIds: readonly number[] }[];
};
const io = await readTensors(`${golden}io.safetensors`);
const checkpoint = await openCheckpoint(golden);
const { logits: tolerance } = expected.tolerance;

function model(): Llama {
  const language = llama(json("config.json"));
  loadStateDict(language, checkpoint);
  return language;
}

/** Remembers what the model hands to its cache. */
function recording(cache: KeyValueCache, into: Record<string, Value>): KeyValueCache {
  return {
    positions: (embeds) => cache.positions(embeds),
    attend(layer, q, k, v, options) {
      into[`past_key.${layer}`] = k;
      into[`past_value.${layer}`] = v;
      return cache.attend(layer, q, k, v, options);
    },
  };
}

describe.each(["onnxruntime", "portable"] as const)("llama-tiny, %s", (target) => {
  test("hidden states, keys after rotation, values and logits", async () => {
    const language = model();
    const input_ids = input("input_ids", "int64", [symbol("B"), symbol("S")]);
    const outputs: Record<string, Value> = {};
    const cache = recording(causalCache(), outputs);
    let x = language.embed(input_ids);
    outputs["hidden_states.0"] = x;
    const turn = language.model.rotation(x, cache);
    for (const [index, layer] of [...language.model.layers].entries()) {
      x = layer.forward(x, turn, cache, index);
      outputs[`hidden_states.${index + 1}`] = x;
    }
    outputs["hidden_states.2"] = language.model.norm.forward(x); // transformers' last hidden state is normed
    outputs.logits = language.forward(language.embed(input_ids), causalCache());
    const results = await runGraph({ inputs: { input_ids }, outputs }, { input_ids: need(io, "input.input_ids") }, target);
    for (const name of Object.keys(outputs)) expectClose(results[name], io[`output.${name}`], tolerance);
    expect(Object.keys(outputs).sort()).toEqual([
      "hidden_states.0",
      "hidden_states.1",
      "hidden_states.2",
      "logits",
      "past_key.0",
      "past_key.1",
      "past_value.0",
      "past_value.1",
    ]);
  });

  test("embeddings as input, as a projector gives them", async () => {
    const language = model();
    const inputs_embeds = input("inputs_embeds", "float32", [symbol("B"), symbol("S"), 64]);
    const graph = { inputs: { inputs_embeds }, outputs: { logits: language.forward(inputs_embeds, causalCache()) } };
    const { logits } = await runGraph(graph, { inputs_embeds: need(io, "input.inputs_embeds") }, target);
    expectClose(logits, io["output.logits"], tolerance);
  });

  test.each([false, true])(
    "the gradients of the embeddings and of every parameter above them; layers recomputed: %s",
    async (recomputed) => {
      const language = model();
      setRecompute(language, recomputed);
      const inputs_embeds = input("inputs_embeds", "float32", [symbol("B"), symbol("S"), 64]);
      const parameters = [...language.namedParameters()].filter(([name]) => name !== "model.embed_tokens.weight");
      const by = [["input.inputs_embeds", inputs_embeds] as const, ...parameters];
      const feeds = { inputs_embeds: need(io, "input.inputs_embeds") };
      const output = language.forward(inputs_embeds, causalCache());
      await expectGradients(
        { io, inputs: { inputs_embeds }, feeds, output, by, noise: () => expected.noise_f32_vs_f64_max_abs.grad },
        target,
      );
    },
  );

  test("left padding through the mask", async () => {
    const feeds = { input_ids: need(io, "input.input_ids"), attention_mask: need(io, "input.attention_mask.padded") };
    const { logits } = await runGraph(wholeGraph(model(), { masked: true }), feeds, target);
    const data = floats(logits);
    const last = [13, 27].flatMap((row) => [...data.slice(row * 1000, (row + 1) * 1000)]);
    expectClose(float32(last, [2, 1000]), io["output.logits.padded"], tolerance);
  });

  test("every case greedily through the decoder protocol: transformers' tokens", async () => {
    const decoder = await HandDecoder.compile(model(), 128, target);
    for (const { name, promptIds, tokenIds } of expected.cases) {
      const slot = decoder.slot();
      let [logits] = await decoder.step([slot], [promptIds]);
      expectClose(float32(logits ?? [], [1, 1000]), io[`output.last_logits.${name}`], tolerance);
      const tokens: number[] = [];
      while (tokens.length < tokenIds.length) {
        tokens.push(argMax(logits));
        [logits] = await decoder.step([slot], [[tokens.at(-1) ?? 0]]);
      }
      expect(tokens).toEqual(tokenIds);
    }
  });
});

const long = expected.cases.find(({ name }) => name === "long")?.promptIds ?? [];

test("chunked prefill and token by token equal one run over everything", async () => {
  await expectCachedMatchesFull(model(), long, [long.length], tolerance);
  await expectCachedMatchesFull(model(), long, [1, 7, 32, 1, long.length - 41], tolerance);
  await expectCachedMatchesFull(model(), long.slice(0, 9), new Array(9).fill(1), tolerance);
});

test("requests of unequal length decoded together equal each alone", async () => {
  await expectBatchInvariant(model(), [long, [1], [1, 267, 495]], 6, { abs: 1e-5, rel: 1e-5 });
});

test("right padding hides from the tokens before it", async () => {
  const run = wholeGraph(model(), { masked: true });
  const ids = [1, 267, 495, 648, 5, 6];
  const padded = await runGraph(run, { input_ids: int64(ids, [1, 6]), attention_mask: int64([1, 1, 1, 1, 0, 0], [1, 6]) });
  const short = await runGraph(wholeGraph(model()), { input_ids: int64(ids.slice(0, 4), [1, 4]) });
  const rows = floats(padded.logits).slice(0, 4000);
  expectClose(float32(rows, [1, 4, 1000]), short.logits, tolerance);
});

describe("the decoder protocol", () => {
  test("its names and shapes", () => {
    const { inputs, outputs } = decoderGraph(model());
    const signature = (values: Readonly<Record<string, Value>>) =>
      Object.entries(values).map(([name, { dtype, shape }]) => `${name} ${dtype} [${shape.join(", ")}]`);
    expect(signature(inputs)).toMatchInlineSnapshot(`
      [
        "input_ids int64 [B, S]",
        "features float32 [F, 64]",
        "feature_rows int64 [B, S]",
        "position_ids int64 [B, S]",
        "past_lengths int64 [B]",
        "past_key_values.0.key float32 [B, 1, 8, P]",
        "past_key_values.0.value float32 [B, 1, P, 8]",
        "past_key_values.1.key float32 [B, 1, 8, P]",
        "past_key_values.1.value float32 [B, 1, P, 8]",
      ]
    `);
    expect(signature(outputs)).toMatchInlineSnapshot(`
      [
        "logits float32 [B, 1000]",
        "present.0.key float32 [B, 1, 8, S]",
        "present.0.value float32 [B, 1, S, 8]",
        "present.1.key float32 [B, 1, 8, S]",
        "present.1.value float32 [B, 1, S, 8]",
      ]
    `);
  });

  test("a capacity of 0 will do for a first chunk, a capacity of 1 for two tokens", async () => {
    const whole = await runGraph(wholeGraph(model()), { input_ids: int64(long.slice(0, 5), [1, 5]) });
    const row = (index: number): Float32Array => floats(whole.logits).slice(index * 1000, (index + 1) * 1000);
    const none = await HandDecoder.compile(model(), 0);
    const [first] = await none.step([none.slot()], [long.slice(0, 5)]);
    expectClose(float32(first ?? [], [1000]), float32(row(4), [1000]), tolerance);
    const one = await HandDecoder.compile(model(), 1);
    const slot = one.slot();
    for (let index = 0; index < 2; index++) {
      const [logits] = await one.step([slot], [long.slice(index, index + 1)], undefined, index < 1);
      expectClose(float32(logits ?? [], [1000]), float32(row(index), [1000]), tolerance);
    }
  });

  test("features stand where feature_rows says, whatever the token there", async () => {
    const language = model();
    const decoder = await HandDecoder.compile(language, 16);
    const table = floats(io["input.inputs_embeds"]).slice(0, 14 * 64);
    const ids = integers(io["input.input_ids"]).slice(0, 14);
    const [plain] = await decoder.step([decoder.slot()], [ids]);
    const rows = ids.map((_, i) => (i % 3 === 0 ? i : -1));
    const masked = ids.map((id, i) => (i % 3 === 0 ? -200 : id));
    const [mixed] = await decoder.step([decoder.slot()], [masked], { table: float32(table, [14, 64]), rows: [rows] });
    // the first of the two golden rows: the features are its embeddings, so the logits are its logits
    expectClose(float32(mixed ?? [], [1000]), float32(plain ?? [], [1000]), { abs: 0, rel: 0 });
    const whole = floats(io["output.logits"]).slice(13 * 1000, 14 * 1000);
    expectClose(float32(mixed ?? [], [1000]), float32(whole, [1000]), tolerance);
  });
});
