/** A graph that does not fit together, told when it is written: which operator, what it expected, what it got. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";
  readonly code = "shape";
  /** The operator, and the types and shapes it was called with, where an operator refused its operands. */
  op: string | null = null;
  operands: readonly string[] = [];
}

/** A graph that cannot be lowered, differentiated or written: which operator and why. */
export class GraphError extends Error {
  override readonly name = "GraphError";
  readonly code = "graph";
}
