/** What `waggle lab examples/projector-lab.ts --out lab` compares: one's own projector with published ones, around the embedded model. */
import { type SceneFamily, type SceneSplit, scenes } from "@waggle/data";
import { around, type LabSpec } from "@waggle/eval";
import { mini } from "@waggle/mini";
import { cAbstractor, resampler } from "@waggle/projectors";
import { adamW, cosine, stage } from "@waggle/train";
import { meanProjector } from "./mean-projector.ts";

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
  base: around(mini),
  stages: [
    stage({ ...common, name: "align", trainable: ["projector"], steps: 200, schedule }),
    stage({ ...common, name: "tune", trainable: ["projector", "language"], steps: 400, schedule }),
  ],
  questions: drawn("test", 600, 1),
} satisfies LabSpec;
