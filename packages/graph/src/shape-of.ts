/**
 * `const [B, N, C] = shapeOf(x, "B N C")`: checks the rank and names the axes. Sizes that code computes with must
 * be known when the graph is written and come out as numbers; the batch `B`, and every axis written with a question
 * mark (`"B S? D"`), may be open and come out as Dim.
 */
import { type Dim, formatShape } from "./dim.ts";
import { ShapeError } from "./shape-error.ts";
import type { Value } from "./value.ts";

type Axis<Name extends string> = Name extends "B" | `${string}?` ? Dim : number;
export type Axes<Names extends string> = Names extends `${infer First} ${infer Rest}` ? [Axis<First>, ...Axes<Rest>] : [Axis<Names>];

export function shapeOf<const Names extends string>(x: Value, axes: Names): Axes<Names> {
  const names = axes.split(" ");
  if (names.length !== x.shape.length) {
    throw new ShapeError(`shapeOf: expected ${names.length} axes [${names.join(", ")}], got ${formatShape(x.shape)}.`);
  }
  names.forEach((name, axis) => {
    if (name !== "B" && !name.endsWith("?") && typeof x.shape[axis] !== "number") {
      throw new ShapeError(
        `shapeOf: axis ${name} of [${names.join(", ")}] must be known when the graph is written, got the open ${x.shape[axis]} in ${formatShape(x.shape)}. ` +
          `Write "${name}?" if an open size is welcome.`,
      );
    }
  });
  return [...x.shape] as Axes<Names>;
}
