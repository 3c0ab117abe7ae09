/** Adds `by` to every element, in place; returns the sum of the first tensor. */
export function increase({ all }, { by }) {
  for (const { data } of all) for (let i = 0; i < data.length; i++) data[i] += by;
  return { sum: all[0].data.reduce((a, b) => a + b, 0), dims: all[0].dims };
}

export function refuse() {
  throw new Error("not with me");
}
