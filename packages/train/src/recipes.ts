/**
 * How the published models were trained, as stages without data: spread one, add `data`, change what you like.
 * What several machines did at once is one machine's accumulation: the gradients are the same.
 */
import { adamW } from "./optimizer.ts";
import { cosine, linearWarmupCosine } from "./schedule.ts";
import type { StageOptions } from "./stage.ts";

export type StageRecipe = Omit<StageOptions, "data">;

/** arXiv 2312.06742 and kakaobrain/honeybee `configs/`: the projector first, then projector and language model. */
export const honeybeeRecipe: { readonly pretrain: StageRecipe; readonly finetune: StageRecipe } = {
  pretrain: {
    name: "pretrain",
    trainable: ["projector"],
    steps: 50_000,
    batchSize: 32,
    accumulation: 8,
    optimizer: adamW({ lr: 1e-4, betas: [0.9, 0.98], eps: 1e-6, weight_decay: 0.01 }),
    schedule: cosine({ warmup_steps: 2000, min_lr: 1e-5 }),
    clip: 1,
    average: "micro-batches",
    recompute: true,
  },
  finetune: {
    name: "finetune",
    trainable: ["projector", "language"],
    steps: 4000,
    batchSize: 16,
    accumulation: 8,
    optimizer: adamW({ lr: 2e-5, betas: [0.9, 0.98], eps: 1e-6, weight_decay: 1e-4 }),
    schedule: cosine({ warmup_steps: 150, min_lr: 1e-6 }),
    clip: 1,
    average: "micro-batches",
    recompute: true,
  },
};

const llavaSchedule = cosine({ warmup_ratio: 0.03 });
const llavaFinetune: StageRecipe = {
  name: "finetune",
  trainable: ["projector", "language"],
  epochs: 1,
  batchSize: 16,
  accumulation: 8,
  optimizer: adamW({ lr: 2e-5, weight_decay: 0 }),
  schedule: llavaSchedule,
  clip: 1,
  average: "micro-batches",
  order: "length-grouped",
  recompute: true,
};

/** arXiv 2310.03744 and haotian-liu/LLaVA `scripts/v1_5/`; `finetuneLora` instead of `finetune` leaves the language model as it is. */
export const llava15Recipe: { readonly pretrain: StageRecipe; readonly finetune: StageRecipe; readonly finetuneLora: StageRecipe } = {
  pretrain: {
    name: "pretrain",
    trainable: ["projector"],
    epochs: 1,
    batchSize: 32,
    accumulation: 8,
    optimizer: adamW({ lr: 1e-3, weight_decay: 0 }),
    schedule: llavaSchedule,
    clip: 1,
    average: "micro-batches",
    recompute: true,
  },
  finetune: llavaFinetune,
  finetuneLora: {
    ...llavaFinetune,
    name: "finetune-lora",
    trainable: ["projector"],
    lora: {
      target_modules: "language_model\\..*\\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)",
      r: 128,
      lora_alpha: 256,
      lora_dropout: 0.05,
    },
    optimizer: adamW({ lr: 2e-4, weight_decay: 0, groups: [{ parameters: "projector", lr: 2e-5 }] }),
  },
};

/** arXiv 2402.14289, its base recipe: LLaVA-1.5's, with a smaller language model; samples are not grouped by length. */
export const tinyLlavaRecipe: { readonly pretrain: StageRecipe; readonly finetune: StageRecipe } = {
  pretrain: llava15Recipe.pretrain,
  finetune: { ...llavaFinetune, order: "shuffled" },
};

/** arXiv 2304.10592 and Vision-CAIR/MiniGPT-4 `train_configs/`: of the projector only the linear layer learns, in both stages. */
export const miniGpt4Recipe: { readonly stage1: StageRecipe; readonly stage2: StageRecipe } = {
  stage1: {
    name: "stage1",
    trainable: ["multi_modal_projector.llama_proj"],
    steps: 20_000,
    batchSize: 64,
    accumulation: 4,
    optimizer: adamW({ lr: 1e-4, weight_decay: 0.05 }),
    schedule: linearWarmupCosine({ warmup_start_lr: 1e-6, min_lr: 8e-5, warmup_steps: 5000, steps_per_epoch: 5000 }),
    average: "micro-batches",
  },
  stage2: {
    name: "stage2",
    trainable: ["multi_modal_projector.llama_proj"],
    steps: 1000,
    batchSize: 12,
    optimizer: adamW({ lr: 3e-5, weight_decay: 0.05 }),
    schedule: linearWarmupCosine({ warmup_start_lr: 1e-6, min_lr: 1e-5, warmup_steps: 200, steps_per_epoch: 200 }),
    average: "micro-batches",
  },
};
