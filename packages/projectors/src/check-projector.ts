/** What compose() asks of every projector before anything is loaded: one symbolic run whose result must keep its word. */
import { formatShape, input, symbol, Value } from "@waggle/graph";
import { ConfigError, type ConfigProblem } from "@waggle/nn";
import type { Projector } from "./projector.ts";

/**
 * Writes the projector's graph for `patches` patches of an open batch and compares the result with what it promises:
 * the batch, `tokenCount(patches)` and `text_hidden_size`.
 *
 * @throws ConfigError that names the projector and everything that differs; a ShapeError from inside `forward` passes.
 */
export function checkProjector(projector: Projector, patches: number): void {
  const name = projector.constructor.name;
  const problems: ConfigProblem[] = [];
  const tokens = projector.tokenCount(patches);
  if (!(Number.isSafeInteger(tokens) && tokens >= 1)) {
    problems.push({ field: "tokenCount", message: `expected a whole number of tokens ≥ 1 for ${patches} patches, got ${tokens}.` });
    throw new ConfigError(name, problems);
  }
  const B = symbol("B");
  const made: unknown = projector.forward(input("features", "float32", [B, patches, projector.vision_hidden_size]));
  if (!(made instanceof Value)) {
    throw new ConfigError(name, [
      { field: "forward", message: `expected a symbolic value, the visual tokens, but it returns ${typeof made}.` },
    ]);
  }
  const { shape, dtype } = made;
  const found = `forward makes ${dtype} ${formatShape(shape)} of [B, ${patches}, ${projector.vision_hidden_size}]`;
  if (shape.length !== 3) problems.push({ field: "forward", message: `expected three axes [B, T, D], but ${found}.` });
  else {
    if (String(shape[0]) !== "B")
      problems.push({
        field: "batch",
        message: `expected the batch B as first axis, but ${found}. Pass shapeOf's B on to reshape and expand.`,
      });
    if (shape[1] !== tokens) problems.push({ field: "tokenCount", message: `it promises ${tokens} tokens, but ${found}.` });
    if (shape[2] !== projector.text_hidden_size) {
      problems.push({ field: "text_hidden_size", message: `expected width ${projector.text_hidden_size}, but ${found}.` });
    }
  }
  if (dtype !== "float32") problems.push({ field: "dtype", message: `expected float32, but ${found}.` });
  if (problems.length > 0) throw new ConfigError(name, problems);
}
