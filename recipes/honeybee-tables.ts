/**
 * What Honeybee's paper measured (arXiv 2312.06742, 7B, pictures of 224 pixels, N = 256 patches).
 *
 *     spatial   table 3: mean of six tasks of MME, MMBench and SEED about where things are
 *     all       tables 8 and 9: mean of MMBench, SEED and MME / 20
 *     seconds   of a step of pre-training
 */
export interface PaperRow {
  readonly projector: string;
  readonly tokens: number;
  readonly spatial?: number;
  readonly all?: number;
  readonly seconds?: number;
}

export const PAPER_PATCHES = 256;

/** Under the names of `lab.ts`. The MLP's tokens are as many as patches. */
export const PAPER: readonly PaperRow[] = [
  { projector: "Linear", tokens: 256, spatial: 52.6, all: 70.0, seconds: 3.04 },
  { projector: "MLP", tokens: 256, all: 70.2 },
  { projector: "Resampler", tokens: 256, spatial: 45.6, all: 67.2, seconds: 3.12 },
  { projector: "Resampler", tokens: 144, spatial: 43.9, all: 64.2, seconds: 2.28 },
  { projector: "Resampler", tokens: 64, all: 64.8, seconds: 1.69 },
  { projector: "Resampler+pos", tokens: 144, all: 64.4 },
  { projector: "C-Abstractor", tokens: 256, spatial: 56.3, all: 71.6, seconds: 3.07 },
  { projector: "C-Abstractor", tokens: 144, spatial: 53.5, all: 70.6, seconds: 2.23 },
  { projector: "C-Abstractor", tokens: 64, all: 69.5, seconds: 1.65 },
  { projector: "D-Abstractor", tokens: 144, all: 69.7 },
];
