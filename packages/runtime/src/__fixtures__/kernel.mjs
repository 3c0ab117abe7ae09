/**
 * Adds `by` to every element, in place; returns the sum of the first tensor.
 *
 * @param {{ all: { data: Float32Array, dims: number[] }[] }} tensors
 * @param {{ by: number }} options
 */
export function increase({ all }, { by }) {
  for (const { data } of all) for (const [i, value] of data.entries()) data[i] = value + by;
  return { sum: all[0]?.data.reduce((a, b) => a + b, 0), dims: all[0]?.dims };
}

export function refuse() {
  throw new Error("not with me");
}
