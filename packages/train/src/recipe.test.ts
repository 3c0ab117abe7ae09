import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "@waggle/nn";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readRecipe, trainRecipe } from "./recipe.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "waggle-recipe-"));
  const rows = [
    {
      id: "0",
      conversations: [
        { from: "human", value: "Say hello." },
        { from: "gpt", value: "hello" },
      ],
    },
  ];
  await writeFile(join(scratch, "data.json"), JSON.stringify(rows));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function written(recipe: unknown): Promise<string> {
  const file = join(scratch, "recipe.json");
  await writeFile(file, JSON.stringify(recipe));
  return file;
}

const align = {
  name: "align",
  trainable: ["projector"],
  data: { file: "data.json" },
  steps: 2,
  batchSize: 1,
  optimizer: { type: "adamW", lr: 0.01, groups: [{ parameters: "multi_modal_projector.linear_1", lr: 0.02 }] },
};

test("a JSON file is a run", async () => {
  const tune = {
    ...{ ...align, name: "tune", trainable: [], optimizer: { type: "sgd", lr: 0.1, momentum: 0.9 }, clip: 1 },
    lora: { target_modules: ["q_proj", "v_proj"], r: 2, lora_alpha: 4 },
    schedule: { type: "cosine", warmup_ratio: 0.5, min_lr: 0.01 },
  };
  const recipe = await readRecipe(
    await written({ model: new URL("../../../golden/llava-tiny-hf", import.meta.url).pathname, seed: 3, stages: [align, tune] }),
  );
  const lines: string[] = [];
  const onEvent = (event: { type: string; record?: { step: number; stage: string; lr: number } }): void => {
    if (event.record) lines.push(`${event.record.step} ${event.record.stage} ${event.record.lr}`);
  };
  expect(await trainRecipe(recipe, { out: join(scratch, "run"), onEvent })).toMatchObject({ steps: 4 });
  expect(lines).toEqual(["1 align 0.02", "2 align 0.02", "3 tune 0.01", "4 tune 0.1"]);
});

test("every mistake is named before anything starts", async () => {
  const wrong = { ...align, batch_size: 4, optimizer: { type: "adam", lr: "fast" } };
  await expect(readRecipe(await written({ stages: [wrong], sede: 1 }))).rejects.toThrow(
    /model: [\s\S]*stages\.0\.optimizer[\s\S]*batch_size[\s\S]*sede/,
  );
  const later = {
    ...align,
    epochs: 2,
    data: { file: "gone.json" },
    optimizer: { type: "adamW", lr: -1 },
    schedule: { type: "cosine", warmup_steps: 0.5 },
  };
  const found = await readRecipe(await written({ model: "x", stages: [later, { ...align, epochs: 1, clip: 0 }] })).catch(
    (error: unknown) => error,
  );
  if (!(found instanceof ConfigError)) throw new Error(`expected a ConfigError, got ${found}`);
  expect(found.problems.map(({ field }) => field)).toEqual([
    "stages[0].data",
    "stages[0].optimizer.lr",
    "stages[0].schedule.warmup_steps",
    "stages[0].steps",
    "stages[1].steps",
    "stages[1].clip",
  ]);
});
