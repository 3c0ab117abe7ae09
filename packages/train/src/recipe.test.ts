import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFloat32 } from "@waggle/checkpoint";
import { type Assembly, assemble } from "@waggle/mllm";
import { ConfigError } from "@waggle/nn";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readRecipe, trainRecipe } from "./recipe.ts";

const model = new URL("../../../golden/llava-tiny-hf", import.meta.url).pathname;

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
  const recipe = await readRecipe(await written({ model, seed: 3, stages: [align, tune] }));
  expect(recipe.stages).toMatchObject([{ optimizer: { groups: [{ parameters: ["multi_modal_projector.linear_1"], lr: 0.02 }] } }, {}]);
  const lines: string[] = [];
  const onEvent = (event: { type: string; record?: { step: number; stage: string; lr: number } }): void => {
    if (event.record) lines.push(`${event.record.step} ${event.record.stage} ${event.record.lr}`);
  };
  expect(await trainRecipe(recipe, { out: join(scratch, "run"), onEvent })).toMatchObject({ steps: 4 });
  expect(lines).toEqual(["1 align 0.01", "2 align 0.01", "3 tune 0.01", "4 tune 0.1"]);
});

test("a run that is stopped while its model is opened does not wait for it", async () => {
  const recipe = await readRecipe(await written({ model, stages: [align] }));
  const stop = new AbortController();
  const opened = recipe.model(stop.signal);
  stop.abort(new Error("enough"));
  await expect(opened).rejects.toThrow("enough");
  const run = trainRecipe({ ...recipe, model: () => expect.unreachable() }, { out: join(scratch, "never"), signal: stop.signal });
  await expect(run).rejects.toThrow("enough");
});

test("a model in a folder beside the file needs no ./, as its data does not", async () => {
  await symlink(model, join(scratch, "tiny"));
  const { model: open } = await readRecipe(await written({ model: "tiny", stages: [align] }));
  expect((await open()).origin?.id).toBe(join(scratch, "tiny"));
});

async function problems(recipe: unknown): Promise<Readonly<Record<string, string>>> {
  const found = await readRecipe(await written(recipe)).catch((error: unknown) => error);
  if (!(found instanceof ConfigError)) throw new Error(`expected a ConfigError, got ${found}`);
  const named = Object.fromEntries(found.problems.map(({ field, message }) => [field, message]));
  expect(Object.keys(named)).toHaveLength(found.problems.length); // nothing is said twice
  return named;
}

describe("every mistake is named at once, before anything starts", () => {
  test("of form and of value, in two stages, and what does not fit the model", async () => {
    const first = {
      ...{ ...align, stepz: 3, average: "target", epochs: 1, trainable: ["projektor", 3, "projector"], data: { file: "gone.json" } },
      optimizer: { type: "adamW", lr: -1, betas: [0.9, 1.5], epz: 1, groups: [{ parameters: "lenguage", lr: "fast" }, 7] },
      schedule: { type: "cosine", warmup_steps: 0.5, min_lr: "low" },
      lora: { target_modules: ["q_prj"], r: 0, alpha: 4, lora_alpha: 4 },
    };
    const second = {
      ...align,
      batchSize: "two",
      clip: 0,
      order: "length-grouped",
      data: { images: "." },
      validation: { file: "none.json", images: "none" },
    };
    expect(
      await problems({
        model,
        initialize: ["vision"],
        sede: 1,
        seed: -1,
        checkpointEvery: "often",
        keepCheckpoints: 0,
        stages: [first, second],
      }),
    ).toEqual({
      "initialize[0]": 'expected "projector", got "vision".',
      sede: expect.stringMatching(/^is not an option\. There are: model, base,/),
      seed: "expected a whole number ≥ 0, got -1.",
      checkpointEvery: 'expected number, got "often".',
      keepCheckpoints: "expected a whole number ≥ 1, got 0.",
      "stages[0].average": 'expected "targets" or "micro-batches", got "target".',
      "stages[0].stepz": expect.stringMatching(/^is not an option\. There are: name, trainable,/),
      "stages[0].steps": "expected either steps or epochs.",
      "stages[0].trainable[0]": expect.stringMatching(/^projektor names no parameter\. There are .*multi_modal_projector/),
      "stages[0].trainable[1]": "expected string, got 3.",
      "stages[0].data": expect.stringMatching(/gone\.json: no such file/),
      "stages[0].optimizer.lr": "expected a finite number ≥ 0, got -1.",
      "stages[0].optimizer.betas[1]": "expected a number in [0, 1), got 1.5.",
      "stages[0].optimizer.epz": expect.stringMatching(/^is not an option\. There are: type, lr,/),
      "stages[0].optimizer.groups[0].lr": 'expected number, got "fast".',
      "stages[0].optimizer.groups[0].parameters": expect.stringMatching(/^lenguage names none of the \d+ /),
      "stages[0].optimizer.groups[1]": "expected object, got 7.",
      "stages[0].schedule.warmup_steps": "expected a whole number ≥ 0, got 0.5.",
      "stages[0].schedule.min_lr": 'expected number, got "low".',
      "stages[0].lora.target_modules[0]": expect.stringMatching(/^q_prj names no Linear\. Near it: q_proj, /),
      "stages[0].lora.r": "expected an integer ≥ 1, got 0.",
      "stages[0].lora.alpha": expect.stringMatching(/^is not an option\. There are: target_modules,/),
      "stages[1].batchSize": 'expected number, got "two".',
      "stages[1].clip": "expected a number > 0, got 0.",
      "stages[1].data.file": "is missing; expected string.",
      "stages[1].validation": expect.stringMatching(/none: no such folder of pictures/),
    });
  });

  test("also beside parts that are nothing at all", async () => {
    const first = { ...align, optimizer: { type: "adam", lr: 1 }, schedule: 3, batchSize: 0 };
    const second = { ...align, optimizer: null, lora: { r: 2 }, trainable: ["lora", "langage"] };
    expect(Object.keys(await problems({ model: "./nowhere", stages: [first, "tune", second] }))).toEqual([
      "stages[0].optimizer.type",
      "stages[0].schedule",
      "stages[1]",
      "stages[2].lora.target_modules",
      "stages[2].lora.lora_alpha",
      "stages[2].optimizer",
      "stages[0].batchSize",
      "model",
    ]);
    expect(Object.keys(await problems({ model, stages: [first, second] }))).toContain("stages[1].trainable[1]");
    const other = { ...align, optimizer: { lr: 1 }, schedule: { type: "cosin" } };
    expect(await problems({ model, stages: [other] })).toMatchObject({
      "stages[0].optimizer.type": 'is missing; expected "adamW" or "sgd".',
      "stages[0].schedule.type": 'expected "constant", "linear", "cosine" or "linearWarmupCosine", got "cosin".',
    });
    expect(await problems([])).toMatchObject({ "": "expected object, got []." });
    expect(Object.keys(await problems({ stages: [] }))).toEqual(["model", "stages"]);
    expect(Object.keys(await problems({ model: "an-owner/never-downloaded", stages: [{ ...align, batchSize: 0 }] }))).toEqual([
      "stages[0].batchSize",
    ]);
  });
});

test("a part with fresh weights: the recipe's seed decides, and what was learnt is loaded with them", async () => {
  const read = async (seed: number, trainable: readonly string[]) =>
    readRecipe(
      await written({ model, initialize: ["projector"], seed, stages: [{ ...align, optimizer: { type: "sgd", lr: 0.01 }, trainable }] }),
    );
  const valuesOf = async ({ composition }: Assembly): Promise<readonly Float32Array[]> => {
    const sources = Array.from(composition?.modules.multi_modal_projector.namedParameters() ?? [], ([, { source }]) => source);
    return Promise.all(sources.map((source) => (source ? readFloat32(source) : new Float32Array())));
  };
  const fresh = async (seed: number) => valuesOf(await (await read(seed, ["language"])).model());
  const [once, again, other] = [await fresh(3), await fresh(3), await fresh(4)];
  expect(once).toHaveLength(4);
  expect(again).toEqual(once);
  expect(other[0]).not.toEqual(once[0]);
  expect((await valuesOf(await assemble(model)))[0]).not.toEqual(once[0]);
  const { trained } = await trainRecipe(await read(3, ["language_model.lm_head"]), { out: join(scratch, "fresh") });
  expect(await valuesOf(await assemble(trained))).toEqual(once); // it did not learn, and belongs to the model
});
