/** The gradient column of the rule table, by operator. It is total: an operator without an entry does not compile. */
import type { Gradients } from "./gradient-rule.ts";
import { elementwiseGradients } from "./gradients/elementwise.ts";
import { indexingGradients, movementGradients } from "./gradients/movement.ts";
import { neuralGradients, productGradients, reductionGradients } from "./gradients/neural.ts";
import { pictureGradients } from "./gradients/pictures.ts";
import type { OpAttributes } from "./op-table.ts";

export const gradients: Gradients<OpAttributes> = {
  ...elementwiseGradients,
  ...movementGradients,
  ...indexingGradients,
  ...reductionGradients,
  ...productGradients,
  ...neuralGradients,
  ...pictureGradients,
  DepthwiseWeightGradient: "definition",
  Recompute: "recompute",
  After: ([dy], { inputs }) => inputs.map((_, i) => (i === 0 ? (dy ?? null) : null)),
};
