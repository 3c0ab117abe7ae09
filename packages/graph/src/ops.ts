/** The operators that authors of modules use, as one namespace: `ops.matmul(x, w)`. */
import * as composites from "./ops/composites.ts";
import * as elementwise from "./ops/elementwise.ts";
import * as indexing from "./ops/indexing.ts";
import * as linearAlgebra from "./ops/linear-algebra.ts";
import * as movement from "./ops/movement.ts";

type Internal = "broadcast" | "operands" | "sizeScalar" | "LOWEST" | `${string}Rules`;
type Public<Module> = Omit<Module, Internal>;
type Ops = Public<typeof elementwise> & Public<typeof movement> & Public<typeof indexing> & Public<typeof linearAlgebra> & Public<typeof composites>;

const { abs, add, and, cast, ceil, clip, cos, div, equal, erf, exp, floor, greater, greaterOrEqual, isNaN, less, lessOrEqual, log, maximum, minimum, mul, neg, not, or, pow, reciprocal, relu, round, sigmoid, sign, sin, sqrt, sub, tanh, where } = elementwise;
const { concat, expand, reshape, split, squeeze, transpose, unsqueeze } = movement;
const { gather, gatherElements, pad, range, scatterElements, sizeOf, slice } = indexing;
const { argMax, averagePool, conv, cumsum, gridSample, logSoftmax, matmul, maxPool, reduceMax, reduceMean, reduceMin, reduceSum, resize, softmax, topK } = linearAlgebra;
const { adaptiveAveragePool2d, attention, embedding, gelu, geluTanh, layerNorm, linear, quickGelu, rmsNorm, rotaryEmbedding, silu } = composites;

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
  isNaN,
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
  sizeOf,
  slice,
  argMax,
  averagePool,
  conv,
  cumsum,
  gridSample,
  logSoftmax,
  matmul,
  maxPool,
  reduceMax,
  reduceMean,
  reduceMin,
  reduceSum,
  resize,
  softmax,
  topK,
  adaptiveAveragePool2d,
  attention,
  embedding,
  gelu,
  geluTanh,
  layerNorm,
  linear,
  quickGelu,
  rmsNorm,
  rotaryEmbedding,
  silu,
};
