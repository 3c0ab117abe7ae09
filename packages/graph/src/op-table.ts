/**
 * The rule table of every operator: shape and lowering here, the gradient in gradients.ts. Both are total (each family
 * satisfies `Rules`), so an operator without a shape rule, a lowering and a gradient rule (or the word that there is
 * none) does not compile.
 */
import { type Gradient, gradients } from "./gradients.ts";
import type { OpRule, Rules } from "./op-rule.ts";
import { type CompositeAttributes, compositeRules } from "./ops/composites.ts";
import { type ElementwiseAttributes, elementwiseRules } from "./ops/elementwise.ts";
import { type IndexingAttributes, indexingRules } from "./ops/indexing.ts";
import { type LinearAlgebraAttributes, linearAlgebraRules } from "./ops/linear-algebra.ts";
import { type MovementAttributes, movementRules } from "./ops/movement.ts";

export interface OpAttributes extends ElementwiseAttributes, MovementAttributes, IndexingAttributes, LinearAlgebraAttributes, CompositeAttributes {}
export type OpName = keyof OpAttributes;

export const opTable: Rules<OpAttributes> = { ...elementwiseRules, ...movementRules, ...indexingRules, ...linearAlgebraRules, ...compositeRules };

/** One line per operator, for the compatibility table in the documents. */
export function describeOps(): readonly {
  readonly op: string;
  readonly gradient: "yes" | "none" | "pending";
  readonly lowering: "direct" | "composite" | "fused";
}[] {
  return Object.entries(opTable as unknown as Readonly<Record<string, OpRule<never>>>).map(([op, { lower }]) => ({
    op,
    gradient: gradientKind(gradients[op as OpName]),
    lowering: "portable" in lower ? (lower.fused === undefined ? "composite" : "fused") : "direct",
  }));
}

function gradientKind(gradient: Gradient<never>): "yes" | "none" | "pending" {
  return gradient === "pending" ? "pending" : gradient === "nonDifferentiable" ? "none" : "yes";
}
