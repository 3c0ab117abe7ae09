/**
 * Scenes and their captions as CLIP is trained, with a wrong caption beside each right one as in NegCLIP.
 *
 *     pixel_values  [B, 3, H, W]
 *     input_ids     [2B, S]   B captions, then B wrong ones; right-padded
 *     ends          [2B]      where each caption's end-of-text stands in [2B·S]
 *     images, texts [B, D], [2B, D]   of length 1
 *     loss          ½ · (each picture among 2B captions + each right caption among B pictures), a sum over B
 *
 * papers  arXiv 2103.00020 (CLIP), 2210.01936 (NegCLIP)
 */
import type { SceneDataset } from "@waggle/data";
import { input, ops, symbol, type Value } from "@waggle/graph";
import { decodeImage } from "@waggle/image";
import { causalCache } from "@waggle/language";
import { constantInit, LayerNorm, Linear, Module, Parameter } from "@waggle/nn";
import type { Projector, ProjectorFactory } from "@waggle/projectors";
import { type BatchRequest, crossEntropy, type Task, type TaskBatch, type TaskContext } from "@waggle/train";
import { Tensor } from "onnxruntime-common";
import { caption, wrongCaption } from "./scene-words.ts";

export type Pooling = "mean" | "class token";

/**
 * What stands behind the encoder in contrastive training only: a projector that makes one token of a picture.
 *
 *     pooled        [B, C]   the mean of the patches, or the class token
 *     forward       [B, 1, D]
 */
export class ClipHead<C extends number, D extends number> extends Module implements Projector<C, D> {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  readonly #pooling: Pooling;
  readonly post_layernorm: LayerNorm;
  readonly visual_projection: Linear;
  readonly text_projection: Linear;
  readonly logit_scale: Parameter;

  constructor(C: C, D: D, pooling: Pooling) {
    super();
    this.vision_hidden_size = C;
    this.text_hidden_size = D;
    this.#pooling = pooling;
    this.post_layernorm = new LayerNorm(C);
    this.visual_projection = new Linear(C, D, { bias: false });
    this.text_projection = new Linear(D, D, { bias: false });
    this.logit_scale = new Parameter([], { init: constantInit(Math.log(1 / 0.07)) });
  }

  tokenCount(): number {
    return 1;
  }

  forward(features: Value): Value {
    const pooled =
      this.#pooling === "mean"
        ? ops.reduceMean(features, { axes: [1], keepDims: true })
        : ops.slice(features, { axis: 1, start: 0, end: 1 });
    return this.visual_projection.forward(this.post_layernorm.forward(pooled));
  }

  /** Cosines [R, C] to logits. The temperature is learnt, and no factor is larger than 100, as in CLIP. */
  scaled(cosines: Value): Value {
    return ops.mul(cosines, ops.minimum(ops.exp(this.logit_scale), 100));
  }
}

export const clipHead =
  (pooling: Pooling): ProjectorFactory =>
  (C, D) =>
    new ClipHead(C, D, pooling);

/** Pictures in the order of their numbers; there are as many as a run needs. */
export function contrastiveScenes(scenes: SceneDataset): Task {
  return {
    name: `${scenes.name} with captions`,
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
  const [B, R, S] = [symbol("B"), symbol("R"), symbol("S")];
  const pixel_values = input("pixel_values", "float32", [B, 3, height, width]);
  const input_ids = input("input_ids", "int64", [R, S]);
  const ends = input("ends", "int64", [R]);
  const right = input("right", "int64", [B]); // 0, 1, … B − 1: the rows of the right captions, and which one is whose
  const D = language.hidden_size;
  const images = unit(ops.reshape(head.forward(vision_tower.forward(pixel_values)), [B, D]));
  const read = ops.reshape(language.decode(language.embed(input_ids), causalCache()), [-1, D]);
  const texts = unit(head.text_projection.forward(ops.gather(read, ends, 0)));
  const byPicture = head.scaled(ops.matmul(images, texts, { transB: true })); // [B, 2B]
  const byCaption = head.scaled(ops.matmul(ops.gather(texts, right, 0), images, { transB: true })); // [B, B]
  const loss = ops.mul(ops.add(crossEntropy(byPicture, right), crossEntropy(byCaption, right)), 0.5);
  return { inputs: { pixel_values, input_ids, ends, right }, loss };
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
  { model: { sight, tokenizer } }: TaskContext,
  first: number,
  count: number,
): Promise<TaskBatch> {
  const samples = await Promise.all(Array.from({ length: count }, (_, i) => scenes.sample(first + i)));
  const decoded = await Promise.all(samples.flatMap(({ images }) => images.map((picture) => decodeImage(picture))));
  const { pixel_values, shape } = (await sight?.processor.process(decoded)) ?? { pixel_values: new Float32Array(), shape: [0] };
  const right = samples.map(({ scene, id }) => caption(scene.things, id));
  // Where nothing can be exchanged, another picture's caption once more: as wrong as any.
  const wrong = samples.map(({ scene, id }, i) => wrongCaption(scene.things, id) ?? right[(i + 1) % count] ?? "");
  const ids = [...right, ...wrong].map((text) => [...tokenizer.encode(text), tokenizer.special.eos ?? 0]);
  const S = Math.max(...ids.map(({ length }) => length));
  const padded = ids.flatMap((row) => [...row, ...new Array<number>(S - row.length).fill(0)]);
  const feeds = {
    pixel_values: new Tensor("float32", pixel_values, shape),
    input_ids: int64(padded, [ids.length, S]),
    ends: int64(ids.map((row, r) => r * S + row.length - 1)),
    right: int64(samples.map((_, i) => i)),
  };
  const tokens = ids.reduce((sum, { length }) => sum + length, 0);
  return { micro: { feeds, targets: count, tokens }, next: { epoch: 0, position: first + count }, skipped: [] };
}

function unit(x: Value): Value {
  return ops.div(x, ops.sqrt(ops.reduceSum(ops.mul(x, x), { axes: [-1], keepDims: true })));
}

function int64(values: readonly number[], shape: readonly number[] = [values.length]): Tensor {
  return new Tensor("int64", BigInt64Array.from(values, BigInt), shape);
}
