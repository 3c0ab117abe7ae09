/**
 * The built-in comparison, `npm run lab`: the projectors of Honeybee's tables 3, 8 and 9 in its two stages, around the base of this folder.
 *
 *     patches   N = 144; M = N, N / 4, N / 9
 *     depth     a third of the paper's: 2 layers of 6, 1 block of 3 in each stage of the C-Abstractor
 *     align     lists of what is there, as the paper's captions; the projector alone
 *     tune      questions; projector and language model
 */
import { type SceneDataset, type SceneSample, type SceneSplit, scenes } from "@waggle/data";
import type { LabSpec } from "@waggle/eval";
import { cAbstractor, dAbstractor, linear, mlp, qFormer, resampler } from "@waggle/projectors";
import { adamW, cosine, stage } from "@waggle/train";
import { base } from "./base-parts.ts";
import { withListings } from "./listings.ts";
import { FAMILIES, KINDS } from "./scene-words.ts";

const drawn = (split: SceneSplit, length: number, questions: number) =>
  scenes({ split, seed: 0, length, questions, families: FAMILIES, kinds: KINDS });

/** All trials see the same pictures: each is drawn once. An image file is 2 kB. */
function drawnOnce(dataset: SceneDataset): SceneDataset {
  const samples = new Map<number, Promise<SceneSample>>();
  const sample = (index: number): Promise<SceneSample> => {
    const found = samples.get(index) ?? dataset.sample(index);
    samples.set(index, found);
    return found;
  };
  return { ...dataset, sample };
}

/** More than the steps take: no picture is seen twice in a stage. */
const PICTURES = 5000;
const asked = drawnOnce(drawn("train", PICTURES, 6));
const listed = withListings(drawnOnce(drawn("train", PICTURES, 1)), ["things"]);
const common = { batchSize: 8, clip: 1, schedule: cosine({ warmup_ratio: 0.05 }) };
const adam = (lr: number) => adamW({ lr, betas: [0.9, 0.98], weight_decay: 0.01 });
const heads = { hidden_size: 128, num_hidden_layers: 2, num_attention_heads: 4 } as const;

export default {
  projectors: {
    Linear: () => linear(),
    MLP: () => mlp({ depth: 2 }),
    Resampler: (tokens) => resampler({ tokens, ...heads, intermediate_size: 192 }),
    "Resampler+pos": (tokens) => resampler({ tokens, ...heads, intermediate_size: 192, pos_emb: true }),
    "Q-Former": (tokens) => qFormer({ tokens, ...heads, intermediate_size: 128, cross_attention_freq: 1 }),
    "C-Abstractor": (tokens) => cAbstractor({ tokens, depth: 1 }),
    "D-Abstractor": (tokens) => dAbstractor({ tokens, d_model: 128, decoder_layers: 2, decoder_attention_heads: 4, decoder_ffn_dim: 128 }),
  },
  tokens: [144, 36, 16],
  seeds: 3,
  base,
  stages: [
    stage({ ...common, name: "align", trainable: ["projector"], data: listed, steps: 150, optimizer: adam(2e-3) }),
    stage({ ...common, name: "tune", trainable: ["projector", "language"], data: asked, steps: 550, optimizer: adam(1e-3) }),
  ],
  questions: drawn("test", 1200, 1),
} satisfies LabSpec;
