/** What is minimised, as a graph; and losses to build it from. */
import { type Dim, dimMul, formatShape, ops, ShapeError, shapeOf, type Value } from "@waggle/graph";
import type { Tensor } from "onnxruntime-common";

export interface Objective {
  /** What a micro-batch brings, made with `input()`. */
  readonly inputs: Readonly<Record<string, Value>>;
  /** One float number: the SUM of the loss over the micro-batch's targets. What it is divided by, a step decides. */
  readonly loss: Value;
  /** The same where nothing is learnt: without dropout. Its inputs are among those of the micro-batches. Default: this. */
  readonly evaluation?: Omit<Objective, "evaluation">;
}

/** What is run through the graph at once. A step may be made of several. */
export interface MicroBatch {
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** How many targets the loss is the sum over. */
  readonly targets: number;
  /** Positions that are computed, padding not counted: for tokens per second. */
  readonly tokens: number;
}

/**
 * Σ over rows of −log softmax(logits)[target], as torch's `cross_entropy(…, reduction="sum")`; with weights, of each row's times its own.
 * logits [R, V], targets [R] int64, weights [R] → [].
 */
export function crossEntropy(logits: Value, targets: Value, weights?: Value): Value {
  const losses = ops.crossEntropy(logits, targets);
  return ops.reduceSum(weights ? ops.mul(losses, weights) : losses);
}

/**
 * CLIP's symmetric contrastive loss (arXiv 2103.00020, figure 3), summed over the batch: images and texts [B, D], scale [] the
 * exponentiated temperature → []. Divide by B for the paper's mean.
 */
export function contrastive(images: Value, texts: Value, scale: Value): Value {
  const [B, D] = shapeOf(images, "B D");
  const [B2, D2] = shapeOf(texts, "B D");
  if (!same(B, B2) || !same(D, D2))
    throw new ShapeError(
      `contrastive: expected images and texts of one shape, got ${formatShape(images.shape)} and ${formatShape(texts.shape)}.`,
    );
  const logits = ops.mul(ops.matmul(unit(images), unit(texts), { transB: true }), scale); // [B, B]
  const own = ops.range(B);
  const both = ops.add(crossEntropy(logits, own), crossEntropy(ops.transpose(logits, [1, 0]), own));
  return ops.mul(both, 0.5);
}

function same(a: Dim, b: Dim): boolean {
  return String(a) === String(b);
}

/** Rows of length 1. */
function unit(x: Value): Value {
  return ops.div(x, ops.sqrt(ops.reduceSum(ops.mul(x, x), { axes: [-1], keepDims: true })));
}

/** The rows of x [B, S, D] at flat positions [R] of B·S → [R, D]. */
export function rowsAt(x: Value, positions: Value): Value {
  const [B, S, D] = shapeOf(x, "B S? D");
  return ops.gather(ops.reshape(x, [dimMul(B, S), D]), positions, 0);
}
