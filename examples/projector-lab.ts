/** What `waggle lab examples/projector-lab.ts --out lab` compares: one's own projector with published ones, around the embedded model. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type SceneFamily, type SceneSplit, scenes } from "@waggle/data";
import type { LabSpec } from "@waggle/eval";
import { llama } from "@waggle/language";
import { mini } from "@waggle/mini";
import { compose } from "@waggle/mllm";
import { cAbstractor, resampler } from "@waggle/projectors";
import { llavaHf } from "@waggle/text";
import { adamW, cosine, stage } from "@waggle/train";
import { clip } from "@waggle/vision";
import { meanProjector } from "./mean-projector.ts";

const { vision_config, text_config } = JSON.parse(readFileSync(join(mini, "config.json"), "utf8"));
const families: Partial<Record<SceneFamily, number>> = { color: 1, shape: 1, size: 1, where: 1, rel: 1, near: 1 };
const drawn = (split: SceneSplit, length: number, questions: number) => scenes({ split, seed: 0, length, questions, families });
const common = { data: drawn("train", 4000, 4), batchSize: 16, optimizer: adamW({ lr: 1e-3 }), clip: 1 };
const schedule = cosine({ warmup_ratio: 0.05 });
const small = { hidden_size: 128, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 512 };

export default {
  projectors: {
    "C-Abstractor": (tokens) => cAbstractor({ tokens }),
    Resampler: (tokens) => resampler({ tokens, ...small }),
    Mean: meanProjector, // the one line
  },
  tokens: [4, 16],
  seeds: 3,
  base: (projector, seed) =>
    compose({ vision: clip(vision_config, { layer: -2 }), projector, language: llama(text_config), prompt: llavaHf }) //
      .assemble(mini, { initialize: ["projector"], seed }),
  stages: [
    stage({ ...common, name: "align", trainable: ["projector"], steps: 200, schedule }),
    stage({ ...common, name: "tune", trainable: ["projector", "language"], steps: 400, schedule }),
  ],
  questions: drawn("test", 600, 1),
} satisfies LabSpec;
