/** Reverse-mode gradients: written with the same operators, so a gradient is again a graph. */
import { isFloat } from "./data-type.ts";
import { formatShape } from "./dim.ts";
import type { Gradient } from "./gradient-rule.ts";
import { sum, zeros } from "./gradient-rule.ts";
import { gradients } from "./gradients.ts";
import { operand, type TypedNode } from "./op-rule.ts";
import { after, type RecomputeAttributes, rewrite } from "./ops/recompute.ts";
import { ShapeError } from "./shape-error.ts";
import { constant, type Node, Value } from "./value.ts";

const rules: Readonly<Record<string, Gradient<never>>> = gradients as unknown as Readonly<Record<string, Gradient<never>>>;

/**
 * d loss / d x for each x of `wrt`: zeros where the loss does not depend on it. The loss is a single float number.
 * @throws ShapeError when it is not.
 */
export function grad(loss: Value, wrt: readonly Value[]): readonly Value[] {
  if (loss.shape.length !== 0 || !isFloat(loss.dtype)) {
    throw new ShapeError(
      `grad: expected a loss that is one float number, got ${loss.dtype} ${formatShape(loss.shape)}. Use ops.reduceSum or reduceMean.`,
    );
  }
  const found = reverse([[loss, constant(1, { dtype: loss.dtype })]], new Set(wrt), new Set());
  return wrt.map((value) => found.get(value) ?? zeros(value));
}

type Sent = readonly [Value, Value | null];

/**
 * From the gradients of `results` to those of all values between them and `wrt`. Nothing flows through a value of
 * `border`: what lies below it is somebody else's.
 */
function reverse(results: readonly Sent[], wrt: ReadonlySet<Value>, border: ReadonlySet<Value>): ReadonlyMap<Value, Value> {
  const definitions = new Map<Node, readonly Value[]>();
  const order = dependents(
    results.map(([value]) => value),
    wrt,
    border,
    definitions,
  );
  const collected = new Map<Value, Value[]>();
  const total = (value: Value): Value | null => sum(collected.get(value) ?? []);
  const send = ([value, gradient]: Sent): void => {
    if (gradient !== null && order.has(value)) collected.set(value, [...(collected.get(value) ?? []), gradient]);
  };
  results.forEach(send);
  // A node stands where its first result does: whoever uses any of its results comes later.
  const nodes = new Set([...order].flatMap((value) => (value.node === null || border.has(value) ? [] : [value.node])));
  for (const node of [...nodes].reverse()) {
    const received = node.outputs.map(total);
    if (received.every((gradient) => gradient === null)) continue;
    if (rules[node.op] === "recompute") {
      throughSecondWriting(node as TypedNode<RecomputeAttributes["Recompute"]>, received, order).forEach(send);
      continue;
    }
    const definition = definitions.get(node);
    const sources = definition ?? node.inputs;
    if (!sources.some((source) => order.has(source))) continue;
    const sent = definition === undefined ? operandGradients(node, received) : received;
    for (const [i, source] of sources.entries()) send([source, sent[i] ?? null]);
  }
  return new Map(
    [...order].flatMap((value): readonly (readonly [Value, Value])[] => {
      const gradient = total(value);
      return gradient === null ? [] : [[value, gradient]];
    }),
  );
}

function operandGradients(node: Node, received: readonly (Value | null)[]): readonly (Value | null)[] {
  const rule = rules[node.op];
  return typeof rule === "function" ? rule(received, node as TypedNode<never>) : [];
}

/**
 * The block again, on inputs that are there only once the gradients of its results are, so that its inner values live
 * only now; and the gradients of its inputs only once those of its weights are, so that no inner value waits for those.
 */
function throughSecondWriting(
  { inputs, attributes: { inside, results } }: TypedNode<RecomputeAttributes["Recompute"]>,
  received: readonly (Value | null)[],
  outside: ReadonlySet<Value>,
): readonly Sent[] {
  const arrived = received.filter((gradient) => gradient !== null);
  const copies = inputs.map((x) => after(x, arrived));
  const again = rewrite(results, new Map(inside.map((x, i) => [x, operand("Recompute", copies[i])])));
  const border = new Set([...outside, ...copies]);
  const found = reverse(
    again.map((result, i) => [result, received[i] ?? null]),
    border,
    border,
  );
  const captured = [...outside].map((value) => [value, found.get(value) ?? null] as const);
  const done = captured.flatMap(([, gradient]) => gradient ?? []);
  const own = copies.map((copy, i) => {
    const gradient = found.get(copy);
    return [operand("Recompute", inputs[i]), gradient === undefined ? null : after(gradient, done)] as const;
  });
  return [...own, ...captured];
}

/** The values between `wrt` and the results, operands before results. Composites without a rule of their own are opened. */
function dependents(
  results: readonly Value[],
  wrt: ReadonlySet<Value>,
  border: ReadonlySet<Value>,
  definitions: Map<Node, readonly Value[]>,
): ReadonlySet<Value> {
  const depends = new Map<Value, boolean>();
  const order = new Set<Value>();
  const sources = (node: Node): readonly Value[] => {
    const rule = rules[node.op];
    if ((rule !== "definition" && rule !== "recompute") || !("portable" in node.rule.lower)) return node.inputs;
    const known = definitions.get(node);
    if (known !== undefined) return known;
    const opened = node.rule.lower.portable(node.inputs, node.attributes as never);
    const made = opened instanceof Value ? [opened] : opened;
    definitions.set(node, made);
    return made;
  };
  const pending = [...results];
  for (let value = pending.at(-1); value !== undefined; value = pending.at(-1)) {
    const from = value.node === null || border.has(value) ? [] : sources(value.node);
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
