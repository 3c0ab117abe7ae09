/** Initialisers: how a parameter gets its first values. Each says in words what it does; the words are part of the weights' identity. */
import type { Random } from "./random.ts";

export interface Init {
  /** For example `normal(0, 0.02)`. Two initialisers with the same words fill alike. */
  readonly description: string;
  fill(values: Float32Array, shape: readonly number[], random: Random): void;
}

export const zeros: Init = constantInit(0);
export const ones: Init = constantInit(1);

export function constantInit(value: number): Init {
  return { description: `constant(${value})`, fill: (values) => void values.fill(value) };
}

export function normal(std: number, mean = 0): Init {
  return each(`normal(${mean}, ${std})`, (random) => mean + std * random.normal());
}

/** Normal, drawn again until it lies within ± `bound` standard deviations. */
export function truncatedNormal(std: number, { mean = 0, bound = 2 }: { readonly mean?: number; readonly bound?: number } = {}): Init {
  if (!(bound > 0)) throw new RangeError(`truncatedNormal: expected bound > 0, got ${bound}.`);
  return each(`truncatedNormal(${mean}, ${std}, ±${bound})`, (random) => {
    let draw = random.normal();
    while (Math.abs(draw) > bound) draw = random.normal();
    return mean + std * draw;
  });
}

export function uniform(low: number, high: number): Init {
  return each(`uniform(${low}, ${high})`, (random) => low + (high - low) * random.uniform());
}

/** Uniform in ± gain·√(6 / (fan in + fan out)), Glorot and Bengio 2010. Needs two axes or more. */
export function xavierUniform(gain = 1): Init {
  return {
    description: `xavierUniform(${gain})`,
    fill: (values, shape, random) => {
      const [out = 0, into = 0, ...kernel] = shape;
      if (shape.length < 2) throw new RangeError(`xavierUniform: expected a shape of two axes or more, got [${shape}].`);
      const bound = gain * Math.sqrt(6 / ((out + into) * product(kernel)));
      uniform(-bound, bound).fill(values, shape, random);
    },
  };
}

/** Uniform in ± √(6 / ((1 + a²) · fan in)), He et al. 2015 with a leaky slope a; a = √5 gives ± 1 / √(fan in). Needs two axes or more. */
export function kaimingUniform(a = 0): Init {
  return {
    description: `kaimingUniform(${a})`,
    fill: (values, shape, random) => {
      if (shape.length < 2) throw new RangeError(`kaimingUniform: expected a shape of two axes or more, got [${shape}].`);
      const bound = Math.sqrt(6 / ((1 + a * a) * product(shape.slice(1))));
      uniform(-bound, bound).fill(values, shape, random);
    },
  };
}

function each(description: string, draw: (random: Random) => number): Init {
  return {
    description,
    fill: (values, _shape, random) => {
      for (let i = 0; i < values.length; i++) values[i] = draw(random);
    },
  };
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total * size, 1);
}
