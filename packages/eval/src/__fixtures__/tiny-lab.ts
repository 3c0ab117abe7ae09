/** A lab of seconds around the tiny LLaVA. In a process of its own: tiny-lab.ts <out> prints the names of finished trials. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type SceneDataset, type SceneSplit, scenes } from "@waggle/data";
import { llama } from "@waggle/language";
import { compose } from "@waggle/mllm";
import { cAbstractor, linear, resampler } from "@waggle/projectors";
import { llavaHf, type PromptTemplate } from "@waggle/text";
import { adamW, type StageOptions, stage } from "@waggle/train";
import { clip } from "@waggle/vision";
import { type LabSpec, lab } from "../index.ts";

const folder = fileURLToPath(new URL("../../../../golden/llava-tiny-hf", import.meta.url));
const { vision_config, text_config } = JSON.parse(readFileSync(`${folder}/config.json`, "utf8"));
const drawn = (split: SceneSplit, length: number, questions: number): SceneDataset =>
  scenes({ split, seed: 0, length, size: 32, questions, families: { where: 1, color: 1 } });

export const common: Omit<StageOptions, "name" | "trainable"> = {
  data: drawn("train", 12, 2),
  batchSize: 4,
  steps: 3,
  optimizer: adamW({ lr: 5e-3 }),
};

/** The tiny LLaVA, or one that looks through another layer or is asked in other words. */
export const tinyBase =
  ({ layer = -2, prompt = llavaHf }: { readonly layer?: number; readonly prompt?: PromptTemplate } = {}): LabSpec["base"] =>
  (projector, seed) =>
    compose({ vision: clip(vision_config, { layer }), projector, language: llama(text_config), prompt }).assemble(folder, {
      initialize: ["projector"],
      seed,
    });

/** 16 patches; the linear projector is defined at 16 tokens only. */
export const tinyLab: LabSpec = {
  projectors: {
    "C-Abstractor": (tokens) => cAbstractor({ tokens }),
    Linear: () => linear(),
    Resampler: (tokens) => resampler({ tokens, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32 }),
  },
  tokens: [4, 16],
  seeds: 2,
  base: tinyBase(),
  stages: [
    stage({ ...common, name: "align", trainable: ["projector"] }),
    stage({ ...common, name: "tune", trainable: ["projector", "language"], steps: 4 }),
  ],
  questions: drawn("test", 8, 1),
};

const [, script, out] = process.argv;
if (script === fileURLToPath(import.meta.url) && out !== undefined) {
  await lab({
    ...tinyLab,
    out,
    onEvent: (event) => {
      if (event.type === "train" && event.event.type === "step") console.log(event.trial.projector, event.event.record.step);
    },
  });
}
