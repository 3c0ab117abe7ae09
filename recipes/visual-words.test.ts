import { IGNORE, IMAGE, scenes } from "@waggle/data";
import type { Value } from "@waggle/graph";
import { type Llama, llama } from "@waggle/language";
import { compose, fresh, honeybeePrompt, weightPlacer } from "@waggle/mllm";
import { initialize } from "@waggle/nn";
import { cAbstractor } from "@waggle/projectors";
import { Runtime } from "@waggle/runtime";
import { conversations, type Task } from "@waggle/train";
import { clip } from "@waggle/vision";
import { describe, expect, test } from "vitest";
import { tokenizer } from "./base-parts.ts";
import { renewUnsaid, sayings, spelled } from "./visual-words.ts";

const box = { x1: 0.0875, y1: 0.0875, x2: 0.0875, y2: 0.0875 };
const SHARES = {
  parts: { name: 0.4, color: 0.2, size: 0.2, row: 0.1, column: 0.1 },
  things: { name: 0.3, color: 0.15, size: 0.1, row: 0.05, column: 0.05, ...box },
};

const drawn = scenes({ split: "validation", seed: 0, length: 40, questions: 1 });

describe("what visual tokens say", () => {
  test("things: the token in a thing's middle names it and its box, the others nothing", () => {
    let [seen, hidden] = [0, 0];
    for (let i = 0; i < drawn.length; i++) {
      const { scene } = drawn.describe(i);
      const said = sayings(scene, 6, "things");
      for (const { center, shape, color, size, box } of scene.things) {
        const token = said[Math.floor(center[1] * 6) * 6 + Math.floor(center[0] * 6)];
        if (token?.name !== shape || token.color !== color) hidden++;
        else expect(token).toMatchObject({ size, x1: `<0x${(0x80 + Math.floor(10 * box[0])).toString(16).toUpperCase()}>` });
        seen++;
      }
      if (scene.sign === null) expect(said.filter(({ name }) => name).length).toBeLessThanOrEqual(scene.things.length + scene.bars.length);
    }
    expect(seen).toBeGreaterThan(60);
    expect(hidden / seen).toBeLessThan(0.05); // two things in one part
  });

  test("parts: whatever covers a part, the one in front first", () => {
    for (let i = 0; i < drawn.length; i++) {
      const { scene } = drawn.describe(i);
      const front = scene.things.at(-1);
      if (!front) continue;
      const said = sayings(scene, 6, "parts");
      const token = said[Math.floor(front.center[1] * 6) * 6 + Math.floor(front.center[0] * 6)];
      expect(token).toMatchObject({ name: front.shape, color: front.color });
    }
  });
});

test.each(["parts", "things"] as const)("%s: the loss is the cross entropy of each word, read off the token alone", async (saying) => {
  const composition = compose({
    vision: clip({ image_size: 96, patch_size: 16, hidden_size: 16, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2 }),
    projector: cAbstractor({ tokens: 4, depth: 1 }),
    language: llama({ vocab_size: tokenizer.size, hidden_size: 16, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2 }),
    prompt: honeybeePrompt,
    tokenizer,
  });
  const model = fresh(composition, { seed: 1 });
  using runtime = new Runtime({ threads: 1 });
  const run = async (task: Task): Promise<Float32Array> => {
    const context = { model, modules: composition.modules, trainable: new Map(composition.modules.namedParameters()), runtime };
    const opened = await task.open({ ...context, featureCache: "", signal: undefined });
    const { inputs, loss } = opened.objective;
    const session = await runtime.compile({ name: "loss", inputs, outputs: { loss } }, { weights: weightPlacer() });
    const request = { batchSize: 3, seed: 0, order: "sequential", onBroken: "stop", epochs: 1, start: { epoch: 0, position: 0 } } as const;
    for await (const { micro } of opened.batches(request)) {
      const result = await session.run(micro.feeds);
      opened.dispose();
      return result.loss?.data as Float32Array;
    }
    throw new Error("no batch");
  };
  const data = scenes({ split: "validation", seed: 0, length: 3, questions: 1 });
  const [loss = 0] = await run(spelled(data, tokenizer, saying));

  const { norm } = (model.language as Llama).model;
  const language = Object.create(model.language, { decode: { value: (embeddings: Value) => norm.forward(embeddings) } });
  const tokensAlone = { encode: () => ({ input_ids: [IMAGE, IMAGE, IMAGE, IMAGE, 0], labels: [IGNORE, 1, 1, 1, 1] }) };
  const readout = conversations(data, { encoder: tokensAlone, loss: (logits) => logits });
  const logits = await run({ ...readout, open: (context) => readout.open({ ...context, model: { ...model, language } }) });
  const V = tokenizer.size;
  const idOf = (word = "<unk>"): number =>
    (word.startsWith("<") ? tokenizer.tokenId(word) : tokenizer.encode(word, { addSpecialTokens: false })[0]) ?? 0;
  let expected = 0;
  for (let i = 0; i < 3; i++)
    for (const [part, said] of sayings(data.describe(i).scene, 2, saying).entries()) {
      const row = logits.subarray((4 * i + part) * V, (4 * i + part + 1) * V);
      const total = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      for (const [slot, share] of Object.entries(SHARES[saying]))
        expected += share * (total - (row[idOf(said[slot as keyof typeof said])] ?? 0));
    }
  expect(loss).toBeCloseTo(expected, 3);
});

test("words that no picture says begin anew, the others stay", async () => {
  const language = llama({
    vocab_size: tokenizer.size,
    hidden_size: 16,
    intermediate_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
  });
  const { weight } = language.model.embed_tokens;
  expect(() => renewUnsaid(weight, tokenizer)).toThrow("no values yet");
  initialize(language, { seed: 3 });
  const read = async (): Promise<Float32Array> => new Float32Array((await weight.source?.read())?.slice().buffer ?? new ArrayBuffer());
  const before = await read();
  renewUnsaid(weight, tokenizer);
  const after = await read();
  const rowOf = (values: Float32Array, word: string): number[] => {
    const [id = 0] = tokenizer.encode(word, { addSpecialTokens: false });
    return [...values.subarray(id * 16, (id + 1) * 16)];
  };
  for (const word of ["star", "bar", "7", "hive", "red", "sign", "small", "left"]) expect(rowOf(after, word)).toEqual(rowOf(before, word));
  for (const word of ["What", "color", "is", "two", "yes"]) {
    expect(rowOf(after, word)).not.toEqual(rowOf(before, word));
    expect(Math.hypot(...rowOf(after, word))).toBeCloseTo(1, 0); // 16 numbers of deviation 1/4
  }
});
