/** The operators that authors of modules use, as one namespace: `ops.matmul(x, w)`. */
import * as elementwise from "./ops/elementwise.ts";
import * as indexing from "./ops/indexing.ts";
import * as movement from "./ops/movement.ts";
import * as neural from "./ops/neural.ts";
import * as pictures from "./ops/pictures.ts";
import * as products from "./ops/products.ts";
import * as reductions from "./ops/reductions.ts";

type Internal = "isNan" | "broadcast" | "operands" | "sizeScalar" | "LOWEST" | "attentionWeights" | "stackHeads" | `${string}Rules`;
type Public<Module> = Omit<Module, Internal>;
type Ops = Public<typeof elementwise> & { readonly isNaN: typeof elementwise.isNan } & Public<typeof movement> &
  Public<typeof indexing> &
  Public<typeof reductions> &
  Public<typeof products> &
  Public<typeof neural> &
  Public<typeof pictures>;

const {
  abs,
  add,
  and,
  cast,
  ceil,
  clip,
  cos,
  div,
  equal,
  erf,
  exp,
  floor,
  greater,
  greaterOrEqual,
  isNan,
  less,
  lessOrEqual,
  log,
  maximum,
  minimum,
  mul,
  neg,
  not,
  or,
  pow,
  reciprocal,
  relu,
  round,
  sigmoid,
  sign,
  sin,
  sqrt,
  sub,
  tanh,
  where,
} = elementwise;
const { concat, expand, reshape, split, squeeze, transpose, unsqueeze } = movement;
const { gather, gatherElements, pad, range, scatterElements, scatterRows, sizeOf, slice } = indexing;
const { argMax, cumsum, logSoftmax, reduceMax, reduceMean, reduceMin, reduceSum, softmax, topK } = reductions;
const { attention, linear, matmul, rotaryEmbedding } = products;
const { crossEntropy, embedding, gelu, geluTanh, layerNorm, quickGelu, rmsNorm, silu } = neural;
const { adaptiveAveragePool2d, averagePool, conv, gridSample, maxPool, resize } = pictures;

export const ops: Ops = {
  abs,
  add,
  and,
  cast,
  ceil,
  clip,
  cos,
  div,
  equal,
  erf,
  exp,
  floor,
  greater,
  greaterOrEqual,
  isNaN: isNan,
  less,
  lessOrEqual,
  log,
  maximum,
  minimum,
  mul,
  neg,
  not,
  or,
  pow,
  reciprocal,
  relu,
  round,
  sigmoid,
  sign,
  sin,
  sqrt,
  sub,
  tanh,
  where,
  concat,
  expand,
  reshape,
  split,
  squeeze,
  transpose,
  unsqueeze,
  gather,
  gatherElements,
  pad,
  range,
  scatterElements,
  scatterRows,
  sizeOf,
  slice,
  argMax,
  cumsum,
  logSoftmax,
  reduceMax,
  reduceMean,
  reduceMin,
  reduceSum,
  softmax,
  topK,
  attention,
  linear,
  matmul,
  rotaryEmbedding,
  crossEntropy,
  embedding,
  gelu,
  geluTanh,
  layerNorm,
  quickGelu,
  rmsNorm,
  silu,
  adaptiveAveragePool2d,
  averagePool,
  conv,
  gridSample,
  maxPool,
  resize,
};
