/** What may stand in a recipe's JSON. */
import { type ConfigProblem, fieldOf, type LoraOptions } from "@waggle/nn";
import { z } from "zod";
import type { AdamWOptions, ParameterGroup, SgdOptions } from "./optimizer.ts";
import type { FloorOptions, MiniGpt4ScheduleOptions, WarmupOptions } from "./schedule.ts";
import type { StageOptions } from "./stage.ts";

/** LLaVA's conversations, JSON or one JSON object per line; pictures are looked for in `images`. */
export interface DataFields {
  readonly file: string;
  readonly images?: string;
}

interface Grouped {
  readonly groups?: readonly (Omit<ParameterGroup, "parameters"> & { readonly parameters: string | readonly string[] })[];
}
export type OptimizerFields =
  | (Omit<AdamWOptions, "groups"> & Grouped & { readonly type: "adamW" })
  | (Omit<SgdOptions, "groups"> & Grouped & { readonly type: "sgd" });
export type ScheduleFields =
  | (WarmupOptions & { readonly type: "constant" })
  | (FloorOptions & { readonly type: "linear" | "cosine" })
  | (MiniGpt4ScheduleOptions & { readonly type: "linearWarmupCosine" });

export interface StageFields extends Omit<StageOptions, "trainable" | "lora" | "data" | "validation" | "optimizer" | "schedule"> {
  readonly trainable: readonly string[];
  readonly lora?: Omit<LoraOptions, "seed">;
  readonly data: DataFields;
  readonly validation?: DataFields;
  readonly optimizer: OptimizerFields;
  readonly schedule?: ScheduleFields;
}

export interface RecipeFields {
  /** Folder or hub id of a published model. */
  readonly model: string;
  /** What it was trained over, where the folder holds an adapter or a projector only. */
  readonly base?: string;
  /** Parts that begin with fresh weights, by the seed. */
  readonly initialize?: readonly "projector"[];
  readonly seed?: number;
  readonly checkpointEvery?: number;
  readonly keepCheckpoints?: number;
  readonly stages: readonly StageFields[];
}

/** An object of these fields and no others. */
function fields<Shape extends z.core.$ZodLooseShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const known = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: ({ code }) => (code === "unrecognized_keys" ? `is not an option. There are: ${known}.` : undefined),
  });
}

const data = fields({ file: z.string(), images: z.string().exactOptional() });
const patterns = z.array(z.string());
const oneOrMore = z.union([z.string(), patterns], { error: "expected a text or a list of texts." });
const rates = { lr: z.number(), weight_decay: z.number().exactOptional() };
const common = {
  ...rates,
  groups: z.array(fields({ ...rates, lr: z.number().exactOptional(), parameters: oneOrMore })).exactOptional(),
  decayNormsAndBiases: z.boolean().exactOptional(),
};
const optimizer = z.discriminatedUnion(
  "type",
  [
    fields({
      type: z.literal("adamW"),
      ...common,
      betas: z.tuple([z.number(), z.number()]).exactOptional(),
      eps: z.number().exactOptional(),
    }),
    fields({ type: z.literal("sgd"), ...common, momentum: z.number().exactOptional(), nesterov: z.boolean().exactOptional() }),
  ],
  { error: wrongKind('"adamW" or "sgd"') },
);
const warmup = { warmup_steps: z.number().exactOptional(), warmup_ratio: z.number().exactOptional() };
const schedule = z.discriminatedUnion(
  "type",
  [
    fields({ type: z.literal("constant"), ...warmup }),
    fields({ type: z.literal("linear"), ...warmup, min_lr: z.number().exactOptional() }),
    fields({ type: z.literal("cosine"), ...warmup, min_lr: z.number().exactOptional() }),
    fields({
      ...{ type: z.literal("linearWarmupCosine"), warmup_start_lr: z.number(), min_lr: z.number() },
      ...{ warmup_steps: z.number(), steps_per_epoch: z.number() },
    }),
  ],
  { error: wrongKind('"constant", "linear", "cosine" or "linearWarmupCosine"') },
);
const lora = fields({
  target_modules: oneOrMore,
  r: z.number(),
  lora_alpha: z.number(),
  lora_dropout: z.number().exactOptional(),
  use_rslora: z.boolean().exactOptional(),
});
const stage = fields({
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
const recipe: z.ZodType<RecipeFields> = fields({
  model: z.string(),
  base: z.string().exactOptional(),
  initialize: z.array(z.literal("projector")).exactOptional(),
  seed: z.number().exactOptional(),
  checkpointEvery: z.number().exactOptional(),
  keepCheckpoints: z.number().exactOptional(),
  stages: z.array(stage).min(1, { error: "expected at least one stage." }),
});

/** What is there after wrong fields have been left out: anything may be missing. */
export type Rest<T> = T extends readonly (infer Entry)[]
  ? readonly (Rest<Entry> | undefined)[]
  : T extends object
    ? { readonly [Field in keyof T]?: Rest<T[Field]> | undefined }
    : T;

/**
 * Everything wrong with the form of a recipe, and the recipe without what is: so that its values can be checked too. A wrong
 * entry of a list leaves a gap, the others keep their numbers.
 */
export function readForm(json: unknown): { readonly problems: readonly ConfigProblem[]; readonly rest: Rest<RecipeFields> } {
  const result = recipe.safeParse(json, { error: wrongType });
  if (result.success) return { problems: [], rest: result.data };
  const wrong = result.error.issues.flatMap(({ path, message, ...issue }) =>
    (issue.code === "unrecognized_keys" ? issue.keys.map((key) => [...path, key]) : [path]).map((place) => ({ place, message })),
  );
  const rest: unknown = structuredClone(json);
  for (const { place } of wrong) leaveOut(rest, place);
  const isObject = typeof rest === "object" && rest !== null && !Array.isArray(rest);
  return {
    problems: wrong.map(({ place, message }) => ({ field: fieldOf(place), message })),
    rest: isObject ? (rest as Rest<RecipeFields>) : {},
  };
}

/** Zod would say `received undefined` of what is missing, and not what was found of a word that it does not know. */
function wrongType({ code, expected, values, input }: z.core.$ZodRawIssue): string | undefined {
  if (code === "invalid_type") return got(expected, input);
  return code === "invalid_value" ? got(values.map((value: unknown) => JSON.stringify(value)).join(" or "), input) : undefined;
}

/** Of options that each `type` has others of. */
function wrongKind(expected: string): (issue: z.core.$ZodRawIssue) => string | undefined {
  return ({ code, input }) => (code === "invalid_union" ? got(expected, (input as { readonly type?: unknown }).type) : undefined);
}

function got(expected: string, input: unknown): string {
  return input === undefined ? `is missing; expected ${expected}.` : `expected ${expected}, got ${JSON.stringify(input)}.`;
}

function leaveOut(from: unknown, [first, ...more]: readonly PropertyKey[]): void {
  if (first === undefined || typeof from !== "object" || from === null) return;
  const holder = from as Record<PropertyKey, unknown>;
  if (more.length > 0) leaveOut(holder[first], more);
  else if (Array.isArray(from)) holder[first] = undefined;
  else delete holder[first];
}
