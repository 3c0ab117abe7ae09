/** Products of matrices and what is built from them: linear, rotary embedding, attention. */
import type { DataType } from "../data-type.ts";
import { type Dim, dimEquals, dimMul, dimSub, formatShape, type Shape, shapeEquals } from "../dim.ts";
import type { Emitter } from "../emitter.ts";
import { float, int } from "../onnx-attributes.ts";
import { apply, operand, type Rules, requireFloat, type TypedNode } from "../op-rule.ts";
import { ShapeError } from "../shape-error.ts";
import { constant, type Value } from "../value.ts";
import * as e from "./elementwise.ts";
import * as i from "./indexing.ts";
import * as m from "./movement.ts";
import { reduceMax, softmax } from "./reductions.ts";

type None = Readonly<Record<never, never>>;

export interface ProductAttributes {
  MatMul: { readonly transA: boolean; readonly transB: boolean; readonly alpha: number };
  Linear: None;
  RotaryEmbedding: None;
  Attention: { readonly scale: number; readonly causal: boolean };
}

function swapLast(shape: Shape, swap: boolean): Shape {
  return swap ? [...shape.slice(0, -2), shape.at(-1) ?? 0, shape.at(-2) ?? 0] : shape;
}

const lastTwo = (rank: number): readonly number[] => [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2];

export const productRules: Rules<ProductAttributes> = {
  MatMul: {
    shape: ([left, right], { transA, transB }) => {
      const [a, b] = [operand("MatMul", left), operand("MatMul", right)];
      const [sa, sb] = [swapLast(a.shape, transA), swapLast(b.shape, transB)];
      const bad = `MatMul: ${a.dtype} ${formatShape(sa)} times ${b.dtype} ${formatShape(sb)}`;
      if (a.dtype !== b.dtype) throw new ShapeError(`${bad}: the types differ.`);
      if (sa.length < 2 || sb.length < 2) throw new ShapeError(`${bad}: expected at least two axes on both sides.`);
      if (!dimEquals(sa.at(-1) ?? 0, sb.at(-2) ?? 0)) throw new ShapeError(`${bad}: the inner axes ${sa.at(-1)} and ${sb.at(-2)} differ.`);
      return [{ dtype: a.dtype, shape: [...e.broadcast("MatMul", [sa.slice(0, -2), sb.slice(0, -2)]), sa.at(-2) ?? 0, sb.at(-1) ?? 0] }];
    },
    lower: {
      emit: (emitter, [a = "", b = ""], node) => {
        const { transA, transB, alpha } = node.attributes;
        if (!transA && !transB && alpha === 1) return emitter.node("MatMul", [a, b]);
        if (emitter.target === "onnxruntime" && node.inputs[0]?.dtype === "float32") {
          return emitter.node(
            "FusedMatMul",
            [a, b],
            { transA: int(transA), transB: int(transB), alpha: float(alpha) },
            { domain: "com.microsoft" },
          );
        }
        const turn = (name: string, x: Value | undefined, on: boolean): string =>
          on ? (emitter.transpose(name, lastTwo(operand("MatMul", x).shape.length))[0] ?? "") : name;
        const product = emitter.node("MatMul", [turn(a, node.inputs[0], transA), turn(b, node.inputs[1], transB)]);
        return alpha === 1
          ? product
          : emitter.node("Mul", [product[0] ?? "", emitter.scalar(alpha, operand("MatMul", node.inputs[0]).dtype)]);
      },
    },
  },
  Linear: {
    shape: ([x, weight, bias]) => {
      const [from, w] = [requireFloat("Linear", x), operand("Linear", weight)];
      const [out = 0, width = 0] = w.shape;
      const last = from.shape.at(-1);
      if (w.shape.length !== 2 || last === undefined || !dimEquals(width, last)) {
        throw new ShapeError(
          `Linear: expected x [..., in] and a weight [out, in], got ${formatShape(from.shape)} and ${formatShape(w.shape)}.`,
        );
      }
      if (bias !== undefined && !shapeEquals(bias.shape, [out]))
        throw new ShapeError(`Linear: expected a bias [${out}], got ${formatShape(bias.shape)}.`);
      if (w.dtype !== from.dtype || (bias !== undefined && bias.dtype !== from.dtype))
        throw new ShapeError(`Linear: x is ${from.dtype}, the weight ${w.dtype}, the bias ${bias?.dtype ?? "none"}. Use ops.cast.`);
      return [{ dtype: from.dtype, shape: [...from.shape.slice(0, -1), out] }];
    },
    lower: {
      // transB reads PyTorch's [out, in] layout as it lies in the file: nothing is copied or transposed.
      portable: ([x, weight, bias]) => {
        const product = matmul(operand("Linear", x), operand("Linear", weight), { transB: true });
        return bias === undefined ? product : e.add(product, bias);
      },
    },
  },
  RotaryEmbedding: {
    shape: ([x, ...tables]) => {
      const from = requireFloat("RotaryEmbedding", x);
      const [B = 0, , S = 0, D] = from.shape;
      for (const { dtype, shape } of tables) {
        const [rows = 0, steps = 0, half = 0] = shape;
        const fits = shape.length === 3 && dimEquals(steps, S) && (rows === 1 || dimEquals(rows, B)) && dimEquals(dimMul(half, 2), D ?? 0);
        if (from.shape.length !== 4 || !fits || dtype !== from.dtype) {
          throw new ShapeError(
            `RotaryEmbedding: expected x [B, H, S, D] with cos and sin [B or 1, S, D/2], got ${formatShape(from.shape)} with ${dtype} ${formatShape(shape)}.`,
          );
        }
      }
      return [from];
    },
    lower: {
      portable: ([input, cosines, sines]) => {
        const x = operand("RotaryEmbedding", input);
        const half = Number(x.shape.at(-1)) / 2;
        const [cos, sin] = [m.unsqueeze(operand("RotaryEmbedding", cosines), 1), m.unsqueeze(operand("RotaryEmbedding", sines), 1)];
        const [a, b] = [i.slice(x, { axis: -1, end: half }), i.slice(x, { axis: -1, start: half })];
        return m.concat([e.sub(e.mul(a, cos), e.mul(b, sin)), e.add(e.mul(b, cos), e.mul(a, sin))], -1);
      },
      fused: rotaryByTable,
    },
  },
  Attention: {
    shape: ([query, key, value, mask]) => {
      const [q, k, v] = [requireFloat("Attention", query), operand("Attention", key), operand("Attention", value)];
      const [B = 0, Hq, S = 0, D = 0] = q.shape;
      const [, Hkv = 0, T = 0] = k.shape;
      const wanted: Shape[] = [q.shape, [B, Hkv, T, D], [B, Hkv, T, v.shape[3] ?? 0]];
      const fits = q.shape.length === 4 && [q, k, v].every((x, at) => x.dtype === q.dtype && shapeEquals(x.shape, wanted[at] ?? []));
      if (!fits || typeof Hq !== "number" || typeof Hkv !== "number" || Hkv === 0 || Hq % Hkv !== 0) {
        throw new ShapeError(
          `Attention: expected q [B, Hq, S, D], k [B, Hkv, T, D], v [B, Hkv, T, D] with Hkv dividing Hq, got ${formatShape(q.shape)}, ${formatShape(k.shape)}, ${formatShape(v.shape)}.`,
        );
      }
      const scores = [B, Hq, S, T];
      if (mask !== undefined && !(mask.dtype === q.dtype && shapeEquals(e.broadcast("Attention: mask", [mask.shape, scores]), scores)))
        throw new ShapeError(
          `Attention: expected a ${q.dtype} mask that broadcasts to ${formatShape(scores)}, got ${mask.dtype} ${formatShape(mask.shape)}.`,
        );
      return [{ dtype: q.dtype, shape: [B, Hq, S, v.shape[3] ?? 0] }];
    },
    // ONNX Runtime's MultiHeadAttention is no faster on the CPU: 577 patches, 16 heads, 20.0 ms of processor time against 20.2.
    lower: { portable: attentionByProducts },
  },
};

/** softmax(scale · q·kᵀ + mask) · v. */
function attentionByProducts(inputs: readonly Value[], attributes: ProductAttributes["Attention"]): Value {
  const [q, v] = [operand("Attention", inputs[0]), operand("Attention", inputs[2])];
  return m.reshape(matmul(attentionWeights(inputs, attributes), v), [...q.shape.slice(0, -1), v.shape[3] ?? 0]);
}

/** [B, Hq, S, D] → [B, Hkv, group · S, D]: query heads of one group are stacked, so keys and values are never repeated. */
export function stackHeads(x: Value, Hkv: Dim): Value {
  const [B = 0, Hq = 0, S = 0, D = 0] = x.shape;
  return m.reshape(x, [B, Hkv, dimMul(Number(Hq) / Number(Hkv), S), D]);
}

/** softmax(scale · q·kᵀ + mask), [B, Hkv, group · S, T]. */
export function attentionWeights([query, key, , mask]: readonly Value[], { scale, causal }: ProductAttributes["Attention"]): Value {
  const [q, k] = [operand("Attention", query), operand("Attention", key)];
  const [B = 0, Hq = 0, S = 0] = q.shape;
  const [, Hkv = 0, T = 0] = k.shape;
  const stacked = stackHeads(q, Hkv);
  let scores = matmul(stacked, k, { transB: true, alpha: scale });
  if (causal || mask !== undefined) {
    let full = m.reshape(scores, [B, Hq, S, T]);
    if (mask !== undefined) full = e.add(full, mask);
    if (causal) full = e.add(full, causalMask(S, T, q.dtype));
    // ONNX Runtime's exponential of what underflows is slow (13.0 instead of 3.2 ms for [64, 6, 100, 100]). e⁻⁵⁰ beside 1 is
    // nothing in float32, and what the gradient multiplies it with does not underflow either.
    full = e.maximum(full, e.sub(reduceMax(full, { axes: [-1], keepDims: true }), 50));
    scores = m.reshape(full, [B, Hkv, stacked.shape[2] ?? 0, T]);
  }
  return softmax(scores, -1);
}

/** ONNX Runtime's operator looks cos and sin up by position: row b·S + s of the tables laid end to end. Three times as fast. */
function rotaryByTable(
  emitter: Emitter,
  [x = ""]: readonly string[],
  { inputs: [input, cosines, sines] }: TypedNode<None>,
): readonly string[] {
  const [B = 0, , S = 0] = operand("RotaryEmbedding", input).shape;
  const [rows = 0, , half = 0] = operand("RotaryEmbedding", cosines).shape;
  const [flatCos, flatSin] = [cosines, sines].map((table) =>
    emitter.lower(m.reshape(operand("RotaryEmbedding", table), [dimMul(rows, S), half])),
  );
  const places = m.expand(m.reshape(i.range(dimMul(rows, S)), [rows, S]), [B, S]);
  return emitter.node("RotaryEmbedding", [x, emitter.lower(places), flatCos ?? "", flatSin ?? ""], {}, { domain: "com.microsoft" });
}

/** [S, T]: 0 where column t may be seen from row s (t ≤ s + T - S), the lowest float32 elsewhere. */
function causalMask(S: Dim, T: Dim, dtype: DataType): Value {
  const rows = e.add(m.unsqueeze(i.range(S), 1), i.sizeScalar(dimSub(T, S)));
  return e.where(e.lessOrEqual(m.unsqueeze(i.range(T), 0), rows), constant(0, { dtype }), constant(LOWEST, { dtype }));
}

/** torch.finfo(float32).min: what transformers adds where attention is forbidden. */
export const LOWEST = -3.4028234663852886e38;

/** `alpha · a · b` over the last two axes, the axes in front broadcast; `transA`, `transB` swap an operand's last two axes. */
export function matmul(
  a: Value,
  b: Value,
  { transA = false, transB = false, alpha = 1 }: Partial<ProductAttributes["MatMul"]> = {},
): Value {
  return apply(productRules, "MatMul", [a, b], { transA, transB, alpha });
}

/** x·weightᵀ + bias: x [..., in], weight [out, in] as PyTorch stores it, bias [out]. */
export function linear(x: Value, weight: Value, bias: Value | null = null): Value {
  return apply(productRules, "Linear", bias === null ? [x, weight] : [x, weight, bias], {});
}

/**
 * Half-rotation rotary embedding: x [B, H, S, D]; cos and sin [B, S, D/2], or [B, S, D] with both halves alike as
 * transformers lays them out. B may be 1 in the tables.
 */
export function rotaryEmbedding(x: Value, cos: Value, sin: Value): Value {
  const width = x.shape.at(-1);
  const halved = (table: Value): Value =>
    typeof width === "number" && table.shape.at(-1) === width ? i.slice(table, { axis: -1, end: width / 2 }) : table;
  return apply(productRules, "RotaryEmbedding", [x, halved(cos), halved(sin)], {});
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
  return apply(productRules, "Attention", mask === null ? [q, k, v] : [q, k, v, mask], { scale, causal });
}
