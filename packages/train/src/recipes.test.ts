/** The published recipes against the authors' own configuration files, as the golden cases hold them. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Optimizer } from "./optimizer.ts";
import { honeybeeRecipe, llava15Recipe, miniGpt4Recipe, type StageRecipe, tinyLlavaRecipe } from "./recipes.ts";

const golden = (name: string) => JSON.parse(readFileSync(new URL(`../../../golden/${name}/expected.json`, import.meta.url), "utf8"));
const devices = 8;

function ratesOf({ lr, weight_decay, settings }: Optimizer): unknown {
  return { lr, weight_decay, betas: settings.betas, eps: settings.eps };
}

test.each(["pretrain", "finetune"] as const)("Honeybee, %s", (name) => {
  const { train, trainer_kwargs: kwargs } = golden("data-honeybee").config[name];
  const recipe: StageRecipe = honeybeeRecipe[name];
  const betas = [kwargs.adam_beta1, kwargs.adam_beta2];
  expect(ratesOf(recipe.optimizer)).toEqual({
    lr: kwargs.learning_rate,
    weight_decay: kwargs.weight_decay,
    betas,
    eps: kwargs.adam_epsilon,
  });
  expect(recipe.schedule).toMatchObject({
    name: kwargs.lr_scheduler_type,
    settings: { warmup_steps: kwargs.warmup_steps, min_lr: kwargs.min_lr },
  });
  expect(recipe).toMatchObject({
    steps: kwargs.max_steps,
    batchSize: kwargs.per_device_train_batch_size,
    accumulation: devices,
    clip: kwargs.max_grad_norm,
  });
  expect(recipe.recompute).toBe(kwargs.gradient_checkpointing);
  const names: Readonly<Record<string, string>> = { abstractor: "projector", language_model: "language" };
  expect(recipe.trainable).toEqual(train.module_to_update.map((part: string) => names[part]));
});

test.each([
  ["pretrain", "scripts/v1_5/pretrain.sh"],
  ["finetune", "scripts/v1_5/finetune.sh"],
  ["finetuneLora", "scripts/v1_5/finetune_lora.sh"],
] as const)("LLaVA 1.5, %s", (name, file) => {
  const script = golden("data-llava").scripts[file];
  const recipe: StageRecipe = llava15Recipe[name];
  expect(ratesOf(recipe.optimizer)).toMatchObject({ lr: Number(script.learning_rate), weight_decay: Number(script.weight_decay) });
  expect(recipe.schedule).toMatchObject({ name: script.lr_scheduler_type, settings: { warmup_ratio: Number(script.warmup_ratio) } });
  expect(recipe).toMatchObject({ epochs: Number(script.num_train_epochs), batchSize: Number(script.per_device_train_batch_size) });
  expect(recipe.order === "length-grouped").toBe(script.group_by_modality_length === "True");
  expect(recipe.recompute).toBe(script.gradient_checkpointing === "True");
  expect(recipe.lora && { r: recipe.lora.r, lora_alpha: recipe.lora.lora_alpha }).toEqual(
    script.lora_r === undefined ? undefined : { r: Number(script.lora_r), lora_alpha: Number(script.lora_alpha) },
  );
  if (script.mm_projector_lr !== undefined)
    expect(recipe.optimizer.groups).toEqual([{ parameters: "projector", lr: Number(script.mm_projector_lr) }]);
  if (script.tune_mm_mlp_adapter === "True") expect(recipe.trainable).toEqual(["projector"]);
});

test.each([
  ["stage1", "minigpt4_stage1_pretrain.yaml"],
  ["stage2", "minigpt4_stage2_finetune.yaml"],
] as const)("MiniGPT-4, %s", (name, file) => {
  const { run } = golden("data-minigpt4").configs[file];
  const recipe: StageRecipe = miniGpt4Recipe[name];
  expect(ratesOf(recipe.optimizer)).toMatchObject({ lr: run.init_lr, weight_decay: run.weight_decay, betas: [0.9, 0.999] });
  const settings = {
    warmup_start_lr: run.warmup_lr,
    min_lr: run.min_lr,
    warmup_steps: run.warmup_steps,
    steps_per_epoch: run.iters_per_epoch,
  };
  expect(recipe.schedule).toMatchObject({ name: "linearWarmupCosine", settings });
  expect(recipe.steps).toBe(run.max_epoch * run.iters_per_epoch);
});

test("TinyLLaVA's base recipe is LLaVA 1.5's, without grouping by length", () => {
  expect(tinyLlavaRecipe.pretrain).toBe(llava15Recipe.pretrain);
  expect({ ...tinyLlavaRecipe.finetune, order: "length-grouped" }).toEqual(llava15Recipe.finetune);
});
