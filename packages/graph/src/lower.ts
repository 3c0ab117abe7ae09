/** From symbolic values to a list of ONNX nodes. */
import { formatShape } from "./dim.ts";
import { Emitter, type OnnxNode, type Target } from "./emitter.ts";
import { GraphError } from "./shape-error.ts";
import type { ConstantValue, TensorType, Value, Weight } from "./value.ts";

export interface GraphDefinition {
  readonly name?: string;
  readonly inputs: Readonly<Record<string, Value>>;
  readonly outputs: Readonly<Record<string, Value>>;
}

export interface NamedType extends TensorType {
  readonly name: string;
}

export interface LoweredGraph {
  readonly name: string;
  readonly target: Target;
  readonly inputs: readonly NamedType[];
  readonly outputs: readonly NamedType[];
  readonly nodes: readonly OnnxNode[];
  readonly constants: readonly { readonly name: string; readonly value: ConstantValue }[];
  /** In order of first use. */
  readonly weights: readonly { readonly name: string; readonly weight: Weight }[];
}

/**
 * Lowers a graph for ONNX Runtime (fused operators allowed) or for any ONNX tool (standard operators only). Equal
 * nodes are written once, unused ones not at all. The same graph always gives the same nodes and names.
 */
export function lower(graph: GraphDefinition, target: Target): LoweredGraph {
  const inputs = Object.entries(graph.inputs).map(([name, value]) => ({ name, value }));
  const outputs = Object.entries(graph.outputs);
  if (outputs.length === 0) throw new GraphError("lower: the graph has no outputs.");
  const both = outputs.find(([name]) => name in graph.inputs);
  if (both !== undefined) throw new GraphError(`lower: "${both[0]}" names an input and an output; give them different names.`);
  for (const { name, value } of inputs) {
    if (value.node !== null)
      throw new GraphError(
        `lower: input "${name}" ${formatShape(value.shape)} is computed by ${value.node.op}; inputs are made with input().`,
      );
  }
  const emitter = new Emitter(
    target,
    inputs,
    outputs.map(([name]) => name),
  );
  const wanted = outputs.map(([name, value]) => ({ name, value, inner: emitter.lower(value) }));
  const nodes = nameOutputs(reachable(emitter.nodes, wanted), wanted);
  const used = new Set(nodes.flatMap((node) => node.inputs));
  return {
    name: graph.name ?? "graph",
    target,
    inputs: inputs.map(({ name, value }) => ({ name, dtype: value.dtype, shape: value.shape })),
    outputs: wanted.map(({ name, value }) => ({ name, dtype: value.dtype, shape: value.shape })),
    nodes,
    constants: [...emitter.constants].filter(([name]) => used.has(name)).map(([name, value]) => ({ name, value })),
    weights: [...emitter.weights].filter(([name]) => used.has(name)).map(([name, weight]) => ({ name, weight })),
  };
}

/** Their results but the first are for gradients, and optional. */
const onlyWhatIsRead: ReadonlySet<string> = new Set(["LayerNormalization", "SimplifiedLayerNormalization", "MaxPool"]);

/** Fusing and folding leave nodes behind that nobody reads. */
function reachable(nodes: readonly OnnxNode[], wanted: readonly { readonly inner: string }[]): readonly OnnxNode[] {
  const needed = new Set(wanted.map(({ inner }) => inner));
  const kept = [...nodes].reverse().filter((node) => {
    const read = node.outputs.some((output) => needed.has(output));
    if (read) for (const input of node.inputs) needed.add(input);
    return read;
  });
  return kept.reverse().map((node) => {
    const read = node.outputs.findLastIndex((output) => needed.has(output));
    return onlyWhatIsRead.has(node.op) ? { ...node, outputs: node.outputs.slice(0, read + 1) } : node;
  });
}

/** Gives results their public names: a node's result is renamed, anything else goes through an Identity. */
function nameOutputs(
  nodes: readonly OnnxNode[],
  wanted: readonly { readonly name: string; readonly inner: string }[],
): readonly OnnxNode[] {
  const made = new Set(nodes.flatMap((node) => node.outputs));
  const renamed = new Map<string, string>();
  const copies: OnnxNode[] = [];
  for (const { name, inner } of wanted) {
    if (made.has(inner) && !renamed.has(inner)) renamed.set(inner, name);
    else copies.push({ op: "Identity", domain: "", inputs: [renamed.get(inner) ?? inner], outputs: [name], attributes: {} });
  }
  const called = (name: string): string => renamed.get(name) ?? name;
  return [...nodes.map((node) => ({ ...node, inputs: node.inputs.map(called), outputs: node.outputs.map(called) })), ...copies];
}
