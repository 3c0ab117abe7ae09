/** From lowered nodes to the bytes of an ONNX ModelProto. */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "../proto/onnx_pb.js";
import { type DataType, dataTypes } from "./data-type.ts";
import type { OnnxNode } from "./emitter.ts";
import type { LoweredGraph, NamedType } from "./lower.ts";
import { int, type OnnxAttribute } from "./onnx-attributes.ts";
import { GraphError } from "./shape-error.ts";
import type { Weight } from "./value.ts";

/** ai.onnx 20 is the first with GridSample's present names; IR 9 belongs to it. */
export const OPSET = 20;
const IR_VERSION = 9n;

/** Bytes in a file beside the model. `dtype` says in which type they are stored, when that is not the weight's own. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly byteLength: number;
  readonly dtype?: DataType;
}

export type Place = (weight: Weight, name: string) => ExternalData | Uint8Array;

/** Bytes of the model. `place` says for each weight where its bytes lie, or gives them (little-endian) to put inside. */
export function serialize(graph: LoweredGraph, place: Place): Uint8Array<ArrayBuffer> {
  let nodes = graph.nodes;
  const initializer: TensorProto[] = graph.constants.map(({ name, value }) =>
    tensor(name, value.dtype, value.shape, new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength)),
  );
  for (const { name, weight } of graph.weights) {
    const data = place(weight, name);
    const stored = data instanceof Uint8Array ? weight.dtype : (data.dtype ?? weight.dtype);
    initializer.push(tensor(stored === weight.dtype ? name : `${name}.stored`, stored, weight.shape, data));
    if (stored !== weight.dtype) nodes = castStored(nodes, name, weight.dtype);
  }
  const model = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: "waggle",
    opsetImport: [
      { domain: "", version: BigInt(OPSET) },
      ...[...new Set(nodes.map((node) => node.domain))].filter((domain) => domain !== "").map((domain) => ({ domain, version: 1n })),
    ],
    graph: {
      name: graph.name,
      node: nodes.map(nodeProto),
      initializer,
      input: graph.inputs.map(valueInfo),
      output: graph.outputs.map(valueInfo),
    },
  });
  return toBinary(ModelProtoSchema, model);
}

/** Weights stored in another type are cast; where only rows are gathered, the rows are cast instead of the table. */
function castStored(nodes: readonly OnnxNode[], name: string, to: DataType): readonly OnnxNode[] {
  const cast = (from: string, result: string): OnnxNode => ({
    op: "Cast",
    domain: "",
    inputs: [from],
    outputs: [result],
    attributes: { to: int(dataTypes[to].onnx) },
  });
  const users = nodes.filter((node) => node.inputs.includes(name));
  if (!users.every((node) => node.op === "Gather" && node.inputs[0] === name && node.inputs[1] !== name))
    return [cast(`${name}.stored`, name), ...nodes];
  return nodes.flatMap((node) => {
    if (!users.includes(node)) return [node];
    const [rows = ""] = node.outputs;
    return [{ ...node, inputs: [`${name}.stored`, ...node.inputs.slice(1)], outputs: [`${rows}.stored`] }, cast(`${rows}.stored`, rows)];
  });
}

function tensor(name: string, dtype: DataType, shape: readonly number[], data: ExternalData | Uint8Array): TensorProto {
  const expected = shape.reduce((product, dim) => product * dim, 1) * dataTypes[dtype].byteLength;
  if (data.byteLength !== expected) {
    throw new GraphError(`serialize: weight "${name}" ${dtype} [${shape.join(", ")}] needs ${expected} bytes, got ${data.byteLength}.`);
  }
  const head = { name, dataType: dataTypes[dtype].onnx, dims: shape.map(BigInt) };
  if (data instanceof Uint8Array) return create(TensorProtoSchema, { ...head, rawData: data as Uint8Array<ArrayBuffer> });
  const entries = { location: data.location, offset: `${data.offset}`, length: `${data.byteLength}` };
  const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
  return create(TensorProtoSchema, { ...head, dataLocation: TensorProto_DataLocation.EXTERNAL, externalData });
}

function nodeProto(node: OnnxNode): NodeProto {
  return create(NodeProtoSchema, {
    name: `${node.outputs[0]}`,
    opType: node.op,
    domain: node.domain,
    input: [...node.inputs],
    output: [...node.outputs],
    attribute: Object.entries(node.attributes).map(([name, attribute]) => attributeProto(name, attribute)),
  });
}

function attributeProto(name: string, attribute: OnnxAttribute): AttributeProto {
  if ("int" in attribute) return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INT, i: BigInt(attribute.int) });
  if ("float" in attribute) return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.FLOAT, f: attribute.float });
  if ("ints" in attribute)
    return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INTS, ints: attribute.ints.map(BigInt) });
  return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.STRING, s: new TextEncoder().encode(attribute.string) });
}

function valueInfo({ name, dtype, shape }: NamedType): ValueInfoProto {
  const dim = shape.map((size) => ({
    value:
      typeof size === "number" ? { case: "dimValue" as const, value: BigInt(size) } : { case: "dimParam" as const, value: size.toString() },
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: "tensorType", value: { elemType: dataTypes[dtype].onnx, shape: { dim } } } },
  });
}
