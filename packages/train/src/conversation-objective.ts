/**
 * Next-token prediction over conversations with pictures, and the batches that feed it.
 *
 *     input_ids         [B, S]  right-padded; 0 where a visual token stands
 *     pixel_values      [P, 3, H, W]  pictures (or their tiles), of the whole batch in order; or, behind a frozen encoder,
 *     features          [P, N, C]     its patch features
 *     token_rows        [R]     rows of the visual tokens [P·T (+ 1: the newline), D]
 *     picture_positions [R]     where they stand in [B·S]
 *     target_positions  [M]     where a next token is predicted in [B·S]
 *     target_ids        [M]     which one
 *     target_weights    [M]     how much it counts, where targets do not count alike
 *
 * Padding stands behind everything, where a causal model does not see it: no mask is needed. The head is computed at the
 * targets only.
 *
 * reference  transformers `LlavaForConditionalGeneration.forward`; LLaVA `prepare_inputs_labels_for_multimodal`
 */
import { type EncodedSample, IGNORE, IMAGE } from "@waggle/data";
import { dimMul, input, ops, shapeOf, symbol, type Value } from "@waggle/graph";
import { causalCache, type LanguageModel } from "@waggle/language";
import type { Composition } from "@waggle/mllm";
import { ConfigError } from "@waggle/nn";
import { Tensor } from "onnxruntime-common";
import { crossEntropy, type MicroBatch, type Objective, rowsAt } from "./objective.ts";

/** How pictures enter the graph: decoded, or as patch features that a frozen encoder made before. */
export type PictureInput = "pixel_values" | "features";

/** A model on conversations, as far as its last hidden states; on text alone without a composition. */
export interface ConversationGraph {
  readonly inputs: Readonly<Record<string, Value>>;
  /** At the target positions: [M, V]. */
  readonly logits: Value;
}

export function conversationGraph(language: LanguageModel, composition: Composition | null, pictures: PictureInput): ConversationGraph {
  const [B, S, M] = [symbol("B"), symbol("S"), symbol("M")];
  const input_ids = input("input_ids", "int64", [B, S]);
  const target_positions = input("target_positions", "int64", [M]);
  const embedded = language.embed(input_ids);
  const sight = composition && sightOf(composition, pictures);
  const inputs_embeds = sight ? placed(embedded, sight.tokens, sight.inputs.picture_positions) : embedded;
  const hidden = language.decode(inputs_embeds, causalCache());
  return { inputs: { input_ids, target_positions, ...sight?.inputs }, logits: language.head(rowsAt(hidden, target_positions)) };
}

/** Σ over the targets of what each costs: logits [M, V], target_ids [M] and, where they do not count alike, target_weights [M] → []. */
export type TokenLoss = (logits: Value, target_ids: Value, target_weights?: Value) => Value;

export function conversationObjective({ inputs, logits }: ConversationGraph, loss: TokenLoss = crossEntropy, weighted = false): Objective {
  const M = symbol("M");
  const target_ids = input("target_ids", "int64", [M]);
  if (!weighted) return { inputs: { ...inputs, target_ids }, loss: loss(logits, target_ids) };
  const target_weights = input("target_weights", "float32", [M]);
  const weightedLoss = loss(logits, target_ids, target_weights);
  if (!isMadeFrom(weightedLoss, target_weights)) {
    const message = "the loss does not use target_weights, its third argument; they would only change what its sum is divided by.";
    throw new ConfigError("conversations", [{ field: "weight", message }]);
  }
  return { inputs: { ...inputs, target_ids, target_weights }, loss: weightedLoss };
}

function isMadeFrom(value: Value, source: Value): boolean {
  const found = new Set([value]); // grows while it is gone through
  for (const { node } of found) for (const operand of node?.inputs ?? []) found.add(operand);
  return found.has(source);
}

/** The visual tokens of a batch, in order: [R, D]. */
function sightOf(composition: Composition, pictures: PictureInput) {
  const [P, R] = [symbol("P"), symbol("R")];
  const { vision_tower } = composition.modules;
  const { height, width } = vision_tower.image_size;
  const token_rows = input("token_rows", "int64", [R]);
  const picture_positions = input("picture_positions", "int64", [R]);
  const frozen = pictures === "features";
  const seen = frozen
    ? input("features", "float32", [P, vision_tower.patches, vision_tower.hidden_size])
    : input("pixel_values", "float32", [P, 3, height, width]);
  const tokens = composition.visualTokens(frozen ? seen : vision_tower.forward(seen));
  return { inputs: { [pictures]: seen, token_rows, picture_positions }, tokens: ops.gather(tokens, token_rows, 0) };
}

/** Visual tokens [R, D] in their places among embeddings [B, S, D]. */
function placed(embedded: Value, tokens: Value, positions: Value): Value {
  const [B, S, D] = shapeOf(embedded, "B S? D");
  return ops.reshape(ops.scatterRows(ops.reshape(embedded, [dimMul(B, S), D]), positions, tokens), [B, S, D]);
}

/** A picture as the graph takes it. */
export interface PreparedPicture {
  /** Of one picture, or of all its tiles: [tiles, …] in one piece. */
  readonly data: Float32Array;
  readonly tiles: number;
  /** Its visual tokens among those of its tiles; −1 is the newline. */
  readonly rows: readonly number[];
}

export interface PictureShape {
  readonly input: PictureInput;
  /** Of one tile: [3, H, W] or [N, C]. */
  readonly shape: readonly number[];
  /** Visual tokens of one tile. */
  readonly tokens: number;
}

/** What each target of an answer of so many targets counts. */
export type TargetWeight = (length: number) => number;

/** Samples as the objective's inputs. `shape` is null where the model takes text only; without `weight` all targets count 1. */
export function microBatch(
  samples: readonly EncodedSample[],
  pictures: readonly PreparedPicture[],
  shape: PictureShape | null,
  weight?: TargetWeight,
): MicroBatch {
  const S = Math.max(1, ...samples.map(({ input_ids }) => input_ids.length));
  const ids = new BigInt64Array(samples.length * S);
  const [standing, positions, targets, weights]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (const [b, { input_ids, labels }] of samples.entries()) {
    for (const [t, id] of input_ids.entries()) {
      const at = b * S + t;
      if (id === IMAGE) standing.push(at);
      else ids[at] = BigInt(id);
      const label = labels[t];
      if (t === 0 || label === undefined || label === IGNORE) continue; // nothing predicts the first token
      positions.push(at - 1);
      targets.push(label);
    }
    if (weight) weights.push(...targetWeights(labels, weight));
  }
  const feeds = {
    input_ids: new Tensor("int64", ids, [samples.length, S]),
    target_positions: int64(positions),
    target_ids: int64(targets),
    ...(weight && { target_weights: new Tensor("float32", Float32Array.from(weights), [weights.length]) }),
    ...(shape && pictureFeeds(pictures, shape, standing)),
  };
  const counted = weight ? weights.reduce((sum, each) => sum + each, 0) : targets.length;
  return { feeds, targets: counted, tokens: samples.reduce((sum, { input_ids }) => sum + input_ids.length, 0) };
}

/** Of a sample's targets in order. An answer is a run of labels. */
function targetWeights(labels: readonly number[], weight: TargetWeight): number[] {
  const weights: number[] = [];
  for (let start = 1; start < labels.length; ) {
    let end = start;
    while (end < labels.length && labels[end] !== IGNORE) end++;
    for (let t = start; t < end; t++) weights.push(weight(end - start));
    start = end + 1;
  }
  return weights;
}

function pictureFeeds(pictures: readonly PreparedPicture[], { input: name, shape, tokens }: PictureShape, standing: readonly number[]) {
  const rows: number[] = [];
  let tiles = 0;
  for (const picture of pictures) {
    for (const row of picture.rows) rows.push(row < 0 ? row : tiles * tokens + row);
    tiles += picture.tiles;
  }
  if (rows.length !== standing.length) {
    throw new RangeError(`microBatch: the samples have ${standing.length} places for visual tokens, their pictures make ${rows.length}.`);
  }
  const size = shape.reduce((product, dim) => product * dim, 1);
  const data = new Float32Array(Math.max(1, tiles) * size); // a blank one where there is no picture: an encoder cannot look at nothing
  let offset = 0;
  for (const picture of pictures) {
    data.set(picture.data, offset);
    offset += picture.data.length;
  }
  return {
    [name]: new Tensor("float32", data, [Math.max(1, tiles), ...shape]),
    token_rows: int64(rows),
    picture_positions: int64(standing),
  };
}

function int64(values: readonly number[]): Tensor {
  return new Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]);
}
