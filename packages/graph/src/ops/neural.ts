/** Normalisation, activations and table look-up: composites, with ONNX Runtime's fused operators where it has them. */
import { formatShape, shapeEquals } from "../dim.ts";
import { float, int } from "../onnx-attributes.ts";
import { apply, type OpRule, operand, type Rules, requireFloat } from "../op-rule.ts";
import { ShapeError } from "../shape-error.ts";
import { constant, type Value } from "../value.ts";
import * as e from "./elementwise.ts";
import { gather } from "./indexing.ts";
import { reduceMean } from "./reductions.ts";

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
}

const same: OpRule<unknown>["shape"] = ([x]) => [requireFloat("activation", x)];

function normShape(op: string): OpRule<Epsilon>["shape"] {
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
    return [from];
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
    shape: normShape("LayerNorm"),
    lower: {
      emit: (emitter, inputs, { attributes: { epsilon } }) =>
        emitter.node("LayerNormalization", inputs, { axis: int(-1), epsilon: float(epsilon) }),
    },
  },
  RmsNorm: {
    shape: normShape("RmsNorm"),
    lower: {
      portable: ([input, scale], { epsilon }) => {
        const x = operand("RmsNorm", input);
        const mean = reduceMean(e.mul(x, x), { axes: [-1], keepDims: true });
        return e.mul(e.div(x, e.sqrt(e.add(mean, epsilon))), operand("RmsNorm", scale));
      },
      fused: (emitter, inputs, { attributes: { epsilon } }) =>
        emitter.node("SimplifiedLayerNormalization", inputs, { axis: int(-1), epsilon: float(epsilon) }),
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
};

/** Rows of a table: ids [...], table [rows, width] → [..., width]. */
export function embedding(ids: Value, table: Value): Value {
  return apply(neuralRules, "Embedding", [ids, table], {});
}

/** Over the last axis, biased variance. Without a scale: ones; without a bias: none. */
export function layerNorm(x: Value, scale: Value | null, bias: Value | null, { epsilon }: Epsilon): Value {
  const width = x.shape.at(-1);
  if (typeof width !== "number") throw new ShapeError(`layerNorm: the last axis of ${formatShape(x.shape)} must be known.`);
  const weight = scale ?? constant(new Float32Array(width).fill(1));
  return apply(neuralRules, "LayerNorm", bias === null ? [x, weight] : [x, weight, bias], { epsilon });
}

/** x / sqrt(mean(x²) + epsilon) · scale over the last axis. */
export function rmsNorm(x: Value, scale: Value, { epsilon }: Epsilon): Value {
  return apply(neuralRules, "RmsNorm", [x, scale], { epsilon });
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
