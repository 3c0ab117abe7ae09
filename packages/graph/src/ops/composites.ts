/**
 * Composite operators: each has one definition in primitive operators (what is exported and differentiated) and,
 * where ONNX Runtime has a faster one, a fused lowering. Authors of models write these, never a fused operator's name.
 */
import { type Dim, dimEquals, dimMul, dimSub, formatShape } from "../dim.ts";
import { float, int } from "../onnx-attributes.ts";
import { apply, operand, type Rules } from "../op-rule.ts";
import { ShapeError } from "../shape-error.ts";
import { constant, type TensorType, type Value } from "../value.ts";
import * as e from "./elementwise.ts";
import * as i from "./indexing.ts";
import * as l from "./linear-algebra.ts";
import * as m from "./movement.ts";

type None = Readonly<Record<never, never>>;
interface Epsilon {
  readonly epsilon: number;
}

export interface CompositeAttributes {
  Linear: None;
  Embedding: None;
  LayerNorm: Epsilon;
  RmsNorm: Epsilon;
  Gelu: { readonly approximate: "none" | "tanh" };
  QuickGelu: { readonly alpha: number };
  RotaryEmbedding: None;
  Attention: { readonly scale: number; readonly causal: boolean };
  AdaptiveAveragePool2d: { readonly size: readonly [number, number] };
}

function same(op: string): (inputs: readonly Value[]) => readonly TensorType[] {
  return ([x]) => [operand(op, x)];
}

function normShape(op: string): (inputs: readonly Value[]) => readonly TensorType[] {
  return ([x, ...affine]) => {
    const from = operand(op, x);
    for (const weight of affine) {
      if (weight.shape.length !== 1 || !dimEquals(weight.shape[0] ?? 0, from.shape.at(-1) ?? 0)) {
        throw new ShapeError(
          `${op}: expected a scale and bias of the last axis of ${formatShape(from.shape)}, got ${formatShape(weight.shape)}.`,
        );
      }
    }
    return [from];
  };
}

const picked = (inputs: readonly Value[], index: number): Value => operand("composite", inputs[index]);

export const compositeRules: Rules<CompositeAttributes> = {
  Linear: {
    shape: ([x, weight, bias]) => {
      const [from, w] = [operand("Linear", x), operand("Linear", weight)];
      if (w.shape.length !== 2 || !dimEquals(w.shape[1] ?? 0, from.shape.at(-1) ?? 0)) {
        throw new ShapeError(
          `Linear: x ${formatShape(from.shape)} ends in ${from.shape.at(-1)}, the weight [out, in] is ${formatShape(w.shape)}.`,
        );
      }
      if (bias !== undefined && !dimEquals(bias.shape[0] ?? 0, w.shape[0] ?? 0))
        throw new ShapeError(`Linear: expected a bias of ${w.shape[0]}, got ${formatShape(bias.shape)}.`);
      return [{ dtype: from.dtype, shape: [...from.shape.slice(0, -1), w.shape[0] ?? 0] }];
    },
    lower: {
      // transB reads PyTorch's [out, in] layout as it lies in the file: nothing is copied or transposed.
      portable: ([x, weight, bias]) => {
        const product = l.matmul(operand("Linear", x), operand("Linear", weight), { transB: true });
        return bias === undefined ? product : e.add(product, bias);
      },
    },
  },
  Embedding: {
    shape: ([ids, table]) => {
      const [at, rows] = [operand("Embedding", ids), operand("Embedding", table)];
      if (rows.shape.length !== 2) throw new ShapeError(`Embedding: expected a table [rows, width], got ${formatShape(rows.shape)}.`);
      return [{ dtype: rows.dtype, shape: [...at.shape, rows.shape[1] ?? 0] }];
    },
    lower: { portable: (inputs) => i.gather(picked(inputs, 1), picked(inputs, 0), 0) },
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
      portable: (inputs, { epsilon }) => {
        const x = picked(inputs, 0);
        const mean = l.reduceMean(e.mul(x, x), { axes: [-1], keepDims: true });
        return e.mul(e.div(x, e.sqrt(e.add(mean, epsilon))), picked(inputs, 1));
      },
      fused: (emitter, inputs, { attributes: { epsilon } }) =>
        emitter.node("SimplifiedLayerNormalization", inputs, { axis: int(-1), epsilon: float(epsilon) }),
    },
  },
  Gelu: {
    shape: same("Gelu"),
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
    shape: same("QuickGelu"),
    lower: {
      portable: (inputs, { alpha }) => e.mul(picked(inputs, 0), e.sigmoid(e.mul(picked(inputs, 0), alpha))),
      fused: (emitter, inputs, { attributes: { alpha } }) =>
        emitter.node("QuickGelu", inputs, { alpha: float(alpha) }, { domain: "com.microsoft" }),
    },
  },
  RotaryEmbedding: {
    shape: ([x, cos, sin]) => {
      const from = operand("RotaryEmbedding", x);
      const half = Number(from.shape.at(-1)) / 2;
      for (const table of [cos, sin]) {
        if (table?.shape.length !== 3 || table.shape[2] !== half) {
          throw new ShapeError(
            `RotaryEmbedding: expected cos and sin [B, S, ${half}] for x [B, H, S, D] = ${formatShape(from.shape)}, got ${formatShape(table?.shape ?? [])}.`,
          );
        }
      }
      return [from];
    },
    lower: {
      portable: (inputs) => {
        const x = picked(inputs, 0);
        const half = Number(x.shape.at(-1)) / 2;
        const [cos, sin] = [m.unsqueeze(picked(inputs, 1), 1), m.unsqueeze(picked(inputs, 2), 1)];
        const [a, b] = [i.slice(x, { axis: -1, end: half }), i.slice(x, { axis: -1, start: half })];
        return m.concat([e.sub(e.mul(a, cos), e.mul(b, sin)), e.add(e.mul(b, cos), e.mul(a, sin))], -1);
      },
    },
  },
  Attention: {
    shape: ([query, key, value]) => {
      const [q, k, v] = [operand("Attention", query), operand("Attention", key), operand("Attention", value)];
      const [B = 0, Hq, S = 0, D = 0] = q.shape;
      const [, Hkv, T = 0] = k.shape;
      const fits = [q, k, v].every((x) => x.shape.length === 4) && dimEquals(k.shape[3] ?? 0, D) && dimEquals(v.shape[2] ?? 0, T);
      if (!fits || typeof Hq !== "number" || typeof Hkv !== "number" || Hkv === 0 || Hq % Hkv !== 0 || v.shape[1] !== Hkv) {
        throw new ShapeError(
          `Attention: expected q [B, Hq, S, D], k [B, Hkv, T, D], v [B, Hkv, T, D] with Hkv dividing Hq, got ${formatShape(q.shape)}, ${formatShape(k.shape)}, ${formatShape(v.shape)}.`,
        );
      }
      return [{ dtype: q.dtype, shape: [B, Hq, S, v.shape[3] ?? 0] }];
    },
    lower: { portable: attentionByProducts },
  },
  AdaptiveAveragePool2d: {
    shape: ([x], { size }) => {
      const { dtype, shape } = operand("AdaptiveAveragePool2d", x);
      if (shape.length !== 4 || typeof shape[2] !== "number" || typeof shape[3] !== "number") {
        throw new ShapeError(`AdaptiveAveragePool2d: expected [B, C, H, W] with known H and W, got ${formatShape(shape)}.`);
      }
      return [{ dtype, shape: [shape[0] ?? 0, shape[1] ?? 0, ...size] }];
    },
    lower: {
      portable: (inputs, { size }) => {
        const x = picked(inputs, 0);
        const [H, W] = [Number(x.shape[2]), Number(x.shape[3])];
        const rows = size[0] === H ? x : l.matmul(poolingMatrix(H, size[0]), x);
        return size[1] === W ? rows : l.matmul(rows, poolingMatrix(W, size[1]), { transB: true });
      },
    },
  },
};

/** [out, in]: row i holds 1/width in the columns floor(i·in/out) … ceil((i+1)·in/out), as torch bins them. */
function poolingMatrix(size: number, out: number): Value {
  const data = new Float32Array(out * size);
  for (let i = 0; i < out; i += 1) {
    const [start, end] = [Math.floor((i * size) / out), Math.ceil(((i + 1) * size) / out)];
    data.fill(1 / (end - start), i * size + start, i * size + end);
  }
  return constant(data, { shape: [out, size] });
}

/** softmax(scale · q·kᵀ + mask) · v. Query heads of one group are stacked, so keys and values are never repeated. */
function attentionByProducts([query, key, value, mask]: readonly Value[], { scale, causal }: CompositeAttributes["Attention"]): Value {
  const [q, k, v] = [operand("Attention", query), operand("Attention", key), operand("Attention", value)];
  const [B = 0, Hq = 0, S = 0, D = 0] = q.shape;
  const [, Hkv = 0, T = 0] = k.shape;
  const group = Number(Hq) / Number(Hkv);
  const stacked = m.reshape(q, [B, Hkv, dimMul(group, S), D]);
  let scores = l.matmul(stacked, k, { transB: true, alpha: scale });
  if (causal || mask !== undefined) {
    let full = m.reshape(scores, [B, Hq, S, T]);
    if (mask !== undefined) full = e.add(full, mask);
    if (causal) full = e.add(full, causalMask(S, T));
    scores = m.reshape(full, [B, Hkv, dimMul(group, S), T]);
  }
  return m.reshape(l.matmul(l.softmax(scores, -1), v), [B, Hq, S, v.shape[3] ?? 0]);
}

/** [S, T]: 0 where column t may be seen from row s (t ≤ s + T - S), the lowest float32 elsewhere. */
function causalMask(S: Dim, T: Dim): Value {
  const rows = e.add(m.unsqueeze(i.range(S), 1), i.sizeScalar(dimSub(T, S)));
  return e.where(e.lessOrEqual(m.unsqueeze(i.range(T), 0), rows), constant(0), constant(LOWEST));
}

/** torch.finfo(float32).min: what transformers adds where attention is forbidden. */
export const LOWEST = -3.4028234663852886e38;

/** x·weightᵀ + bias: x [..., in], weight [out, in] as PyTorch stores it, bias [out]. */
export function linear(x: Value, weight: Value, bias: Value | null = null): Value {
  return apply(compositeRules, "Linear", bias === null ? [x, weight] : [x, weight, bias], {});
}

/** Rows of a table: ids [...], table [rows, width] → [..., width]. */
export function embedding(ids: Value, table: Value): Value {
  return apply(compositeRules, "Embedding", [ids, table], {});
}

/** Over the last axis, biased variance. Without a scale: ones; without a bias: none. */
export function layerNorm(x: Value, scale: Value | null, bias: Value | null, { epsilon }: Epsilon): Value {
  const width = x.shape.at(-1);
  if (typeof width !== "number") throw new ShapeError(`layerNorm: the last axis of ${formatShape(x.shape)} must be known.`);
  const weight = scale ?? constant(new Float32Array(width).fill(1));
  return apply(compositeRules, "LayerNorm", bias === null ? [x, weight] : [x, weight, bias], { epsilon });
}

/** x / sqrt(mean(x²) + epsilon) · scale over the last axis. */
export function rmsNorm(x: Value, scale: Value, { epsilon }: Epsilon): Value {
  return apply(compositeRules, "RmsNorm", [x, scale], { epsilon });
}

/** The exact GELU: x/2 · (1 + erf(x/√2)). */
export function gelu(x: Value): Value {
  return apply(compositeRules, "Gelu", [x], { approximate: "none" });
}

/** The tanh form of GELU ("gelu_new", "gelu_pytorch_tanh"). */
export function geluTanh(x: Value): Value {
  return apply(compositeRules, "Gelu", [x], { approximate: "tanh" });
}

/** x · sigmoid(1.702 x), CLIP's activation. */
export function quickGelu(x: Value): Value {
  return apply(compositeRules, "QuickGelu", [x], { alpha: 1.702 });
}

/** x · sigmoid(x), also called swish. */
export function silu(x: Value): Value {
  return apply(compositeRules, "QuickGelu", [x], { alpha: 1 });
}

/** Half-rotation rotary embedding: x [B, H, S, D], cos and sin [B, S, D/2]. */
export function rotaryEmbedding(x: Value, cos: Value, sin: Value): Value {
  return apply(compositeRules, "RotaryEmbedding", [x, cos, sin], {});
}

/** softmax(scale·q·kᵀ + mask)·v: q [B, Hq, S, D], k and v [B, Hkv, T, D] with Hkv dividing Hq → [B, Hq, S, Dv]. */
export function attention(
  q: Value,
  k: Value,
  v: Value,
  {
    scale = 1 / Math.sqrt(Number(q.shape.at(-1))),
    causal = false,
    mask = null,
  }: { readonly scale?: number; readonly causal?: boolean; readonly mask?: Value | null } = {},
): Value {
  return apply(compositeRules, "Attention", mask === null ? [q, k, v] : [q, k, v, mask], { scale, causal });
}

/** Means over the bins of torch's AdaptiveAvgPool2d: x [B, C, H, W] → [B, C, height, width]. */
export function adaptiveAveragePool2d(x: Value, size: readonly [number, number]): Value {
  return apply(compositeRules, "AdaptiveAveragePool2d", [x], { size });
}
