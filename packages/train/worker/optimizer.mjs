/**
 * The optimisers, beside the tensors: one pass over each parameter, in place. Values are float32, sums and the arithmetic
 * of an element float64.
 *
 * @typedef {{ data: Float32Array }} Floats
 * @typedef {{ lr: number, weight_decay: number }} Group
 */

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
 * AdamW with decoupled decay (arXiv 1711.05101), as torch.optim.AdamW: `step` counts from 1.
 *
 * @param {{ parameters: Floats[], gradients: Floats[], exp_avg: Floats[], exp_avg_sq: Floats[] }} tensors
 * @param {{ step: number, betas: readonly [number, number], eps: number, factor: number, groups: Group[] }} options
 */
export function adamW({ parameters, gradients, exp_avg, exp_avg_sq }, { step, betas: [beta1, beta2], eps, factor, groups }) {
  const correction = 1 / Math.sqrt(1 - beta2 ** step);
  parameters.forEach(({ data: p }, i) => {
    const { lr, weight_decay } = /** @type {Group} */ (groups[i]);
    const [{ data: g }, { data: m }, { data: v }] = /** @type {[Floats, Floats, Floats]} */ ([gradients[i], exp_avg[i], exp_avg_sq[i]]);
    const rate = lr / (1 - beta1 ** step);
    const keep = 1 - lr * weight_decay;
    for (let k = 0; k < p.length; k++) {
      const gradient = at(g, k) * factor;
      const first = at(m, k) + (1 - beta1) * (gradient - at(m, k));
      const second = beta2 * at(v, k) + (1 - beta2) * gradient * gradient;
      m[k] = first;
      v[k] = second;
      p[k] = at(p, k) * keep - (rate * first) / (Math.sqrt(second) * correction + eps);
    }
  });
}

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
