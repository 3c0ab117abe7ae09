/**
 * The optimisers, beside the tensors: one pass over each parameter, in place.
 *
 * @typedef {{ data: Float32Array }} Floats
 * @typedef {{ lr: number, weight_decay: number }} Group
 */
import { readFileSync } from "node:fs";

/**
 * Adds gradients to the sums of the micro-batches before.
 *
 * @param {{ sums: Floats[], gradients: Floats[] }} tensors
 */
export function accumulate({ sums, gradients }) {
  sums.forEach(({ data: sum }, i) => {
    const gradient = /** @type {Floats} */ (gradients[i]).data;
    for (let k = 0; k < sum.length; k++) sum[k] = at(sum, k) + at(gradient, k);
  });
}

/**
 * The global L2 norm of all gradients, and which of them hold NaN or infinity.
 *
 * @param {{ gradients: Floats[] }} tensors
 */
export function norm({ gradients }) {
  const squares = gradients.map(({ data }) => sumOfSquares(data));
  const notFinite = squares.flatMap((square, i) => (Number.isFinite(square) ? [] : [i]));
  return { norm: Math.sqrt(squares.reduce((a, b) => a + b, 0)), notFinite };
}

/** @param {Float32Array} data */
function sumOfSquares(data) {
  let [a, b] = [0, 0]; // two chains of additions run side by side
  const even = data.length & ~1;
  for (let i = 0; i < even; i += 2) {
    a += at(data, i) ** 2;
    b += at(data, i + 1) ** 2;
  }
  return a + b + (data.length > even ? at(data, even) ** 2 : 0);
}

/**
 * AdamW with decoupled decay (arXiv 1711.05101), as torch.optim.AdamW: `step` counts from 1. Float32, in adamw.wat: twice as
 * fast as a loop here, copies included.
 *
 * @param {{ parameters: Floats[], gradients: Floats[], exp_avg: Floats[], exp_avg_sq: Floats[] }} tensors
 * @param {{ step: number, betas: readonly [number, number], eps: number, factor: number, groups: Group[] }} options
 */
export function adamW({ parameters, gradients, exp_avg, exp_avg_sq }, { step, betas: [beta1, beta2], eps, factor, groups }) {
  const correction = 1 / Math.sqrt(1 - beta2 ** step);
  parameters.forEach(({ data }, i) => {
    const { lr, weight_decay } = /** @type {Group} */ (groups[i]);
    const tensors = [data, .../** @type {Floats[]} */ ([gradients[i], exp_avg[i], exp_avg_sq[i]]).map((tensor) => tensor.data)];
    const [rate, keep] = [lr / (1 - beta1 ** step), 1 - lr * weight_decay];
    for (let start = 0; start < data.length; start += PIECE) {
      const pieces = tensors.map((tensor) => tensor.subarray(start, start + PIECE));
      for (const [k, piece] of pieces.entries()) room.set(piece, k * PIECE);
      const bytes = (Math.min(PIECE, data.length - start) * 4 + 15) & ~15;
      kernel.adamw(0, PIECE * 4, PIECE * 8, PIECE * 12, bytes, factor, 1 - beta1, beta2, 1 - beta2, keep, rate, correction, eps);
      for (const [k, piece] of pieces.entries()) if (k !== 1) piece.set(room.subarray(k * PIECE, k * PIECE + piece.length)); // 1 is the gradient, which stays
    }
  });
}

/** Numbers of each tensor that are in the kernel's memory at a time: all four fit the second-level cache. */
const PIECE = 16384;

/** @typedef {{ memory: WebAssembly.Memory, adamw: (...numbers: number[]) => void }} Kernel */
const kernel = /** @type {Kernel} */ (
  /** @type {unknown} */ (new WebAssembly.Instance(new WebAssembly.Module(readFileSync(new URL("./adamw.wasm", import.meta.url)))).exports)
);
const room = new Float32Array(kernel.memory.buffer);

/**
 * Stochastic gradient descent, as torch.optim.SGD: decay is added to the gradient; the first step sets the buffer.
 *
 * @param {{ parameters: Floats[], gradients: Floats[], momentum_buffer: Floats[] }} tensors
 * @param {{ step: number, momentum: number, nesterov: boolean, factor: number, groups: Group[] }} options
 */
export function sgd({ parameters, gradients, momentum_buffer }, { step, momentum, nesterov, factor, groups }) {
  parameters.forEach(({ data: p }, i) => {
    const { lr, weight_decay } = /** @type {Group} */ (groups[i]);
    const g = /** @type {Floats} */ (gradients[i]).data;
    const buffer = momentum_buffer[i]?.data;
    for (let k = 0; k < p.length; k++) {
      const gradient = at(g, k) * factor + weight_decay * at(p, k);
      if (!buffer) {
        p[k] = at(p, k) - lr * gradient;
        continue;
      }
      const moved = step === 1 ? gradient : momentum * at(buffer, k) + gradient;
      buffer[k] = moved;
      p[k] = at(p, k) - lr * (nesterov ? gradient + momentum * moved : moved);
    }
  });
}

/**
 * Sets tensors to given values.
 *
 * @param {{ tensors: Floats[] }} tensors
 * @param {{ values: Float32Array[] }} options
 */
export function assign({ tensors }, { values }) {
  tensors.forEach(({ data }, i) => {
    data.set(/** @type {Float32Array} */ (values[i]));
  });
}

/**
 * The element, known to be there. Inlined: it costs nothing.
 *
 * @param {Float32Array} data
 * @param {number} k
 */
function at(data, k) {
  return /** @type {number} */ (data[k]);
}
