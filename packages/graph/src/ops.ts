/** The operators that authors of modules use, as one namespace: `ops.matmul(x, w)`. */
import * as composites from "./ops/composites.ts";
import * as elementwise from "./ops/elementwise.ts";
import * as linearAlgebra from "./ops/linear-algebra.ts";
import * as movement from "./ops/movement.ts";

const { abs, add, and, cast, ceil, clip, cos, div, equal, erf, exp, floor, greater, greaterOrEqual, isNan, less, lessOrEqual, log } =
  elementwise;
const { maximum, minimum, mul, neg, not, or, pow, reciprocal, relu, round, sigmoid, sign, sin, sqrt, sub, tanh, where } = elementwise;
const {
  concat,
  expand,
  gather,
  gatherElements,
  pad,
  range,
  reshape,
  scatterElements,
  sizeOf,
  slice,
  split,
  squeeze,
  transpose,
  unsqueeze,
} = movement;
const {
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
} = linearAlgebra;
const { adaptiveAveragePool2d, attention, embedding, gelu, geluTanh, layerNorm, linear, quickGelu, rmsNorm, rotaryEmbedding, silu } =
  composites;

type Ops = Pick<
  typeof elementwise,
  | "abs"
  | "add"
  | "and"
  | "cast"
  | "ceil"
  | "clip"
  | "cos"
  | "div"
  | "equal"
  | "erf"
  | "exp"
  | "floor"
  | "greater"
  | "greaterOrEqual"
  | "isNan"
  | "less"
  | "lessOrEqual"
  | "log"
  | "maximum"
  | "minimum"
  | "mul"
  | "neg"
  | "not"
  | "or"
  | "pow"
  | "reciprocal"
  | "relu"
  | "round"
  | "sigmoid"
  | "sign"
  | "sin"
  | "sqrt"
  | "sub"
  | "tanh"
  | "where"
> &
  Pick<
    typeof movement,
    | "concat"
    | "expand"
    | "gather"
    | "gatherElements"
    | "pad"
    | "range"
    | "reshape"
    | "scatterElements"
    | "sizeOf"
    | "slice"
    | "split"
    | "squeeze"
    | "transpose"
    | "unsqueeze"
  > &
  Pick<
    typeof linearAlgebra,
    | "argMax"
    | "averagePool"
    | "conv"
    | "cumsum"
    | "gridSample"
    | "logSoftmax"
    | "matmul"
    | "maxPool"
    | "reduceMax"
    | "reduceMean"
    | "reduceMin"
    | "reduceSum"
    | "resize"
    | "softmax"
    | "topK"
  > &
  Pick<
    typeof composites,
    | "adaptiveAveragePool2d"
    | "attention"
    | "embedding"
    | "gelu"
    | "geluTanh"
    | "layerNorm"
    | "linear"
    | "quickGelu"
    | "rmsNorm"
    | "rotaryEmbedding"
    | "silu"
  >;

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
  concat,
  expand,
  gather,
  gatherElements,
  pad,
  range,
  reshape,
  scatterElements,
  sizeOf,
  slice,
  split,
  squeeze,
  transpose,
  unsqueeze,
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
