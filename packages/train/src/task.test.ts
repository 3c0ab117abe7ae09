/** Anything that has a loss can be trained: a task of one's own, a language model alone, a language model from nothing. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Dataset } from "@waggle/data";
import { input, ops, symbol } from "@waggle/graph";
import { llama } from "@waggle/language";
import { assemble, freshText, start } from "@waggle/mllm";
import { llavaHf, loadTokenizer } from "@waggle/text";
import { Tensor } from "onnxruntime-common";
import { afterAll, beforeAll, expect, test } from "vitest";
import { conversations } from "./conversation-task.ts";
import type { TrainEvent } from "./log/train-event.ts";
import { crossEntropy } from "./objective.ts";
import { adamW } from "./optimizer.ts";
import { stage } from "./stage.ts";
import type { Task } from "./task.ts";
import { train } from "./train.ts";

const golden = (name: string): string => new URL(`../../../golden/${name}`, import.meta.url).pathname;
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "waggle-task-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const FACTS = [
  ["sky", "blue"],
  ["grass", "green"],
  ["snow", "white"],
  ["coal", "black"],
];

const facts: Dataset = {
  name: "facts",
  length: 4,
  sample: (index) => {
    const [question = "", answer = ""] = FACTS[index] ?? [];
    const conversations = [
      { from: "human", value: `What colour is ${question}?` },
      { from: "gpt", value: answer },
    ] as const;
    return { id: `${index}`, images: [], conversations };
  },
};

function recorder(): { readonly losses: number[]; readonly onEvent: (event: TrainEvent) => void } {
  const losses: number[] = [];
  return { losses, onEvent: (event) => void (event.type === "step" && losses.push(event.record.loss)) };
}

test("a small language model from nothing learns four facts, and says them", { timeout: 120_000 }, async () => {
  const tokenizer = await loadTokenizer(golden("llava-tiny-hf"));
  const language = llama({
    vocab_size: tokenizer.size,
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    max_position_embeddings: 64,
  });
  const model = freshText({ language, tokenizer, prompt: llavaHf }, { seed: 1 });
  const { losses, onEvent } = recorder();
  const learn = stage({ name: "learn", trainable: ["*"], data: facts, steps: 60, batchSize: 4, optimizer: adamW({ lr: 0.01 }) });
  await train({ model, stages: [learn], out: join(scratch, "fresh"), onEvent });
  expect(losses.at(-1)).toBeLessThan(0.05);
  using running = await start(model);
  const { text } = await running.generate([{ role: "user", content: "What colour is snow?" }], { max_new_tokens: 8 });
  expect(text.trim()).toBe("white");
});

test("a published language model alone, and a loss of one's own", async () => {
  const model = await assemble(golden("llama-tiny"), { prompt: llavaHf }).catch((error: unknown) => error);
  expect(model).not.toBeInstanceOf(Error);
  const data = conversations(facts, { loss: (logits, ids) => ops.mul(crossEntropy(logits, ids), 2) });
  const { losses, onEvent } = recorder();
  const twice = stage({ name: "twice", trainable: ["language"], data, steps: 1, batchSize: 4, optimizer: adamW({ lr: 0 }) });
  const once = stage({ ...twice, name: "once", data: facts });
  await train({ model: model as never, stages: [twice, once], out: join(scratch, "alone"), onEvent });
  expect(losses[0]).toBeCloseTo(2 * (losses[1] ?? 0), 4);
});

test("answers count alike, however long they are", async () => {
  const answers = ["blue", "green, and blue above the sea, and white where snow lies"];
  const told: Dataset = {
    name: "told",
    length: 2,
    sample: async (index) => ({
      id: `${index}`,
      images: [],
      conversations: [
        { from: "human", value: "What colour is it?" },
        { from: "gpt", value: answers[index] ?? "" },
      ],
    }),
  };
  const model = await assemble(golden("llama-tiny"), { prompt: llavaHf });
  const { losses, onEvent } = recorder();
  const common = { trainable: ["language"], order: "sequential", optimizer: adamW({ lr: 0 }) } as const;
  const alone = stage({ ...common, name: "alone", data: told, steps: 2, batchSize: 1 });
  const alike = stage({ ...common, name: "alike", data: conversations(told, { weight: (length) => 1 / length }), steps: 1, batchSize: 2 });
  const together = stage({ ...common, name: "together", data: told, steps: 1, batchSize: 2 });
  await train({ model, stages: [alone, alike, together], out: join(scratch, "alike"), onEvent });
  const [short = 0, long = 0] = losses;
  expect(losses[2]).toBeCloseTo((short + long) / 2, 5); // the mean of both answers' means
  expect(Math.abs((losses[3] ?? 0) - (losses[2] ?? 0))).toBeGreaterThan(1e-3); // of all targets, the long one's would be most
});

test("a task of one's own: the mean of the embeddings becomes zero", async () => {
  const tokenizer = await loadTokenizer(golden("llava-tiny-hf"));
  const language = llama({ vocab_size: 100, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1 });
  const model = freshText({ language, tokenizer }, { seed: 1 });
  const task: Task = {
    name: "zero",
    length: 10,
    async open() {
      const ids = input("ids", "int64", [1, symbol("S")]);
      const embedded = language.embed(ids);
      return {
        objective: { inputs: { ids }, loss: ops.reduceSum(ops.mul(embedded, embedded)) },
        async *batches({ start }) {
          for (let position = start.position; ; position++) {
            const feeds = { ids: new Tensor("int64", BigInt64Array.of(BigInt(position % 10)), [1, 1]) };
            yield { micro: { feeds, targets: 1, tokens: 1 }, next: { epoch: 0, position: position + 1 }, skipped: [] };
          }
        },
        dispose: () => {},
      };
    },
  };
  const { losses, onEvent } = recorder();
  await train({
    model,
    stages: [
      stage({
        name: "zero",
        trainable: ["language_model.model.embed_tokens"],
        data: task,
        epochs: 20,
        batchSize: 1,
        optimizer: adamW({ lr: 0.005, weight_decay: 0 }),
      }),
    ],
    out: join(scratch, "zero"),
    onEvent,
  });
  expect(losses).toHaveLength(200);
  expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) / 20);
});
