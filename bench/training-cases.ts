// The three trainings that bench/training.ts times: a module, what is minimised, and one batch. reference/training_bench.py has the same.
import { input, ops, symbol, type Value } from "@waggle/graph";
import { causalCache, type Llama, llama } from "@waggle/language";
import { Module } from "@waggle/nn";
import { cAbstractor, mlp, type Projector } from "@waggle/projectors";
import { crossEntropy, type MicroBatch, type Objective } from "@waggle/train";
import { Tensor } from "onnxruntime-node";

export interface TrainingCase {
  readonly title: string;
  readonly module: Module;
  readonly objective: Objective;
  readonly batch: MicroBatch;
}

export const caseNames = ["decoder", "llava", "c-abstractor"] as const;
export type CaseName = (typeof caseNames)[number];

export const decoderConfig = {
  vocab_size: 1000,
  hidden_size: 192,
  intermediate_size: 512,
  num_hidden_layers: 4,
  num_attention_heads: 6,
  num_key_value_heads: 6,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
} as const;

export function trainingCase(name: CaseName): TrainingCase {
  switch (name) {
    case "decoder":
      return decoder(64, 100);
    case "llava":
      return llava({ B: 16, N: 144, C: 384, S: 64 });
    case "c-abstractor":
      return convolutions(32, 12, 6, 256);
    default:
      return name satisfies never;
  }
}

/** Text alone: every token predicts the next. */
function decoder(batch: number, length: number): TrainingCase {
  const language = llama(decoderConfig);
  const [B, S] = [symbol("B"), symbol("S")];
  const input_ids = input("input_ids", "int64", [B, S]);
  const target_ids = input("target_ids", "int64", [B, S]);
  const hidden = language.decode(language.embed(input_ids), causalCache());
  return {
    title: `4-layer decoder, ${batch} × ${length} tokens`,
    module: language,
    objective: { inputs: { input_ids, target_ids }, loss: nextToken(language, hidden, target_ids) },
    batch: {
      feeds: { input_ids: ids(1, [batch, length]), target_ids: ids(2, [batch, length]) },
      targets: batch * length,
      tokens: batch * length,
    },
  };
}

class ProjectorAndDecoder extends Module {
  readonly projector: Module & Projector;
  readonly language: Llama;

  constructor(projector: Module & Projector, language: Llama) {
    super();
    this.projector = projector;
    this.language = language;
  }
}

/** Cached features of N patches, projected, in front of S tokens of text, which are the targets. */
function llava(size: { readonly B: number; readonly N: number; readonly C: number; readonly S: number }): TrainingCase {
  const { N, C } = size;
  const language = llama(decoderConfig);
  const side = Math.sqrt(N);
  const projector = mlp()(C, decoderConfig.hidden_size, { rows: side, columns: side });
  const [B, S] = [symbol("B"), symbol("S")];
  const features = input("features", "float32", [B, N, C]);
  const input_ids = input("input_ids", "int64", [B, S]);
  const target_ids = input("target_ids", "int64", [B, S]);
  const embeds = ops.concat([projector.forward(features), language.embed(input_ids)], 1);
  const hidden = ops.slice(language.decode(embeds, causalCache()), { axis: 1, start: N });
  return {
    title: `cached features → MLP → 4-layer decoder, ${size.B} × (${N} + ${size.S})`,
    module: new ProjectorAndDecoder(projector, language),
    objective: { inputs: { features, input_ids, target_ids }, loss: nextToken(language, hidden, target_ids) },
    batch: {
      feeds: { features: waves([size.B, N, C]), input_ids: ids(1, [size.B, size.S]), target_ids: ids(2, [size.B, size.S]) },
      targets: size.B * size.S,
      tokens: size.B * (N + size.S),
    },
  };
}

/** The projector alone, towards given tokens: Σ (y − target)². */
function convolutions(batch: number, from: number, to: number, width: number): TrainingCase {
  const projector = cAbstractor({ tokens: to * to })(width, width, { rows: from, columns: from });
  const B = symbol("B");
  const features = input("features", "float32", [B, from * from, width]);
  const targets = input("targets", "float32", [B, to * to, width]);
  const error = ops.sub(projector.forward(features), targets);
  const count = batch * to * to * width;
  return {
    title: `C-Abstractor, ${batch} × ${from * from} → ${to * to} patches, ${width} wide`,
    module: projector,
    objective: { inputs: { features, targets }, loss: ops.reduceSum(ops.mul(error, error)) },
    batch: {
      feeds: { features: waves([batch, from * from, width]), targets: waves([batch, to * to, width]) },
      targets: count,
      tokens: batch * from * from,
    },
  };
}

function nextToken(language: Llama, hidden: Value, target_ids: Value): Value {
  const logits = ops.reshape(language.head(hidden), [-1, language.vocab_size]);
  return crossEntropy(logits, ops.reshape(target_ids, [-1]));
}

function ids(seed: number, shape: readonly [number, number]): Tensor {
  const values = BigInt64Array.from({ length: shape[0] * shape[1] }, (_, i) =>
    BigInt((i * 7919 + seed * 104_729) % decoderConfig.vocab_size),
  );
  return new Tensor("int64", values, shape);
}

function waves(shape: readonly number[]): Tensor {
  const length = shape.reduce((product, dim) => product * dim, 1);
  return new Tensor(
    "float32",
    Float32Array.from({ length }, (_, i) => Math.sin(i * 0.37) + Math.sin(i * 0.0113)),
    shape,
  );
}
