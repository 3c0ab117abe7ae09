/**
 * Parts of pictures and phrases about them, trained as CLIP trains pictures and captions; regions as in RegionCLIP. A caption of a whole
 * picture leaves shapes unlearnt for long: colours and places tell pictures apart, and one bit about a picture says little about its
 * parts. So a patch that a thing covers is compared with that thing's phrase, beside wrong ones as in NegCLIP, and beside all others.
 *
 *     pixel_values  [B, 3, H, W]
 *     input_ids     [P, K, S] of each thing the right phrase first, then K − 1 wrong ones; right-padded
 *     ends          [P, K]    where each phrase's end-of-text stands in [P·K·S]
 *     covered       [Q]       patches that a thing covers, in [B·N]
 *     thing         [Q]       which one
 *     patches, texts [Q, D], [P, K, D]   of length 1
 *     loss          ½ · (each patch's phrase among its wrong ones + among all P things'), a sum over Q
 *
 * papers  arXiv 2103.00020 (CLIP), 2112.09106 (RegionCLIP), 2210.01936 (NegCLIP)
 */
import type { SceneDataset, Thing } from "@waggle/data";
import { dimMul, input, ops, symbol, type Value } from "@waggle/graph";
import { decodeImage } from "@waggle/image";
import { causalCache } from "@waggle/language";
import { constantInit, LayerNorm, Linear, Module, Parameter, random } from "@waggle/nn";
import type { Grid, Projector, ProjectorFactory } from "@waggle/projectors";
import { type BatchRequest, crossEntropy, type Task, type TaskBatch, type TaskContext } from "@waggle/train";
import { Tensor } from "onnxruntime-common";
import { phrases, WRONG } from "./scene-words.ts";

const K = 1 + WRONG;

/** What stands behind the encoder in contrastive training only: a projector that makes a token of each patch. */
export class ClipHead<C extends number, D extends number> extends Module implements Projector<C, D> {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  readonly #patches: number;
  readonly post_layernorm: LayerNorm;
  readonly visual_projection: Linear;
  readonly text_projection: Linear;
  readonly logit_scale: Parameter;

  constructor(C: C, D: D, { rows, columns }: Grid) {
    super();
    this.vision_hidden_size = C;
    this.text_hidden_size = D;
    this.#patches = rows * columns;
    this.post_layernorm = new LayerNorm(C);
    this.visual_projection = new Linear(C, D, { bias: false });
    this.text_projection = new Linear(D, D, { bias: false });
    this.logit_scale = new Parameter([], { init: constantInit(Math.log(1 / 0.07)) });
  }

  tokenCount(): number {
    return this.#patches;
  }

  /** [B, N, C] → [B, N, D] */
  forward(features: Value): Value {
    return this.visual_projection.forward(this.post_layernorm.forward(features));
  }

  /** Cosines to logits. The temperature is learnt, and no factor is larger than 100, as in CLIP. */
  scaled(cosines: Value): Value {
    return ops.mul(cosines, ops.minimum(ops.exp(this.logit_scale), 100));
  }
}

export const clipHead: ProjectorFactory = (C, D, grid) => new ClipHead(C, D, grid);

/** Pictures in the order of their numbers; there are as many as a run needs. */
export function contrastiveScenes(scenes: SceneDataset): Task {
  return {
    name: `${scenes.name} with phrases`,
    length: scenes.length,
    async open(context) {
      return { objective: objectiveOf(context), batches: (request) => batchesOf(scenes, context, request), dispose() {} };
    },
  };
}

function objectiveOf({ model: { composition, language } }: TaskContext) {
  const { vision_tower, multi_modal_projector: head } = composition?.modules ?? {};
  if (vision_tower === undefined || !(head instanceof ClipHead))
    throw new TypeError("contrastiveScenes: expected a model whose projector is a ClipHead.");
  const { height, width } = vision_tower.image_size;
  const [B, P, Q, S] = [symbol("B"), symbol("P"), symbol("Q"), symbol("S")];
  const pixel_values = input("pixel_values", "float32", [B, 3, height, width]);
  const input_ids = input("input_ids", "int64", [P, K, S]);
  const ends = input("ends", "int64", [P, K]);
  const covered = input("covered", "int64", [Q]);
  const thing = input("thing", "int64", [Q]);
  const first = input("first", "int64", [Q]); // zeros: the right phrase stands first
  const D = language.hidden_size;
  const seen = ops.reshape(head.forward(vision_tower.forward(pixel_values)), [-1, D]);
  const patches = unit(ops.gather(seen, covered, 0)); // [Q, D]
  const read = ops.reshape(language.decode(language.embed(ops.reshape(input_ids, [dimMul(P, K), S])), causalCache()), [-1, D]);
  const texts = unit(head.text_projection.forward(ops.gather(read, ends, 0))); // [P, K, D]
  const own = ops.matmul(ops.unsqueeze(patches, 1), ops.gather(texts, thing, 0), { transB: true }); // [Q, 1, K]
  const right = ops.squeeze(ops.slice(texts, { axis: 1, start: 0, end: 1 }), 1); // [P, D]
  const all = ops.matmul(patches, right, { transB: true }); // [Q, P]
  const losses = [crossEntropy(head.scaled(ops.squeeze(own, 1)), first), crossEntropy(head.scaled(all), thing)] as const;
  return { inputs: { pixel_values, input_ids, ends, covered, thing, first }, loss: ops.mul(ops.add(...losses), 0.5) };
}

/** Each batch is made while the one before is learnt from. */
async function* batchesOf(scenes: SceneDataset, context: TaskContext, { batchSize, start }: BatchRequest): AsyncIterable<TaskBatch> {
  const at = (position: number): Promise<TaskBatch> => batchAt(scenes, context, position, batchSize);
  let ahead = at(start.position);
  for (let position = start.position + batchSize; ; position += batchSize) {
    const batch = await ahead;
    if (position + batchSize > scenes.length) return yield batch;
    ahead = at(position);
    ahead.catch(() => {}); // whoever asks for it hears of it
    yield batch;
  }
}

async function batchAt(
  scenes: SceneDataset,
  { model: { composition, sight, tokenizer } }: TaskContext,
  from: number,
  count: number,
): Promise<TaskBatch> {
  const samples = await Promise.all(Array.from({ length: count }, (_, i) => scenes.sample(from + i)));
  const decoded = await Promise.all(samples.flatMap(({ images }) => images.map((image) => decodeImage(image))));
  const { pixel_values, shape } = (await sight?.processor.process(decoded)) ?? { pixel_values: new Float32Array(), shape: [0] };
  const side = Math.sqrt(composition?.modules.vision_tower.patches ?? 0);
  const said = samples.flatMap(({ scene, id }) => {
    const stream = random(0, id);
    return scene.things.map((thing) => phrases(thing, stream));
  });
  let before = 0; // things of the pictures before
  const regions = samples.flatMap(({ scene: { things } }, picture) => {
    const parts = coveredParts(things, side).map(([part, thing]) => [picture * side ** 2 + part, before + thing] as const);
    before += things.length;
    return parts;
  });
  const ids = said.flatMap((texts) => texts.map((text) => [...tokenizer.encode(text), tokenizer.special.eos ?? 0]));
  const S = Math.max(...ids.map(({ length }) => length));
  const padded = ids.flatMap((row) => [...row, ...new Array<number>(S - row.length).fill(0)]);
  const feeds = {
    pixel_values: new Tensor("float32", pixel_values, shape),
    input_ids: int64(padded, [said.length, K, S]),
    ends: int64(
      ids.map((row, r) => r * S + row.length - 1),
      [said.length, K],
    ),
    covered: int64(regions.map(([patch]) => patch)),
    thing: int64(regions.map(([, thing]) => thing)),
    first: int64(regions.map(() => 0)),
  };
  const tokens = ids.reduce((sum, { length }) => sum + length, 0);
  return { micro: { feeds, targets: regions.length, tokens }, next: { epoch: 0, position: from + count }, skipped: [] };
}

/** Parts, of side × side, whose middle a thing's box contains, and the thing in front there. */
export function coveredParts(things: readonly Thing[], side: number): (readonly [part: number, thing: number])[] {
  return Array.from({ length: side ** 2 }, (_, part) => {
    const [x, y] = [((part % side) + 0.5) / side, (Math.floor(part / side) + 0.5) / side];
    return [part, things.findLastIndex(({ box: [x1, y1, x2, y2] }) => x >= x1 && x < x2 && y >= y1 && y < y2)] as const;
  }).filter(([, thing]) => thing >= 0);
}

function unit(x: Value): Value {
  return ops.div(x, ops.sqrt(ops.reduceSum(ops.mul(x, x), { axes: [-1], keepDims: true })));
}

function int64(values: readonly number[], shape: readonly number[] = [values.length]): Tensor {
  return new Tensor("int64", BigInt64Array.from(values, BigInt), shape);
}
