/** A run as a value: which model, which stages. A JSON file may hold one; a TypeScript file exports one. */
import { dirname, resolve } from "node:path";
import { readJson } from "@waggle/checkpoint";
import { type Dataset, openConversations } from "@waggle/data";
import { type Assembly, assemble } from "@waggle/mllm";
import { ConfigError, type ConfigProblem, parseConfig } from "@waggle/nn";
import { z } from "zod";
import { adamW, type Optimizer, sgd } from "./optimizer.ts";
import { constant, cosine, linear, linearWarmupCosine, type Schedule } from "./schedule.ts";
import { type Stage, stage } from "./stage.ts";
import { type TrainOptions, type TrainResult, train } from "./train.ts";

export interface Recipe {
  /** Called once, before anything else. */
  readonly model: () => Promise<Assembly>;
  readonly stages: readonly Stage[] | ((model: Assembly) => readonly Stage[] | Promise<readonly Stage[]>);
  readonly seed?: number;
  readonly checkpointEvery?: number;
  readonly keepCheckpoints?: number;
}

/** Trains by a recipe: its model, its stages, and options that are not part of it. */
export async function trainRecipe(
  { model: open, stages, ...settings }: Recipe,
  options: Pick<TrainOptions, "out" | "resume" | "threads" | "signal" | "onEvent">,
): Promise<TrainResult> {
  const model = await open();
  return train({ model, stages: typeof stages === "function" ? await stages(model) : stages, ...settings, ...options });
}

/** LLaVA conversations or captions, JSON or one JSON object per line; pictures are looked for in `images`. */
const data = z.strictObject({ file: z.string(), images: z.string().exactOptional() });
const patterns = z.array(z.string());
const rates = { lr: z.number(), weight_decay: z.number().exactOptional() };
const common = {
  ...rates,
  groups: z
    .array(z.strictObject({ ...rates, lr: z.number().exactOptional(), parameters: z.union([z.string(), patterns]) }))
    .exactOptional(),
  decayNormsAndBiases: z.boolean().exactOptional(),
};
const optimizer = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("adamW"),
    ...common,
    betas: z.tuple([z.number(), z.number()]).exactOptional(),
    eps: z.number().exactOptional(),
  }),
  z.strictObject({ type: z.literal("sgd"), ...common, momentum: z.number().exactOptional(), nesterov: z.boolean().exactOptional() }),
]);
const warmup = { warmup_steps: z.number().exactOptional(), warmup_ratio: z.number().exactOptional() };
const schedule = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("constant"), ...warmup }),
  z.strictObject({ type: z.literal("linear"), ...warmup, min_lr: z.number().exactOptional() }),
  z.strictObject({ type: z.literal("cosine"), ...warmup, min_lr: z.number().exactOptional() }),
  z.strictObject({
    ...{ type: z.literal("linearWarmupCosine"), warmup_start_lr: z.number(), min_lr: z.number() },
    ...{ warmup_steps: z.number(), steps_per_epoch: z.number() },
  }),
]);
const lora = z.strictObject({
  target_modules: z.union([z.string(), patterns]),
  r: z.number(),
  lora_alpha: z.number(),
  lora_dropout: z.number().exactOptional(),
  use_rslora: z.boolean().exactOptional(),
});
const stageFields = z.strictObject({
  name: z.string(),
  trainable: patterns,
  lora: lora.exactOptional(),
  data,
  validation: data.exactOptional(),
  steps: z.number().exactOptional(),
  epochs: z.number().exactOptional(),
  batchSize: z.number(),
  accumulation: z.number().exactOptional(),
  optimizer,
  schedule: schedule.exactOptional(),
  clip: z.number().exactOptional(),
  average: z.enum(["targets", "micro-batches"]).exactOptional(),
  order: z.enum(["shuffled", "length-grouped", "sequential"]).exactOptional(),
  onBroken: z.enum(["skip", "stop"]).exactOptional(),
  recompute: z.boolean().exactOptional(),
});
const recipe = z.strictObject({
  /** Folder or hub id of a published model. */
  model: z.string(),
  /** What it was trained over, where the folder holds an adapter or a projector only. */
  base: z.string().exactOptional(),
  seed: z.number().exactOptional(),
  checkpointEvery: z.number().exactOptional(),
  keepCheckpoints: z.number().exactOptional(),
  stages: z.array(stageFields).min(1),
});

type Fields<Schema extends z.ZodType> = z.infer<Schema>;

/**
 * Reads a recipe from a JSON file; paths in it are relative to its folder. `names` are models by names of their own.
 * @throws ConfigError with every mistake, in any of the stages.
 */
export async function readRecipe(file: string, names: Readonly<Record<string, string>> = {}): Promise<Recipe> {
  const { model, base, stages, ...rest } = parseConfig(file, recipe, await readJson(file));
  const folder = dirname(resolve(file));
  const problems: ConfigProblem[] = [];
  const built: Stage[] = [];
  for (const [i, fields] of stages.entries()) {
    const found = await collect(problems, `stages[${i}]`, () => stageOf(fields, folder));
    if (found !== null) built.push(found);
  }
  if (problems.length > 0) throw new ConfigError(file, problems);
  const place = (id: string): string => names[id] ?? (/^\.{1,2}\//.test(id) ? resolve(folder, id) : id);
  return { model: () => assemble(place(model), base === undefined ? {} : { base: place(base) }), stages: built, ...rest };
}

async function stageOf({ data, validation, optimizer, schedule, ...rest }: Fields<typeof stageFields>, folder: string): Promise<Stage> {
  const problems: ConfigProblem[] = [];
  const part = <T>(field: string, make: () => T | Promise<T>): Promise<T | null> => collect(problems, field, make);
  const parts = {
    data: await part("data", () => opened(data, folder)),
    validation: validation && (await part("validation", () => opened(validation, folder))),
    optimizer: await part("optimizer", () => optimizerOf(optimizer)),
    schedule: schedule && (await part("schedule", () => scheduleOf(schedule))),
  };
  const { data: samples, validation: held, optimizer: rule, schedule: rates } = parts;
  // What is wrong beside a broken part is said with it.
  const whole = await part("", () =>
    stage({
      ...rest,
      data: samples ?? nothing,
      optimizer: rule ?? sgd({ lr: 0 }),
      ...(held && { validation: held }),
      ...(rates && { schedule: rates }),
    }),
  );
  if (whole === null || problems.length > 0) throw new ConfigError("", problems);
  return whole;
}

/** Stands for data that could not be opened. */
const nothing: Dataset = { name: "", length: 1, sample: (index) => ({ id: `${index}`, images: [], conversations: [] }) };

function opened({ file, images }: Fields<typeof data>, folder: string): Promise<Dataset> {
  return openConversations(resolve(folder, file), images === undefined ? {} : { images: resolve(folder, images) });
}

function optimizerOf({ type, ...options }: Fields<typeof optimizer>): Optimizer {
  return type === "adamW" ? adamW(options) : sgd(options);
}

function scheduleOf(fields: Fields<typeof schedule>): Schedule {
  switch (fields.type) {
    case "constant":
      return constant(withoutType(fields));
    case "linear":
      return linear(withoutType(fields));
    case "cosine":
      return cosine(withoutType(fields));
    case "linearWarmupCosine":
      return linearWarmupCosine(withoutType(fields));
    default:
      return fields satisfies never;
  }
}

function withoutType<T extends { readonly type: string }>({ type, ...options }: T): Omit<T, "type"> {
  return options;
}

/** The value, or null and what was wrong with it among the problems. */
async function collect<T>(problems: ConfigProblem[], field: string, make: () => T | Promise<T>): Promise<T | null> {
  try {
    return await make();
  } catch (error) {
    if (error instanceof ConfigError) {
      for (const problem of error.problems) problems.push({ ...problem, field: [field, problem.field].filter(Boolean).join(".") });
    } else problems.push({ field, message: error instanceof Error ? error.message : String(error) });
    return null;
  }
}
