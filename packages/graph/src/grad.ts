/** Reverse-mode gradients: written with the same operators, so a gradient is again a graph. */
import { isFloat } from "./data-type.ts";
import { formatShape } from "./dim.ts";
import type { Gradient } from "./gradient-rule.ts";
import { sum, zeros } from "./gradient-rule.ts";
import { gradients } from "./gradients.ts";
import type { TypedNode } from "./op-rule.ts";
import { ShapeError } from "./shape-error.ts";
import { constant, type Node, Value } from "./value.ts";

const rules: Readonly<Record<string, Gradient<never>>> = gradients as unknown as Readonly<Record<string, Gradient<never>>>;

/**
 * d loss / d x for each x of `wrt`: zeros where the loss does not depend on it. The loss is a single float number.
 */
export function grad(loss: Value, wrt: readonly Value[]): readonly Value[] {
  if (loss.shape.length !== 0 || !isFloat(loss.dtype)) {
    throw new ShapeError(
      `grad: expected a loss that is one float number, got ${loss.dtype} ${formatShape(loss.shape)}. Use ops.reduceSum or reduceMean.`,
    );
  }
  const definitions = new Map<Node, readonly Value[]>();
  const order = dependents(loss, new Set(wrt), definitions);
  const collected = new Map<Value, Value[]>([[loss, [constant(1, { dtype: loss.dtype })]]]);
  const total = (value: Value): Value | null => sum(collected.get(value) ?? []);
  // A node stands where its first result does: whoever uses any of its results comes later.
  const nodes = new Set([...order].flatMap(({ node }) => (node === null ? [] : [node])));
  for (const node of [...nodes].reverse()) {
    const received = node.outputs.map(total);
    const definition = definitions.get(node);
    const sources = definition ?? node.inputs;
    if (received.every((gradient) => gradient === null) || !sources.some((source) => order.has(source))) continue;
    const sent = definition === undefined ? operandGradients(node, received) : received;
    for (const [i, source] of sources.entries()) {
      const gradient = sent[i] ?? null;
      if (gradient !== null && order.has(source)) collected.set(source, [...(collected.get(source) ?? []), gradient]);
    }
  }
  return wrt.map((value) => total(value) ?? zeros(value));
}

function operandGradients(node: Node, received: readonly (Value | null)[]): readonly (Value | null)[] {
  const rule = rules[node.op];
  return typeof rule === "function" ? rule(received, node as TypedNode<never>) : [];
}

/** The values between `wrt` and the loss, operands before results. Composites without a rule of their own are opened. */
function dependents(loss: Value, wrt: ReadonlySet<Value>, definitions: Map<Node, readonly Value[]>): ReadonlySet<Value> {
  const depends = new Map<Value, boolean>();
  const order = new Set<Value>();
  const sources = (node: Node): readonly Value[] => {
    if (rules[node.op] !== "definition" || !("portable" in node.rule.lower)) return node.inputs;
    const known = definitions.get(node);
    if (known !== undefined) return known;
    const opened = node.rule.lower.portable(node.inputs, node.attributes as never);
    const results = opened instanceof Value ? [opened] : opened;
    definitions.set(node, results);
    return results;
  };
  const pending = [loss];
  for (let value = pending.at(-1); value !== undefined; value = pending.at(-1)) {
    const from = value.node === null ? [] : sources(value.node);
    const missing = from.filter((source) => !depends.has(source));
    if (missing.length > 0) {
      pending.push(...missing);
      continue;
    }
    pending.pop();
    const open = wrt.has(value) || from.some((source) => depends.get(source));
    depends.set(value, open);
    if (open) order.add(value);
  }
  return order;
}
