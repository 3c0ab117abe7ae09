/** Stages that follow each other: what one learnt is there in the next, also if the run stops in between. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSafetensors, readFloat32 } from "@waggle/checkpoint";
import { DataError, type Dataset, type Sample } from "@waggle/data";
import { type Assembly, assemble, image } from "@waggle/mllm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { conversations } from "./conversation-task.ts";
import type { TrainEvent } from "./log/train-event.ts";
import { crossEntropy } from "./objective.ts";
import { adamW } from "./optimizer.ts";
import { type StageOptions, stage } from "./stage.ts";
import type { Task } from "./task.ts";
import { type TrainOptions, train } from "./train.ts";

const golden = new URL("../../../golden/llava-tiny-hf", import.meta.url).pathname;
const words = ["one", "two words", "three small words", "four", "five"];
const data: Dataset = {
  name: "words",
  length: words.length,
  sample: (index): Sample => ({
    id: `${index}`,
    images: [],
    conversations: [
      { from: "human", value: `Say ${words[index]}.` },
      { from: "gpt", value: words[index] ?? "" },
    ],
  }),
};
const part = (options: Partial<StageOptions>) =>
  stage({ name: "part", trainable: [], data, steps: 3, batchSize: 2, optimizer: adamW({ lr: 0.01 }), ...options });
const lora = (target: string) => ({ target_modules: [target], r: 2, lora_alpha: 4 });

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "waggle-stages-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

let model: Assembly;
let folders = 0;
const newFolder = (): string => join(scratch, `run${folders++}`);

async function run(options: Omit<TrainOptions, "model">) {
  model = await assemble(golden);
  return train({ model, ...options });
}

/** Stops after step `at`, goes on to the end. */
async function stopped(options: Omit<TrainOptions, "model">, ...steps: readonly number[]) {
  for (const at of steps) {
    const stop = new AbortController();
    const onEvent = (event: TrainEvent): void => void (event.type === "step" && event.record.step === at && stop.abort(new Error("stop")));
    await expect(run({ ...options, resume: true, signal: stop.signal, onEvent })).rejects.toThrow("stop");
  }
  return run({ ...options, resume: true });
}

async function tensorsOf(path: string): Promise<Readonly<Record<string, Float32Array>>> {
  const { tensors } = await openSafetensors(path);
  return Object.fromEntries(await Promise.all(Array.from(tensors, async ([name, entry]) => [name, await readFloat32(entry)] as const)));
}

describe("a run that stopped between its stages", () => {
  test.each([
    ["the next one trains something else", () => [part({ trainable: ["projector"] }), part({ trainable: ["language"] })]],
    ["the next one trains the same and more", () => [part({ trainable: ["*.layers.0"] }), part({ trainable: ["language"] })]],
    ["a LoRA, then all", () => [part({ lora: lora("q_proj") }), part({ trainable: ["language"] })]],
  ])("%s", { timeout: 60_000 }, async (_, stages) => {
    const straight = await run({ stages: stages(), out: newFolder() });
    const resumed = await stopped({ stages: stages(), out: newFolder() }, 3, 4);
    expect(await tensorsOf(resumed.checkpoint)).toEqual(await tensorsOf(straight.checkpoint));
  });
});

test("two LoRAs with different targets: the second stage leaves the first one's as they are", async () => {
  const stages = [part({ lora: lora("q_proj") }), part({ lora: lora("v_proj") })];
  const first: Record<string, Float32Array> = {};
  const onEvent = async (event: TrainEvent): Promise<void> => {
    if (event.type === "checkpoint" && event.step === 3) Object.assign(first, await tensorsOf(event.path));
  };
  const { checkpoint } = await run({ stages, out: newFolder(), onEvent });
  const last = await tensorsOf(checkpoint);
  const learnt = Object.keys(last).filter((name) => name.startsWith("parameter."));
  expect(learnt.length).toBeGreaterThan(0);
  expect(learnt.filter((name) => !name.includes(".v_proj.lora_"))).toEqual([]);
  for (const [name, values] of Object.entries(first))
    if (name.startsWith("parameter.")) expect(last[name.replace("parameter.", "earlier.")]).toEqual(values);
});

test("a pattern with the flag g names what it names without", async () => {
  const { checkpoint } = await run({ stages: [part({ trainable: [/linear_\d/g], steps: 1 })], out: newFolder() });
  expect(Object.keys(await tensorsOf(checkpoint)).filter((name) => name.startsWith("parameter."))).toHaveLength(4);
});

describe("a step that somebody did not like to hear of", () => {
  test.each([
    ["alone", false],
    ["and an abort", true],
  ])("%s: it was made, and is not made twice", async (_, aborts) => {
    const stages = () => [part({ trainable: ["projector"], steps: 4 })];
    const straight = await run({ stages: stages(), out: newFolder() });
    const out = newFolder();
    const stop = new AbortController();
    const onEvent = (event: TrainEvent): void => {
      if (event.type !== "step" || event.record.step !== 2) return;
      if (aborts) stop.abort(new Error("no"));
      throw new Error("no");
    };
    await expect(run({ stages: stages(), out, signal: stop.signal, onEvent })).rejects.toThrow("no");
    const starts: number[] = [];
    const resumed = await run({
      stages: stages(),
      out,
      resume: true,
      onEvent: (event) => void (event.type === "start" && starts.push(event.step)),
    });
    expect(starts).toEqual([2]);
    expect(await tensorsOf(resumed.checkpoint)).toEqual(await tensorsOf(straight.checkpoint));
  });
});

test("what a schedule or a task of one's own does wrong is said before a parameter is touched", async () => {
  const schedule = { name: "mine", settings: {}, factor: (step: number) => (step < 2 ? 1 : Number.NaN) };
  await expect(run({ stages: [part({ trainable: ["projector"], schedule })], out: newFolder() })).rejects.toThrow(
    "schedule mine: factor(2, 3, 0.01): expected a finite number ≥ 0, got NaN.",
  );
  const short: Task = {
    name: "short",
    length: 1,
    open: async (context) => ({ ...(await conversations(data).open(context)), dispose: () => {}, async *batches() {} }),
  };
  await expect(run({ stages: [part({ trainable: ["projector"], data: short })], out: newFolder() })).rejects.toThrow(
    /short: its batches ended/,
  );
});

test("a broken sample of the validation set is treated as one of the training set", async () => {
  const broken: Dataset = {
    ...data,
    name: "broken",
    sample: (index) => (index === 1 ? { id: "dumb", images: [], conversations: [{ from: "human", value: "Hm?" }] } : data.sample(index)),
  };
  const tune = part({ trainable: ["projector"], validation: broken, onBroken: "skip" });
  await expect(run({ stages: [tune], out: newFolder() })).resolves.toMatchObject({ steps: 3 });
});

test("a folder where no lock can be made, and logs that cannot be closed: the error is what went wrong first", async () => {
  let long = newFolder();
  while (long.length < 4085) long = join(long, "x".repeat(Math.min(200, 4089 - long.length))); // a path may have 4095 bytes
  await expect(run({ stages: [part({ trainable: ["projector"] })], out: long })).rejects.toMatchObject({ code: "ENAMETOOLONG" });
  const other = newFolder();
  const onEvent = async (event: TrainEvent): Promise<void> => {
    if (event.type !== "step") return;
    await rm(other, { recursive: true });
    await writeFile(other, "in the way");
    throw new Error("first");
  };
  await expect(run({ stages: [part({ trainable: ["projector"] })], out: other, onEvent })).rejects.toThrow("first");
});

test("Honeybee's table of positions, published with a row more than the projector has, is loaded as it was learnt", async () => {
  const bee = await assemble(new URL("../../../golden/honeybee-tiny-c-abs", import.meta.url).pathname);
  const stages = [part({ trainable: ["projector"], steps: 1 })];
  const { checkpoint, trained } = await train({ model: bee, stages, out: newFolder() });
  const loaded = (await assemble(trained)).composition?.modules.namedParameters() ?? [];
  const table = new Map(loaded).get("multi_modal_projector.pos_emb")?.source;
  if (!table) throw new Error("the projector has a table of positions.");
  expect(await readFloat32(table)).toEqual((await tensorsOf(checkpoint))["parameter.multi_modal_projector.pos_emb"]);
});

describe("validation is by its own objective", () => {
  const validated = async (options: Partial<StageOptions>): Promise<number> => {
    let loss = Number.NaN;
    const onEvent = (event: TrainEvent): void => {
      if (event.type === "validation") loss = event.loss;
    };
    await run({ stages: [part({ trainable: ["projector"], steps: 1, ...options })], out: newFolder(), onEvent });
    return loss; // of text, which the projector does not change
  };
  const shorter = conversations(data, { weight: (length) => 1 / length });

  test("targets that count alike beside a stage in which they do not, and the other way about", async () => {
    const alike = await validated({ validation: data });
    expect(await validated({ data: shorter, validation: data })).toBe(alike);
    const weighted = await validated({ data: shorter, validation: shorter });
    expect(weighted).not.toBeCloseTo(alike, 3);
    expect(await validated({ validation: shorter })).toBe(weighted);
  });

  test("a broken sample of it is named", async () => {
    const sample = (index: number): Sample => {
      if (index === 1) throw new DataError("bad-sample", "is torn.");
      return data.sample(index) as Sample;
    };
    const skipped: string[] = [];
    const onEvent = (event: TrainEvent): void => void (event.type === "skipped" && skipped.push(event.reason));
    const stages = [part({ trainable: ["projector"], steps: 1, onBroken: "skip", validation: { ...data, sample } })];
    await run({ stages, out: newFolder(), onEvent });
    expect(skipped).toEqual(["is torn."]);
  });
});

test("a loss that leaves the weights of targets out is refused", async () => {
  const deaf = conversations(data, { weight: (length) => 1 / length, loss: (logits, ids) => crossEntropy(logits, ids) });
  await expect(run({ stages: [part({ trainable: ["projector"], data: deaf })], out: newFolder() })).rejects.toThrow(
    /weight: the loss does not use target_weights/,
  );
});

test("a bias that learns beside its layer's LoRA pair is kept", async () => {
  const path = "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj";
  const seen: Dataset = {
    ...data,
    sample: () => ({
      ...{ id: "scene", images: [image(join(golden, "scene.png"))] },
      conversations: [
        { from: "human", value: "<image>\nWhat is it?" },
        { from: "gpt", value: "a house" },
      ],
    }),
  };
  const learn = part({ trainable: [`${path}.bias`], lora: lora(path), data: seen });
  const { trained } = await run({ stages: [learn], out: newFolder() });
  const biasOf = async ({ composition }: Assembly): Promise<Float32Array> => {
    const bias = new Map(composition?.modules.parameterPaths()).get(`${path}.bias`)?.source;
    return bias ? readFloat32(bias) : expect.unreachable();
  };
  expect(await biasOf(await assemble(trained))).toEqual(await biasOf(model));
  expect(await biasOf(model)).not.toEqual(await biasOf(await assemble(golden)));
});

test("a LoRA pair at a head that is tied to the embeddings is refused before anything starts: it could not be loaded again", async () => {
  model = await assemble(new URL("../../../golden/blip2-opt-tiny", import.meta.url).pathname);
  const stages = [part({ lora: lora("lm_head") })];
  await expect(train({ model, stages, out: newFolder() })).rejects.toThrow(
    /stages\[0\]\.lora\.target_modules: language_model\.lm_head has its weight from language_model\.model\.decoder\.embed_tokens \(tied\)/,
  );
});

test("epochs that are no whole number of steps: the last step has what is left, and no sample counts twice", async () => {
  const lossOf = async (options: Partial<StageOptions>) =>
    (await run({ stages: [part({ trainable: ["projector"], steps: undefined, epochs: 1, ...options })], out: newFolder() })).loss;
  expect(await lossOf({ accumulation: 8 })).toBeCloseTo(await lossOf({ batchSize: data.length }), 4);
});

test("an option that is undefined is one that is not given", () => {
  const names = ["accumulation", "schedule", "average", "order", "onBroken", "recompute", "lora", "clip", "validation"] as const;
  const unset = Object.fromEntries(names.map((name) => [name, undefined]));
  const given = part({ trainable: ["projector"], ...unset });
  expect(given.schedule.factor(0, 1, 1)).toBe(1);
  expect(JSON.stringify(given)).toBe(JSON.stringify(part({ trainable: ["projector"] }))); // of which a run's fingerprint is made
});

test("an optimizer or a schedule that is only its name is refused where the stage is written", () => {
  const wrong = () => part({ optimizer: "adamW" as never, schedule: "cosine" as never });
  expect(wrong).toThrow(/optimizer: expected what adamW\(\)[\s\S]*schedule: expected what constant\(\)/);
});

test("validation data without samples is refused where the stage is written, not at its first checkpoint", () => {
  expect(() => part({ trainable: ["projector"], validation: { ...data, length: 0 } })).toThrow("validation: holds no samples.");
});
