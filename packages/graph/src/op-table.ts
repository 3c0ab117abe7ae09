/**
 * The rule table of every operator: shape and lowering here, the gradient in gradients.ts. Both are total (each family
 * satisfies `Rules`), so an operator without a shape rule, a lowering and a gradient rule (or the word that there is
 * none) does not compile.
 */
import type { Gradient } from "./gradient-rule.ts";
import { gradients } from "./gradients.ts";
import type { OpRule, Rules } from "./op-rule.ts";
import { type DepthwiseAttributes, depthwiseRules } from "./ops/depthwise.ts";
import { type ElementwiseAttributes, elementwiseRules } from "./ops/elementwise.ts";
import { type IndexingAttributes, indexingRules } from "./ops/indexing.ts";
import { type MovementAttributes, movementRules } from "./ops/movement.ts";
import { type NeuralAttributes, neuralRules } from "./ops/neural.ts";
import { type PictureAttributes, pictureRules } from "./ops/pictures.ts";
import { type ProductAttributes, productRules } from "./ops/products.ts";
import { type RecomputeAttributes, recomputeRules } from "./ops/recompute.ts";
import { type ReductionAttributes, reductionRules } from "./ops/reductions.ts";

export interface OpAttributes
  extends ElementwiseAttributes,
    MovementAttributes,
    IndexingAttributes,
    ReductionAttributes,
    ProductAttributes,
    NeuralAttributes,
    PictureAttributes,
    DepthwiseAttributes,
    RecomputeAttributes {}
export type OpName = keyof OpAttributes;

export const opTable: Rules<OpAttributes> = {
  ...elementwiseRules,
  ...movementRules,
  ...indexingRules,
  ...reductionRules,
  ...productRules,
  ...neuralRules,
  ...pictureRules,
  ...depthwiseRules,
  ...recomputeRules,
};

/** One line per operator, for the compatibility table in the documents. */
export function describeOps(): readonly {
  readonly op: string;
  readonly gradient: "yes" | "none";
  readonly lowering: "direct" | "composite" | "fused";
}[] {
  return Object.entries(opTable as unknown as Readonly<Record<string, OpRule<never>>>).map(([op, { lower }]) => ({
    op,
    gradient: gradientKind(gradients[op as OpName]),
    lowering: "portable" in lower ? (lower.fused === undefined ? "composite" : "fused") : "direct",
  }));
}

function gradientKind(gradient: Gradient<never>): "yes" | "none" {
  return gradient === "nonDifferentiable" ? "none" : "yes";
}
