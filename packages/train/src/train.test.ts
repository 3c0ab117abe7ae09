/** Whole runs of the tiny LLaVA on drawn pictures. */
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSafetensors } from "@waggle/checkpoint";
import { type Dataset, openConversations } from "@waggle/data";
import { llama } from "@waggle/language";
import { assemble, compose, image, load, type MultimodalModel, start } from "@waggle/mllm";
import { cAbstractor } from "@waggle/projectors";
import { llavaHf } from "@waggle/text";
import { clip } from "@waggle/vision";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { conversations } from "./conversation-task.ts";
import type { TrainEvent } from "./log/train-event.ts";
import { adamW } from "./optimizer.ts";
import { cosine, linear } from "./schedule.ts";
import { type Stage, type StageOptions, stage } from "./stage.ts";
import { type TrainOptions, type TrainResult, train } from "./train.ts";
import { trainingModules } from "./training-modules.ts";

const folder = new URL("../../../golden/llava-tiny-hf", import.meta.url).pathname;
let scratch: string;
let data: Dataset;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "waggle-train-"));
  const rows = [];
  for (let i = 0; i < 10; i++) {
    const background = { r: (i * 53) % 256, g: (i * 97) % 256, b: (i * 31) % 256 };
    await sharp({ create: { width: 40 + i, height: 50, channels: 3, background } })
      .png()
      .toFile(join(scratch, `${i}.png`));
    const question = { from: "human", value: i === 3 ? "Say hello." : "<image>\nWhat colour is it?" };
    rows.push({
      id: `s${i}`,
      ...(i === 3 ? {} : { image: `${i}.png` }),
      conversations: [question, { from: "gpt", value: i % 2 ? "red" : "green and blue" }],
    });
  }
  await writeFile(join(scratch, "data.json"), JSON.stringify(rows));
  data = await openConversations(join(scratch, "data.json"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const base = (): StageOptions => ({
  name: "align",
  trainable: ["projector"],
  data,
  steps: 8,
  batchSize: 3,
  optimizer: adamW({ lr: 0.01 }),
  schedule: cosine({ warmup_steps: 1 }),
  clip: 1,
});

let runs = 0;
async function run(
  stages: readonly Stage[],
  options: Partial<TrainOptions> = {},
): Promise<TrainResult & { out: string; events: TrainEvent[] }> {
  const out = options.out ?? join(scratch, `run${runs++}`);
  const events: TrainEvent[] = [];
  const result = await train({ model: await assemble(folder), stages, out, onEvent: (event) => void events.push(event), ...options });
  return { ...result, out, events };
}

async function tensorsOf(path: string): Promise<Record<string, string>> {
  const { tensors } = await openSafetensors(path);
  const found: Record<string, string> = {};
  for (const [name, tensor] of tensors) found[name] = Buffer.from(await tensor.read()).toString("base64");
  return found;
}

const losses = (events: readonly TrainEvent[]): number[] => events.flatMap((event) => (event.type === "step" ? [event.record.loss] : []));

describe("a run", () => {
  test("learns, and says what it does", async () => {
    const { events, steps, checkpoint } = await run([stage(base())], { checkpointEvery: 4 });
    expect(steps).toBe(8);
    expect(losses(events)).toHaveLength(8);
    expect(losses(events).at(-1)).toBeLessThan((losses(events)[0] ?? 0) - 0.5);
    expect(events.map(({ type }) => type).filter((type) => type !== "step" && type !== "sample")).toEqual([
      "start",
      "checkpoint",
      "checkpoint",
      "end",
    ]);
    expect(Object.keys(await tensorsOf(checkpoint)).sort()[0]).toBe("exp_avg.multi_modal_projector.linear_1.bias");
  });

  test("says the optimiser's learning rate, not that of a group", async () => {
    const optimizer = adamW({ lr: 0.01, groups: [{ parameters: "multi_modal_projector.linear_1", lr: 1e-4 }] });
    const { events } = await run([stage({ ...base(), optimizer, steps: 2, schedule: linear() })]);
    expect(events.flatMap((event) => (event.type === "step" ? [event.record.lr] : []))).toEqual([0.01, 0.005]);
  });

  test("stopped and resumed is bit for bit the run that never stopped", async () => {
    const stages = () => [
      stage(base()),
      stage({ ...base(), name: "tune", trainable: ["projector", "language"], steps: 4, accumulation: 2 }),
    ];
    const straight = await run(stages());
    const out = join(scratch, "stopped");
    for (const at of [3, 10]) {
      const stop = new AbortController();
      const onEvent = (event: TrainEvent): void => {
        if (event.type === "step" && event.record.step === at) stop.abort(new Error("enough"));
      };
      await expect(
        train({ model: await assemble(folder), stages: stages(), out, resume: true, signal: stop.signal, onEvent }),
      ).rejects.toThrow("enough");
    }
    const resumed = await run(stages(), { out, resume: true });
    expect(resumed.events[0]).toMatchObject({ type: "start", step: 10, totalSteps: 12 });
    expect(await tensorsOf(resumed.checkpoint)).toEqual(await tensorsOf(straight.checkpoint));
    expect((await readdir(join(out, "checkpoints"))).every((name) => /^step-\d+\.safetensors$/.test(name))).toBe(true);
  });
});

describe("LoRA", () => {
  const lora = { target_modules: "language_model.*[qv]_proj", r: 2, lora_alpha: 4 };

  test("with dropout: other masks in every step, the same ones after a stop", async () => {
    const stages = (lora_dropout: number) => [
      stage({ ...base(), trainable: [], lora: { ...lora, lora_dropout }, steps: 6, validation: data }),
    ];
    const [none, some] = [await run(stages(0)), await run(stages(0.5))];
    expect(losses(some.events)[0]).toBeCloseTo(losses(none.events)[0] ?? 0, 5); // B is zero: nothing to drop yet
    expect(losses(some.events).at(-1)).not.toBeCloseTo(losses(none.events).at(-1) ?? 0, 4);
    const out = join(scratch, "dropped");
    const stop = new AbortController();
    const onEvent = (event: TrainEvent): void => void (event.type === "step" && event.record.step === 3 && stop.abort(new Error("enough")));
    await expect(train({ model: await assemble(folder), stages: stages(0.5), out, signal: stop.signal, onEvent })).rejects.toThrow(
      "enough",
    );
    const resumed = await run(stages(0.5), { out, resume: true });
    expect(await tensorsOf(resumed.checkpoint)).toEqual(await tensorsOf(some.checkpoint));
  });

  test("what was learnt is a folder that answers as the trained model does", async () => {
    const messages = [{ role: "user" as const, content: [image(join(scratch, "0.png")), "What colour is it?"] }];
    const ask = async (model: Pick<MultimodalModel, "generate" | "dispose">) => {
      const { text } = await model.generate(messages, { max_new_tokens: 8 });
      model.dispose();
      return text;
    };
    for (const stages of [
      [stage({ ...base(), lora, steps: 12 })],
      [stage({ ...base(), steps: 4 })],
      [
        stage({ ...base(), trainable: [], lora, steps: 6 }),
        stage({ ...base(), name: "full", trainable: ["projector", "language"], optimizer: adamW({ lr: 1e-3 }) }),
      ],
    ]) {
      const model = await assemble(folder);
      const { trained } = await run(stages, { model });
      const answer = await ask(await start(model));
      expect(await ask(await load(trained))).toBe(answer);
      expect(answer).not.toBe(await ask(await load(folder)));
    }
    const { trained } = await run([stage({ ...base(), lora, steps: 1 })]);
    await expect(run([stage(base())], { model: await assemble(trained) })).rejects.toThrow(/is an adapter\. Merge it first/);
  });

  test("parts composed by hand are saved whole", async () => {
    const { vision_config, text_config } = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    const parts = () =>
      compose({
        vision: clip(vision_config, { layer: -2 }),
        projector: cAbstractor({ tokens: 4 }),
        language: llama(text_config),
        prompt: llavaHf,
      });
    const model = await parts().assemble(folder, { initialize: ["projector"], seed: 5 });
    const { trained } = await run([stage({ ...base(), steps: 2 })], { model });
    expect(trained.endsWith("model")).toBe(true);
    using again = await parts().load(trained);
    using same = await start(model);
    const messages = [{ role: "user" as const, content: [image(join(scratch, "1.png")), "What colour is it?"] }];
    const options = { max_new_tokens: 6 };
    expect((await again.generate(messages, options)).text).toBe((await same.generate(messages, options)).text);
  });

  test("the language model itself stays as it is; a later stage may train what an earlier one added", async () => {
    const first = stage({ ...base(), trainable: ["projector"], lora, steps: 2 });
    const second = stage({ ...base(), name: "on", trainable: ["lora"], steps: 2 });
    const { checkpoint } = await run([first, second]);
    const names = Object.keys(await tensorsOf(checkpoint));
    expect(names.filter((name) => name.startsWith("parameter.")).every((name) => /\.lora_[AB]\.weight$/.test(name))).toBe(true);
    expect(names.filter((name) => name.startsWith("earlier.")).every((name) => name.includes("multi_modal_projector"))).toBe(true);
  });
});

describe("what is wrong is said before anything is lost", () => {
  test("a folder that holds a run, another model's checkpoint, two runs at once", async () => {
    const { out, checkpoint } = await run([stage({ ...base(), steps: 2 })]);
    const before = await tensorsOf(checkpoint);
    await expect(run([stage({ ...base(), steps: 2 })], { out })).rejects.toMatchObject({ name: "TrainingError", code: "folder" });
    await expect(run([stage({ ...base(), steps: 2 })], { out, resume: true, seed: 1 })).rejects.toMatchObject({ code: "checkpoint" });
    const other = await assemble(new URL("../../../golden/llava-next-tiny", import.meta.url).pathname);
    await expect(run([stage({ ...base(), steps: 2 })], { out, resume: true, model: other })).rejects.toMatchObject({ code: "checkpoint" });
    expect(await tensorsOf(checkpoint)).toEqual(before);
    const both = join(scratch, "both");
    const results = await Promise.allSettled([run([stage(base())], { out: both }), run([stage(base())], { out: both })]);
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(results.find(({ status }) => status === "rejected")).toMatchObject({
      reason: { code: "folder", message: /another process trains here/ },
    });
  });

  test("every mistake of a stage at once", () => {
    const wrong = { ...base(), name: "a/b", steps: 0, epochs: 2, batchSize: 1.5, clip: Number.NaN, onBroken: "ignore" };
    expect(() => stage(wrong as never)).toThrow(
      /name: [\s\S]*batchSize: [\s\S]*steps: [\s\S]*either steps or epochs[\s\S]*clip: [\s\S]*onBroken: /,
    );
    expect(() => stage({ ...base(), optimiser: 1 } as never)).toThrow(/optimiser: is not an option/);
    const data = { name: "unmeasured", length: 1, sample: () => Promise.reject(new Error("never read")) };
    for (const unmeasured of [data, conversations(data)])
      expect(() => stage({ ...base(), data: unmeasured, order: "length-grouped" })).toThrow(/order: .*lengthOf.* unmeasured .*"shuffled"/);
  });

  test("patterns that name nothing, in any of the stages, before the first one begins", async () => {
    const optimizer = adamW({ lr: 1, groups: [{ parameters: "lora", lr: 2 }] });
    const wrong = [
      stage({ ...base(), trainable: ["projektor"] }),
      stage({ ...base(), name: "later", lora: { target_modules: ["query"], r: 1, lora_alpha: 1 } }),
      stage({ ...base(), name: "rates", optimizer }),
    ];
    const model = await assemble(folder);
    const paths = [...trainingModules(model).namedParameters()].map(([path]) => path);
    const found = await run([stage({ ...base(), lora: { target_modules: ["q_proj"], r: 1, lora_alpha: 1 } }), ...wrong], {
      model,
      out: join(scratch, "never"),
    }).catch((error: unknown) => error);
    expect(String(found)).toMatch(/stages\[1\]\.trainable\[0\]: projektor names no parameter\. There are .*multi_modal_projector/);
    expect(String(found)).toMatch(/stages\[2\]\.lora\.target_modules\[0\]: query names no Linear/);
    expect([...trainingModules(model).namedParameters()].map(([path]) => path)).toEqual(paths);
    expect(await readdir(scratch)).not.toContain("never");
    expect(String(await run([wrong[2] as Stage]).catch((error: unknown) => error))).toMatch(
      /stages\[0\]\.optimizer\.groups\[0\]\.parameters: lora names none/,
    );
  });

  test("a broken sample stops the run, or is left out and named", async () => {
    const rows = [
      {
        id: "good",
        image: "0.png",
        conversations: [
          { from: "human", value: "<image>\nColour?" },
          { from: "gpt", value: "red" },
        ],
      },
      {
        id: "no picture",
        image: "missing.png",
        conversations: [
          { from: "human", value: "<image>\nColour?" },
          { from: "gpt", value: "red" },
        ],
      },
      {
        id: "too long",
        conversations: [
          { from: "human", value: "word ".repeat(3000) },
          { from: "gpt", value: "red" },
        ],
      },
      { id: "no answer", conversations: [{ from: "human", value: "Hello" }] },
    ];
    await writeFile(join(scratch, "broken.json"), JSON.stringify(rows));
    const broken = await openConversations(join(scratch, "broken.json"));
    const options = { ...base(), data: broken, steps: 2, order: "sequential" } as const;
    await expect(run([stage(options)])).rejects.toThrow(/missing\.png/);
    const { events } = await run([stage({ ...options, onBroken: "skip" })]);
    const skipped = new Map(events.flatMap((event) => (event.type === "skipped" ? [[event.id, event.reason]] : [])));
    expect([...skipped.keys()].sort()).toEqual(["no answer", "no picture", "too long"]);
    expect(skipped.get("too long")).toMatch(/has \d+ positions, the language model 512/);
    expect(skipped.get("no answer")).toMatch(/every label is masked/);
  });

  test("a learning rate that is too high: the checkpoint before is kept", async () => {
    const out = join(scratch, "wild");
    const wild = stage({ ...base(), trainable: ["projector", "language"], optimizer: adamW({ lr: 1e30 }), steps: 20 });
    await expect(run([wild], { out, checkpointEvery: 1 })).rejects.toMatchObject({ name: "TrainingError", code: "not-finite" });
    const names = await readdir(join(out, "checkpoints"));
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(Object.keys(await tensorsOf(join(out, "checkpoints", name))).length).toBeGreaterThan(10);
  });

  test("nothing is left of a checkpoint that could not be written", async () => {
    const out = join(scratch, "full");
    await mkdir(out);
    await writeFile(join(out, "checkpoints"), "in the way");
    await expect(run([stage(base())], { out })).rejects.toMatchObject({ name: "CheckpointError", code: "unwritable" });
  });
});
