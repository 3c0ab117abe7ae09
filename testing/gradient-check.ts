/** Central differences: a gradient as it was written against the one that the forward pass shows, on random shapes and values. */
import { grad, input, lower, ops, serialize, symbol, Value } from "@waggle/graph";
import { InferenceSession, Tensor } from "onnxruntime-node";

export interface Case {
  /**
   * Inputs, axis by axis: a number; a small letter (a random size); a capital letter (random, and open when the graph is
   * written). "h4" is 4 more than the random size. Random sizes are 1 to 4.
   */
  readonly of: readonly string[];
  readonly write: (...x: Value[]) => Value | readonly Value[];
}

export const at = (of: string, write: Case["write"]): Case => ({ of: of.split(", "), write });
/** Numbers from 0 to 1 (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** No two of them alike: kinks and draws are not differentiated. */
function spacedNumbers(count: number, random: () => number): number[] {
  const order = Array.from({ length: count }, (_, i) => ({ i, key: random() })).sort((a, b) => a.key - b.key);
  return order.map(({ i }) => (4 * (i + 0.25 + 0.5 * random())) / count - 2);
}

interface Drawn {
  readonly values: readonly Value[];
  readonly sizes: readonly (readonly number[])[];
}

export function drawShapes({ of }: Case, dtype: "float32" | "float64", random: () => number): Drawn {
  const drawn = new Map<string, number>();
  const sizeOf = (axis: string): number => {
    const [letter = "", more] = [axis[0], axis.slice(1)];
    if (!/[a-z]/i.test(letter)) return Number(axis);
    if (!drawn.has(letter)) drawn.set(letter, 1 + Math.floor(4 * random()));
    return (drawn.get(letter) ?? 0) + Number(more);
  };
  const shapes = of.map((shape) => shape.split(" "));
  const sizes = shapes.map((shape) => shape.map(sizeOf));
  const values = shapes.map((shape, i) =>
    input(
      `x${i}`,
      dtype,
      shape.map((axis, j) => (/^[A-Z]$/.test(axis) ? symbol(axis) : (sizes[i]?.[j] ?? 0))),
    ),
  );
  return { values, sizes };
}

/** Σ sin(2y + 0.5), in double precision: every number of y gets another gradient. */
function lossOf(y: Value | readonly Value[]): Value {
  const sums = (y instanceof Value ? [y] : y).map((one) => ops.reduceSum(ops.sin(ops.add(ops.mul(ops.cast(one, "float64"), 2), 0.5))));
  return sums.reduce((a, b) => ops.add(a, b));
}

/** The worst difference between the gradients of `claimed` and central differences of `one`, in parts of the largest gradient. */
export async function worstDifference(
  one: Case,
  dtype: "float32" | "float64",
  seed: number,
  claimed: Case["write"] = one.write,
): Promise<number> {
  const random = randomNumbers(seed);
  const { values, sizes } = drawShapes(one, dtype, random);
  const gradients = grad(lossOf(claimed(...values)), values);
  const outputs = { loss: lossOf(one.write(...values)), ...Object.fromEntries(gradients.map((value, i) => [`d${i}`, value])) };
  const inputs = Object.fromEntries(values.map((value, i) => [`x${i}`, value]));
  const session = await InferenceSession.create(
    serialize(lower({ inputs, outputs }, "onnxruntime"), () => new Uint8Array()),
    { intraOpNumThreads: 1 },
  );
  const counts = sizes.map((shape) => shape.reduce((product, n) => product * n, 1));
  const numbers = spacedNumbers(
    counts.reduce((a, b) => a + b, 0),
    random,
  );
  const data = counts.map((count) => {
    const own = numbers.splice(0, count);
    return dtype === "float32" ? Float32Array.from(own) : Float64Array.from(own);
  });
  const feeds = Object.fromEntries(data.map((array, i) => [`x${i}`, new Tensor(dtype, array, sizes[i] ?? [])]));
  const analytic = await session.run(feeds);
  const lossAt = async (): Promise<number> => Number((await session.run(feeds, ["loss"])).loss?.data[0]);
  const step = dtype === "float32" ? 2 ** -7 : 2 ** -17;
  let [worst, largest] = [0, 0];
  for (const [i, array] of data.entries()) {
    for (const [j, value] of array.entries()) {
      array[j] = value + step;
      const above = await lossAt();
      array[j] = value - step;
      const below = await lossAt();
      array[j] = value;
      const gradient = Number(analytic[`d${i}`]?.data[j]);
      const difference = Math.abs(gradient - (above - below) / (2 * step));
      if (!(difference <= worst)) worst = difference; // NaN too
      largest = Math.max(largest, Math.abs(gradient));
    }
  }
  return worst / (1 + largest);
}
