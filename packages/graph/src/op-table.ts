/**
 * The rule table of every operator: shape, gradient, lowering. It is total by construction (each family satisfies
 * `Rules`), so an operator without a shape rule, a gradient rule (or the word that there is none) and a lowering
 * does not compile.
 */
import type { OpRule, Rules } from "./op-rule.ts";
import { type CompositeAttributes, compositeRules } from "./ops/composites.ts";
import { type ElementwiseAttributes, elementwiseRules } from "./ops/elementwise.ts";
import { type LinearAlgebraAttributes, linearAlgebraRules } from "./ops/linear-algebra.ts";
import { type MovementAttributes, movementRules } from "./ops/movement.ts";

export interface OpAttributes extends ElementwiseAttributes, MovementAttributes, LinearAlgebraAttributes, CompositeAttributes {}
export type OpName = keyof OpAttributes;

export const opTable: Rules<OpAttributes> = { ...elementwiseRules, ...movementRules, ...linearAlgebraRules, ...compositeRules };

/** One line per operator, for the compatibility table in the documents. */
export function describeOps(): readonly {
  readonly op: string;
  readonly gradient: "yes" | "none" | "pending";
  readonly lowering: "direct" | "composite" | "fused";
}[] {
  return Object.entries(opTable as unknown as Readonly<Record<string, OpRule<never>>>).map(([op, { gradient, lower }]) => ({
    op,
    gradient: gradient === "pending" ? "pending" : gradient === "nonDifferentiable" ? "none" : "yes",
    lowering: "portable" in lower ? (lower.fused === undefined ? "composite" : "fused") : "direct",
  }));
}
