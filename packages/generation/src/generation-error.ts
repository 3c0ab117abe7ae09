/** Why a generate call could not be served. The message says where, what was expected, what came, and what to do. */
export class GenerationError extends Error {
  override readonly name = "GenerationError";
  readonly code: "option" | "context-length" | "prompt" | "scores" | "disposed";

  constructor(code: GenerationError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** Options that cannot be used; `problems` lists every mistake, not only the first. */
export class OptionsError extends GenerationError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    const mistakes = problems.length === 1 ? "1 mistake" : `${problems.length} mistakes`;
    super("option", `generation options: ${mistakes}; nothing was generated\n${problems.map((line) => `  ${line}`).join("\n")}`);
    this.problems = problems;
  }
}

/** The prompt leaves no room for an answer within the positions that the language model knows. */
export class ContextLengthError extends GenerationError {
  readonly promptTokens: number;
  readonly maxPositions: number;

  constructor(promptTokens: number, maxPositions: number) {
    super(
      "context-length",
      `the prompt has ${promptTokens} tokens, but the language model takes ${maxPositions} positions (max_position_embeddings), ` +
        "one of which must stay free for the answer. Shorten the prompt, drop earlier turns, or use fewer pictures.",
    );
    this.promptTokens = promptTokens;
    this.maxPositions = maxPositions;
  }
}
