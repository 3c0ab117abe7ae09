/**
 * Writes symbolic values as ONNX nodes: each value once (equal nodes are shared), composites fused or expanded,
 * open dimensions computed from the shapes of the graph's inputs.
 */
import { createHash } from "node:crypto";
import type { DataType } from "./data-type.ts";
import { type Dim, dimEquals, formatShape, namesOf, type Shape, SymbolicDim, shapeEquals } from "./dim.ts";
import { foldConstants } from "./fold.ts";
import { int, ints, type OnnxAttributes } from "./onnx-attributes.ts";
import type { TypedNode } from "./op-rule.ts";
import { GraphError } from "./shape-error.ts";
import { ConstantValue, constant, InputValue, type Node, Value, Weight } from "./value.ts";

/** "onnxruntime": fused contributed operators allowed. "portable": standard ai.onnx operators only. */
export type Target = "onnxruntime" | "portable";

export interface OnnxNode {
  readonly op: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: OnnxAttributes;
}

export class Emitter {
  readonly target: Target;
  readonly nodes: OnnxNode[] = [];
  readonly constants: Map<string, ConstantValue> = new Map();
  readonly weights: Map<string, Weight> = new Map();
  readonly #names = new Map<Value, string>();
  readonly #shared = new Map<string, readonly string[]>();
  readonly #folded = new Map<Value, ConstantValue>();
  /** What a reshaped or transposed result was made from, so that a second one starts there. */
  readonly #reshaped = new Map<string, { readonly x: string; readonly shape: Shape }>();
  readonly #transposed = new Map<string, { readonly x: string; readonly perm: readonly number[] }>();
  readonly #taken: Set<string>;
  readonly #counters = new Map<string, number>();
  readonly #symbols = new Map<string, { readonly input: string; readonly axis: number }>();

  constructor(target: Target, inputs: readonly { readonly name: string; readonly value: Value }[], reserved: readonly string[]) {
    this.target = target;
    this.#taken = new Set(reserved);
    for (const { name, value } of inputs) {
      this.#taken.add(name);
      this.#names.set(value, name);
      value.shape.forEach((dim, axis) => {
        if (dim instanceof SymbolicDim && dim.terms.size === 1 && dimEquals(dim, symbolNamed(dim)) && !this.#symbols.has(dim.toString())) {
          this.#symbols.set(dim.toString(), { input: name, axis });
        }
      });
    }
  }

  /** The name of a value in the written graph; writes whatever it needs first. */
  lower(value: Value): string {
    const pending: Value[] = [value];
    for (let top = pending.at(-1); top !== undefined; top = pending.at(-1)) {
      const missing = this.#names.has(top) ? [] : (top.node?.inputs.filter((input) => !this.#names.has(input)) ?? []);
      if (missing.length > 0) {
        pending.push(...missing.reverse()); // the first operand is written first
        continue;
      }
      pending.pop();
      if (!this.#names.has(top)) this.#write(top);
    }
    const name = this.#names.get(value);
    if (name === undefined) throw new GraphError(`lower: ${value.node?.op ?? "a leaf"} left no result.`);
    return name;
  }

  #write(value: Value): void {
    if (value.node !== null) this.#bind(value.node, this.#results(value.node));
    else if (value instanceof ConstantValue) this.#names.set(value, this.constant(value));
    else if (value instanceof Weight) this.#names.set(value, this.#weight(value));
    else {
      const what = value instanceof InputValue ? `input "${value.name}" ${formatShape(value.shape)}` : "a value without a node";
      throw new GraphError(`lower: ${what} is used but is not among the graph's inputs. Add it to \`inputs\`.`);
    }
  }

  #results(node: Node): readonly string[] {
    const [output] = node.outputs;
    const folded = foldConstants(
      node,
      node.inputs.map((input) => this.#folded.get(input) ?? input),
    );
    if (folded !== null && output !== undefined) {
      this.#folded.set(output, folded);
      return [this.constant(folded)];
    }
    const rule = node.rule.lower;
    const typed = node as TypedNode<never>;
    const inputs = node.inputs.map((input) => this.lower(input));
    if ("onnx" in rule)
      return this.node(rule.onnx, inputs, rule.attributes?.(typed.attributes, typed) ?? {}, { outputs: node.outputs.length });
    if ("emit" in rule) return rule.emit(this, inputs, typed);
    // ONNX Runtime's fused operators exist in float32; other types take the definition.
    const fused = this.target === "onnxruntime" && node.inputs[0]?.dtype === "float32" ? (rule.fused?.(this, inputs, typed) ?? null) : null;
    if (fused !== null) return fused;
    const expanded = rule.portable(node.inputs, typed.attributes);
    return (expanded instanceof Value ? [expanded] : expanded).map((result) => this.lower(result));
  }

  #bind(node: Node, names: readonly string[]): void {
    node.outputs.forEach((output, i) => {
      const name = names[i];
      if (name === undefined)
        throw new GraphError(`${node.op}: its lowering wrote ${names.length} results, its shape rule has ${node.outputs.length}.`);
      this.#names.set(output, name);
    });
  }

  #weight(weight: Weight): string {
    const name = this.#fresh(weight.label ?? "weight", weight.label === null);
    this.weights.set(name, weight);
    return name;
  }

  /** A name that nothing else in the graph has. */
  #fresh(stem: string, numbered = true): string {
    for (let name = numbered ? this.#count(stem) : stem; ; name = this.#count(stem)) {
      if (this.#taken.has(name)) continue;
      this.#taken.add(name);
      return name;
    }
  }

  #count(stem: string): string {
    const next = (this.#counters.get(stem) ?? 0) + 1;
    this.#counters.set(stem, next);
    return `${stem}_${next}`;
  }

  /** Writes a node, or returns the results of an equal one that is there already. */
  node(
    op: string,
    inputs: readonly string[],
    attributes: OnnxAttributes = {},
    { domain = "", outputs = 1 }: { readonly domain?: string; readonly outputs?: number } = {},
  ): readonly string[] {
    const key = JSON.stringify([domain, op, inputs, attributes, outputs]);
    const shared = this.#shared.get(key);
    if (shared !== undefined) return shared;
    const names = Array.from({ length: outputs }, () => this.#fresh(op));
    this.nodes.push({ op, domain, inputs, outputs: names, attributes });
    this.#shared.set(key, names);
    return names;
  }

  #one(op: string, inputs: readonly string[], attributes: OnnxAttributes = {}): string {
    return this.node(op, inputs, attributes)[0] ?? "";
  }

  constant(value: ConstantValue): string {
    const bytes = Buffer.from(value.data.buffer, value.data.byteOffset, value.data.byteLength);
    const key = `constant:${value.dtype}:${value.shape.join(",")}:${createHash("sha256").update(bytes).digest("hex")}`;
    const shared = this.#shared.get(key);
    if (shared?.[0] !== undefined) return shared[0];
    const name = this.#fresh("constant");
    this.constants.set(name, value);
    this.#shared.set(key, [name]);
    return name;
  }

  int64(values: readonly number[]): string {
    return this.constant(constant(values.map(BigInt), { dtype: "int64" }));
  }

  scalar(value: number, dtype: DataType): string {
    return this.constant(constant(value, { dtype }));
  }

  /** An int64 vector with the sizes, open ones computed when the graph runs. */
  shape(dims: Shape): string {
    if (dims.every((dim) => typeof dim === "number")) return this.int64(dims);
    const pieces: string[] = [];
    let known: number[] = [];
    for (const dim of dims) {
      if (typeof dim === "number") known.push(dim);
      else {
        if (known.length > 0) pieces.push(this.int64(known));
        known = [];
        pieces.push(this.#sizeVector(dim));
      }
    }
    if (known.length > 0) pieces.push(this.int64(known));
    return pieces.length === 1 ? (pieces[0] ?? "") : this.#one("Concat", pieces, { axis: int(0) });
  }

  /** A size as an int64 scalar. */
  scalarDim(dim: Dim): string {
    return typeof dim === "number" ? this.scalar(dim, "int64") : this.#one("Squeeze", [this.#sizeVector(dim), this.int64([0])]);
  }

  /** Reshape: an open axis is copied or inferred where ONNX can say so; only otherwise is its size computed. */
  reshape(name: string, shape: Shape, to: Shape): readonly string[] {
    const { x, shape: from } = this.#reshaped.get(name) ?? { x: name, shape };
    const result = shapeEquals(from, to) ? [x] : (this.#insertOrDropOnes(x, from, to) ?? this.#reshape(x, from, to));
    if (result[0] !== undefined && result[0] !== x) this.#reshaped.set(result[0], { x, shape: from });
    return result;
  }

  #reshape(x: string, from: Shape, to: Shape): readonly string[] {
    const sizes = to.map((dim, axis) => (typeof dim === "number" ? dim : dimEquals(dim, from[axis] ?? -1) ? 0 : -1));
    // An inferred axis beside one of size 0 is ambiguous, and an open size may be 0 when the graph runs (an empty past).
    const inferred = sizes.filter((size) => size === -1).length;
    const plain = !to.includes(0) && (inferred === 0 || (inferred === 1 && !sizes.includes(0)));
    return plain ? this.node("Reshape", [x, this.int64(sizes)]) : this.node("Reshape", [x, this.shape(to)], { allowzero: int(1) });
  }

  /** A reshape that only adds or only drops axes of size 1 needs no sizes at all. */
  #insertOrDropOnes(x: string, from: Shape, to: Shape): readonly string[] | null {
    const [op, long, short] = to.length > from.length ? ["Unsqueeze", to, from] : ["Squeeze", from, to];
    const axes: number[] = [];
    for (const [axis, dim] of long.entries()) {
      const next = short[axis - axes.length];
      if (next !== undefined && dimEquals(dim, next)) continue;
      if (dim !== 1) return null;
      axes.push(axis);
    }
    return long.length - axes.length === short.length ? this.node(op, [x, this.int64(axes)]) : null;
  }

  /** Transpose; two in a row become one, or none. */
  transpose(name: string, order: readonly number[]): readonly string[] {
    const earlier = this.#transposed.get(name);
    const x = earlier?.x ?? name;
    const perm = order.map((axis) => earlier?.perm[axis] ?? axis);
    if (perm.every((axis, i) => axis === i)) return [x];
    const result = this.node("Transpose", [x], { perm: ints(perm) });
    if (result[0] !== undefined) this.#transposed.set(result[0], { x, perm });
    return result;
  }

  #sizeVector(dim: SymbolicDim): string {
    const terms = [...dim.terms].map(([names, factor]) => {
      const parts = names
        .split("*")
        .filter((name) => name !== "")
        .map((name) => this.#symbol(name));
      if (factor !== 1 || parts.length === 0) parts.push(this.int64([factor]));
      return parts.reduce((a, b) => this.#one("Mul", [a, b]));
    });
    return terms.reduce((a, b) => this.#one("Add", [a, b]));
  }

  #symbol(name: string): string {
    const source = this.#symbols.get(name);
    if (source === undefined) {
      throw new GraphError(
        `lower: no input of the graph has the open dimension ${name} as an axis of its own; known are ${[...this.#symbols.keys()].join(", ") || "none"}.`,
      );
    }
    return this.#one("Shape", [source.input], { start: int(source.axis), end: int(source.axis + 1) });
  }
}

function symbolNamed(dim: SymbolicDim): SymbolicDim {
  const [name = ""] = namesOf(dim);
  return new SymbolicDim(new Map([[name, 1]]));
}
