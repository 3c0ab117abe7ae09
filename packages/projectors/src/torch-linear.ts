/** A linear map with the first values that torch gives it: weight and bias uniform in ± 1/√in. Most originals' last map has them. */
import { Linear, Parameter, uniform } from "@waggle/nn";

export function torchLinear(into: number, out: number, bias = true): Linear {
  const init = uniform(-(into ** -0.5), into ** -0.5);
  return new Linear(into, out, { init, bias: bias && new Parameter([out], { init }) });
}
