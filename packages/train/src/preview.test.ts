/** What is shown at a checkpoint, of samples of every shape: a look at the model never ends its training. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Dataset, Turn } from "@waggle/data";
import { image } from "@waggle/image";
import { opt } from "@waggle/language";
import { type Assembly, assemble, freshText } from "@waggle/mllm";
import { llavaHf, loadTokenizer } from "@waggle/text";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TrainEvent } from "./log/train-event.ts";
import { adamW } from "./optimizer.ts";
import { stage } from "./stage.ts";
import { train } from "./train.ts";

const golden = (name: string): string => new URL(`../../../golden/${name}`, import.meta.url).pathname;
const scene = image(golden("llava-tiny-hf/scene.png"));
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "waggle-preview-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const human = (value: string): Turn => ({ from: "human", value });
const gpt = (value: string): Turn => ({ from: "gpt", value });
type Shown = Extract<TrainEvent, { type: "sample" }>;

/** What is shown after one step on two plain samples, of which the given one is the first. */
async function shown(model: string | Assembly, conversations: readonly Turn[], pictures: number): Promise<readonly Shown[]> {
  const images = Array.from({ length: pictures }, () => scene);
  const plain = { id: "plain", images: [], conversations: [human("Say yes."), gpt("yes")] };
  const data: Dataset = { name: "two", length: 2, sample: (index) => (index === 0 ? { id: "first", images, conversations } : plain) };
  const events: Shown[] = [];
  const options = {
    trainable: [typeof model === "string" ? "projector" : "language"],
    steps: 1,
    batchSize: 2,
    onBroken: "skip",
    optimizer: adamW({ lr: 0.01 }),
  } as const;
  await train({
    model: typeof model === "string" ? await assemble(golden(model)) : model,
    stages: [stage({ name: "look", data, ...options })],
    out: await mkdtemp(join(scratch, "run-")),
    onEvent: (event) => void (event.type === "sample" && events.push(event)),
  });
  return events;
}

test("LLaVA's first prompt, which has the ### in front of a question among its targets", async () => {
  const [first, second] = await shown("llava-tiny-original", [human("<image>\nWhat colour is it?"), gpt("green and blue")], 1);
  expect(first).toMatchObject({ prompt: "<image>\nWhat colour is it?", expected: expect.stringContaining("Assistant: green and blue") });
  expect(second?.expected).toContain("Assistant: yes");
});

test("a picture in a later question is not looked at before it is shown", async () => {
  const [first] = await shown("llava-tiny-hf", [human("Say no."), gpt("no"), human("<image>\nColour?"), gpt("red")], 1);
  expect(first?.expected).toContain("no");
});

test("a sample that is left out for its pictures is not shown", async () => {
  const events = await shown("llava-tiny-hf", [human("No place for a picture."), gpt("red")], 1);
  expect(events.map(({ prompt }) => prompt)).toEqual(["Say yes."]);
});

test("a sample as long as the model's positions, which are a table: the answer ends where they end", async () => {
  const tokenizer = await loadTokenizer(golden("llava-tiny-hf"));
  const sizes = { hidden_size: 16, word_embed_proj_dim: 16, ffn_dim: 16, num_hidden_layers: 1, num_attention_heads: 2 };
  const language = opt({ ...sizes, vocab_size: tokenizer.size, max_position_embeddings: 40 });
  const model = freshText({ language, tokenizer, prompt: llavaHf }, { seed: 0 });
  expect(await shown(model, [human("a".repeat(32)), gpt("b")], 0)).toHaveLength(2);
});
