/** A run as a value: which model, which stages. A JSON file may hold one; a TypeScript file exports one. */
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { HubError, readJson } from "@waggle/checkpoint";
import { type Dataset, openConversations } from "@waggle/data";
import { type Assembly, assemble } from "@waggle/mllm";
import { ConfigError, type ConfigProblem, type LoraOptions } from "@waggle/nn";
import { type AdamWOptions, adamW, type Optimizer, type SgdOptions, sgd } from "./optimizer.ts";
import {
  type DataFields,
  type OptimizerFields,
  type RecipeFields,
  type Rest,
  readForm,
  type ScheduleFields,
  type StageFields,
} from "./recipe-form.ts";
import { type Plan, rehearse } from "./rehearse.ts";
import { constant, cosine, linear, linearWarmupCosine, type Schedule } from "./schedule.ts";
import { type Stage, stage } from "./stage.ts";
import { settingProblems, type TrainOptions, type TrainResult, train } from "./train.ts";
import { trainingModules } from "./training-modules.ts";

export interface Recipe {
  /** Called once, before anything else; where the run is stopped meanwhile, by the signal. */
  readonly model: (signal?: AbortSignal) => Promise<Assembly>;
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
  options.signal?.throwIfAborted();
  const model = await open(options.signal);
  return train({ model, stages: typeof stages === "function" ? await stages(model) : stages, ...settings, ...options });
}

/**
 * Reads a recipe from a JSON file; paths in it are relative to its folder. `names` are models by names of their own.
 * @throws ConfigError with every mistake: of form and of value, in any of the stages, files that are missing, and what does not
 * fit the model, where that is at hand.
 */
export async function readRecipe(file: string, names: Readonly<Record<string, string>> = {}): Promise<Recipe> {
  const { problems: misformed, rest } = readForm(await readJson(file));
  const folder = dirname(resolve(file));
  const isPath = (id: string): boolean => /^\.{1,2}\//.test(id) || existsSync(resolve(folder, id)); // else of the hub
  const place = (id: string): string => names[id] ?? (isPath(id) ? resolve(folder, id) : id);
  const { model = "", base, initialize, stages = [], ...settings } = rest as RecipeFields;
  const open = (offline: boolean, signal?: AbortSignal): Promise<Assembly> => {
    const { seed = 0 } = settings;
    const parts = initialize && { initialize: initialize.filter((part) => part !== undefined), seed }; // a gap is a mistake of form
    return assemble(place(model), { ...(base !== undefined && { base: place(base) }), ...parts, signal, ...(offline && { offline }) });
  };
  const problems: ConfigProblem[] = [...settingProblems(settings)];
  const built: Stage[] = [];
  for (const [i, fields] of stages.entries()) {
    const found = await collect(problems, `stages[${i}]`, () => stageOf(fields ?? {}, folder));
    if (found !== null) built.push(found);
  }
  if (misformed.length + problems.length === 0) return { model: (signal) => open(false, signal), stages: built, ...settings };
  if (model !== "") problems.push(...(await modelProblems(() => open(true), rest.stages ?? [])));
  // What is missing because its form is wrong has been said.
  const said = new Set(misformed.map(({ field }) => field));
  const news = problems.filter(({ field }) => !within(field).some((outer) => said.has(outer)));
  throw new ConfigError(file, [...misformed, ...news]);
}

/** A field and all that it is within: `a[0].b`, `a[0]`, `a`. */
function within(field: string): readonly string[] {
  return [field, ...Array.from(field.matchAll(/[.[]/g), ({ index }) => field.slice(0, index))];
}

/** What does not fit the model. One that would have to be downloaded is not asked. */
async function modelProblems(open: () => Promise<Assembly>, stages: NonNullable<Rest<RecipeFields>["stages"]>): Promise<ConfigProblem[]> {
  const problems: ConfigProblem[] = [];
  await collect(problems, "model", async () => {
    const model = await open().catch((error: unknown) => {
      if (error instanceof HubError && error.code === "offline") return null;
      throw new Error(error instanceof Error ? error.message : String(error));
    });
    const plans = stages.map((fields): Plan => {
      const { trainable = [], lora, optimizer } = fields ?? {};
      const groups = (optimizer?.groups ?? []).map((group) => ({ parameters: texts(group?.parameters) }));
      return { trainable: texts(trainable), lora: lora && ({ ...lora, target_modules: lora.target_modules ?? [] } as LoraOptions), groups };
    });
    if (model) problems.push(...rehearse(trainingModules(model), plans));
  });
  return problems;
}

/** Gaps stay: what follows keeps its number. */
function texts(list: string | readonly (string | undefined)[] = []): readonly string[] {
  return [list].flat().map((text) => text ?? "");
}

/** Some of the fields may be missing; what is said of those is not asked for. */
async function stageOf(fields: Rest<StageFields>, folder: string): Promise<Stage> {
  const { data, validation, optimizer, schedule, ...rest } = fields as Partial<StageFields>;
  const problems: ConfigProblem[] = [];
  const part = <T>(field: string, make: () => T | Promise<T>): Promise<T | null> => collect(problems, field, make);
  const parts = {
    data: data?.file === undefined ? null : await part("data", () => opened(data, folder)),
    validation: validation?.file === undefined ? null : await part("validation", () => opened(validation, folder)),
    optimizer: optimizer?.type && (await part("optimizer", () => optimizerOf(optimizer))),
    schedule: schedule?.type && (await part("schedule", () => scheduleOf(schedule))),
  };
  const { data: samples, validation: held, optimizer: rule, schedule: rates } = parts;
  // What is wrong beside a broken part is said with it.
  const whole = await part("", () =>
    stage({
      ...(rest as Pick<StageFields, "name" | "trainable" | "batchSize">),
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
const nothing: Dataset = {
  ...{ name: "", length: 1, lengthOf: () => ({ length: 1, multimodal: false }) },
  sample: (index) => ({ id: `${index}`, images: [], conversations: [] }),
};

function opened({ file, images }: DataFields, folder: string): Promise<Dataset> {
  return openConversations(resolve(folder, file), images === undefined ? {} : { images: resolve(folder, images) });
}

function optimizerOf({ type, groups = [], ...rest }: OptimizerFields): Optimizer {
  const whole = (groups as Rest<typeof groups>).map((group) => ({ ...group, parameters: texts(group?.parameters) }));
  const options = { ...rest, groups: whole } as AdamWOptions & SgdOptions;
  return type === "adamW" ? adamW(options) : sgd(options);
}

function scheduleOf(fields: ScheduleFields): Schedule {
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
