/** Blocks whose inner values are not kept for the gradient, and the order that this needs. */
import { apply, applyAll, operand, type Rules } from "../op-rule.ts";
import { type Node, Value } from "../value.ts";
import { cast } from "./elementwise.ts";
import { slice } from "./indexing.ts";
import { concat, reshape } from "./movement.ts";

export interface RecomputeAttributes {
  Recompute: {
    /** The inputs as the block sees them: what depends on these is inside. */
    readonly inside: readonly Value[];
    readonly results: readonly Value[];
  };
  After: Readonly<Record<never, never>>;
}

export const recomputeRules: Rules<RecomputeAttributes> = {
  Recompute: {
    shape: (_, { results }) => results.map(({ dtype, shape }) => ({ dtype, shape })),
    lower: { portable: (_, { results }) => results },
  },
  // Behind x an empty piece of every earlier value: a copy that neither our folding nor ONNX Runtime's sees through.
  // (Of a reshape by a list with empty pieces in it, which copies nothing, ONNX Runtime 1.30 drops the list.)
  After: {
    shape: ([x]) => [operand("After", x)],
    lower: {
      portable: ([value, ...earlier]) => {
        const x = operand("After", value);
        if (earlier.length === 0) return x;
        const rows = x.shape.length === 0 ? reshape(x, [1]) : x;
        const nothing = earlier.map((before) => cast(slice(reshape(before, [-1]), { axis: 0, end: 0 }), x.dtype));
        return reshape(concat([rows, reshape(concat(nothing, 0), [0, ...rows.shape.slice(1)])], 0), x.shape);
      },
    },
  },
};

/**
 * `block(...inputs)`, whose inner values are forgotten: for the gradient they are computed a second time, once the
 * gradient of the block's results is there. That costs one more forward pass through the block, and saves the memory of
 * what is inside. Gradients flow to the inputs and to everything else that the block reads (weights, values from
 * outside); a value inside it cannot be asked for in `grad`.
 */
export function recompute<T extends Value | readonly Value[]>(inputs: readonly Value[], block: (...inputs: Value[]) => T): T {
  const inside = inputs.map((x) => after(x, []));
  const made = block(...inside);
  const results: readonly Value[] = made instanceof Value ? [made] : made;
  const outputs = applyAll(recomputeRules, "Recompute", inputs, { inside, results });
  return (made instanceof Value ? outputs[0] : outputs) as T;
}

/** x itself, but only once the earlier values are there. */
export function after(x: Value, earlier: readonly Value[]): Value {
  return apply(recomputeRules, "After", [x, ...earlier], {});
}

/** The values again with others in the place of some: all in between is written a second time, all else is shared. */
export function rewrite(values: readonly Value[], replaced: ReadonlyMap<Value, Value>): readonly Value[] {
  const again = new Map(replaced);
  const rewritten = (value: Value): Value => again.get(value) ?? value;
  const pending = [...values];
  for (let value = pending.at(-1); value !== undefined; value = pending.at(-1)) {
    const below = again.has(value) || value.node === null ? [] : [...value.node.inputs, ...hidden(value.node)];
    const missing = below.filter((source) => !again.has(source));
    if (missing.length > 0) {
      pending.push(...missing);
      continue;
    }
    pending.pop();
    if (again.has(value)) continue;
    const same = value.node === null || below.every((source) => again.get(source) === source);
    const copies = value.node === null || same ? [] : copyNode(value.node, rewritten);
    for (const [i, output] of (value.node?.outputs ?? [value]).entries()) again.set(output, copies[i] ?? output);
  }
  return values.map(rewritten);
}

/** What a node computes from besides its inputs: a block's results, for there may be blocks in blocks. */
function hidden({ op, attributes }: Node): readonly Value[] {
  return op === "Recompute" ? (attributes as RecomputeAttributes["Recompute"]).results : [];
}

function copyNode(node: Node, rewritten: (value: Value) => Value): readonly Value[] {
  const outputs: Value[] = [];
  const { inside, results } = node.attributes as Partial<RecomputeAttributes["Recompute"]>;
  const attributes = node.op === "Recompute" ? { inside: inside?.map(rewritten), results: results?.map(rewritten) } : node.attributes;
  const copy: Node = { ...node, inputs: node.inputs.map(rewritten), attributes, outputs };
  for (const type of node.outputs) outputs.push(new Value(type, copy));
  return outputs;
}
