/** Normalisation, activations, table look-up and cross entropy: composites, with ONNX Runtime's fused operators where it has them. */
import { formatShape, shapeEquals } from "../dim.ts";
import { float, int } from "../onnx-attributes.ts";
import { apply, applyAll, type OpRule, operand, type Rules, requireFloat } from "../op-rule.ts";
import { ShapeError } from "../shape-error.ts";
import { constant, type TensorType, type Value } from "../value.ts";
import * as e from "./elementwise.ts";
import { gather, gatherElements } from "./indexing.ts";
import { squeeze, unsqueeze } from "./movement.ts";
import { reduceMax, reduceMean, softmax } from "./reductions.ts";

type None = Readonly<Record<never, never>>;
interface Epsilon {
  readonly epsilon: number;
}

export interface NeuralAttributes {
  Embedding: None;
  LayerNorm: Epsilon;
  RmsNorm: Epsilon;
  Gelu: { readonly approximate: "none" | "tanh" };
  QuickGelu: { readonly alpha: number };
  CrossEntropy: None;
}

const same: OpRule<unknown>["shape"] = ([x]) => [requireFloat("activation", x)];

/** Beside the result, norms give what their gradient needs, [..., 1] each: LayerNorm the mean, and both 1 / deviation. */
function normShape(op: string, statistics: number): OpRule<Epsilon>["shape"] {
  return ([x, ...affine]) => {
    const from = requireFloat(op, x);
    const width = from.shape.at(-1);
    for (const { dtype, shape } of affine) {
      if (width === undefined || !shapeEquals(shape, [width]) || dtype !== from.dtype) {
        throw new ShapeError(
          `${op}: expected ${from.dtype} scale and bias as long as the last axis of ${formatShape(from.shape)}, got ${dtype} ${formatShape(shape)}.`,
        );
      }
    }
    // ONNX keeps them in float32 where x is shorter.
    const kept = { dtype: from.dtype === "float64" ? from.dtype : "float32", shape: [...from.shape.slice(0, -1), 1] } as const;
    return [from, ...new Array<TensorType>(statistics).fill(kept)];
  };
}

export const neuralRules: Rules<NeuralAttributes> = {
  Embedding: {
    shape: ([ids, table]) => {
      const [at, rows] = [operand("Embedding", ids), operand("Embedding", table)];
      if (rows.shape.length !== 2) throw new ShapeError(`Embedding: expected a table [rows, width], got ${formatShape(rows.shape)}.`);
      if (at.dtype !== "int64" && at.dtype !== "int32") throw new ShapeError(`Embedding: expected int64 or int32 ids, got ${at.dtype}.`);
      return [{ dtype: rows.dtype, shape: [...at.shape, rows.shape[1] ?? 0] }];
    },
    lower: { portable: ([ids, table]) => gather(operand("Embedding", table), operand("Embedding", ids), 0) },
  },
  LayerNorm: {
    shape: normShape("LayerNorm", 2),
    lower: {
      emit: (emitter, inputs, { attributes: { epsilon } }) =>
        emitter.node("LayerNormalization", inputs, { axis: int(-1), epsilon: float(epsilon) }, { outputs: 3 }),
    },
  },
  RmsNorm: {
    shape: normShape("RmsNorm", 1),
    lower: {
      portable: ([input, scale], { epsilon }) => {
        const x = operand("RmsNorm", input);
        const deviation = e.sqrt(e.add(reduceMean(e.mul(x, x), { axes: [-1], keepDims: true }), epsilon));
        return [
          e.mul(e.div(x, deviation), operand("RmsNorm", scale)),
          e.cast(e.reciprocal(deviation), x.dtype === "float64" ? x.dtype : "float32"),
        ];
      },
      fused: (emitter, inputs, { attributes: { epsilon } }) =>
        emitter.node("SimplifiedLayerNormalization", inputs, { axis: int(-1), epsilon: float(epsilon) }, { outputs: 2 }),
    },
  },
  Gelu: {
    shape: same,
    lower: {
      portable: ([input], { approximate }) => {
        const x = operand("Gelu", input);
        const inner =
          approximate === "none"
            ? e.erf(e.mul(x, Math.SQRT1_2))
            : e.tanh(e.mul(e.add(x, e.mul(e.mul(e.mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI)));
        return e.mul(e.mul(x, 0.5), e.add(inner, 1));
      },
      fused: (emitter, inputs, { attributes: { approximate } }) =>
        approximate === "none" ? emitter.node("Gelu", inputs, {}, { domain: "com.microsoft" }) : null,
    },
  },
  QuickGelu: {
    shape: same,
    lower: {
      portable: ([input], { alpha }) => {
        const x = operand("QuickGelu", input);
        return e.mul(x, e.sigmoid(alpha === 1 ? x : e.mul(x, alpha)));
      },
      fused: (emitter, inputs, { attributes: { alpha } }) =>
        emitter.node("QuickGelu", inputs, { alpha: float(alpha) }, { domain: "com.microsoft" }),
    },
  },
  CrossEntropy: {
    shape: ([logits, targets]) => {
      const [from, at] = [requireFloat("CrossEntropy", logits), operand("CrossEntropy", targets)];
      const [rows] = from.shape;
      if (
        from.shape.length !== 2 ||
        rows === undefined ||
        !shapeEquals(at.shape, [rows]) ||
        (at.dtype !== "int64" && at.dtype !== "int32")
      ) {
        throw new ShapeError(
          `CrossEntropy: expected logits [R, V] and int64 or int32 targets [R], got ${formatShape(from.shape)} and ${at.dtype} ${formatShape(at.shape)}.`,
        );
      }
      return [{ dtype: from.dtype, shape: at.shape }];
    },
    lower: {
      // max − log max p is log Σ exp, from the probabilities that the gradient needs: no second pass over all exponentials.
      // The greatest p is at least 1/V, so its logarithm is safe where that of the target's would not be.
      portable: ([input, targets]) => {
        const logits = operand("CrossEntropy", input);
        const greatest = (x: Value): Value => reduceMax(x, { axes: [1], keepDims: true });
        const own = gatherElements(logits, unsqueeze(operand("CrossEntropy", targets), 1), 1);
        return squeeze(e.sub(e.sub(greatest(logits), e.log(greatest(softmax(logits, 1)))), own), 1);
      },
    },
  },
};

/** Rows of a table: ids [...], table [rows, width] → [..., width]. */
export function embedding(ids: Value, table: Value): Value {
  return apply(neuralRules, "Embedding", [ids, table], {});
}

/** Over the last axis, biased variance. Without a scale: ones; without a bias: none. */
export function layerNorm(x: Value, scale: Value | null, bias: Value | null, { epsilon }: Epsilon): Value {
  const width = x.shape.at(-1);
  if (typeof width !== "number") throw new ShapeError(`layerNorm: the last axis of ${formatShape(x.shape)} must be known.`);
  const weight = scale ?? constant(new Array<number>(width).fill(1), { dtype: x.dtype });
  return first(applyAll(neuralRules, "LayerNorm", bias === null ? [x, weight] : [x, weight, bias], { epsilon }));
}

/** x / sqrt(mean(x²) + epsilon) · scale over the last axis. */
export function rmsNorm(x: Value, scale: Value, { epsilon }: Epsilon): Value {
  return first(applyAll(neuralRules, "RmsNorm", [x, scale], { epsilon }));
}

function first([value]: readonly Value[]): Value {
  return operand("norm", value);
}

/** The exact GELU: x/2 · (1 + erf(x/√2)). */
export function gelu(x: Value): Value {
  return apply(neuralRules, "Gelu", [x], { approximate: "none" });
}

/** The tanh form of GELU ("gelu_new", "gelu_pytorch_tanh"). */
export function geluTanh(x: Value): Value {
  return apply(neuralRules, "Gelu", [x], { approximate: "tanh" });
}

/** x · sigmoid(1.702 x), CLIP's activation. */
export function quickGelu(x: Value): Value {
  return apply(neuralRules, "QuickGelu", [x], { alpha: 1.702 });
}

/** x · sigmoid(x), also called swish. */
export function silu(x: Value): Value {
  return apply(neuralRules, "QuickGelu", [x], { alpha: 1 });
}

/** −log softmax(logits)[target] of every row, as torch's `cross_entropy(…, reduction="none")`: logits [R, V], targets [R] → [R]. */
export function crossEntropy(logits: Value, targets: Value): Value {
  return apply(neuralRules, "CrossEntropy", [logits, targets], {});
}
