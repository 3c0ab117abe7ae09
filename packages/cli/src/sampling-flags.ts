import { type GenerationOptions, resolveOptions, type Semantics } from "@waggle/generation";
import { type Command, InvalidArgumentError } from "commander";

/** What commander makes of the flags that {@link addSamplingFlags} adds. */
export interface SamplingFlags {
  readonly maxNewTokens?: number;
  readonly maxLength?: number;
  readonly greedy?: true;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly repetitionPenalty?: number;
  /** `--no-repeat-ngram-size`: commander takes what begins with `--no-` for a negation, which is true where it is not given. */
  readonly repeatNgramSize?: number | true;
  readonly seed?: number;
  readonly numBeams?: number;
  readonly lengthPenalty?: number;
  readonly earlyStopping?: boolean | "never";
  readonly semantics?: Semantics;
  /** Only where several answers are printed. */
  readonly numReturnSequences?: number;
  readonly stop?: readonly string[];
}

/** Flags that only make sense when tokens are drawn at random, as commander's keys and as written. */
const samplingOnly = { temperature: "--temperature", topK: "--top-k", topP: "--top-p" } as const;

/** Gives a command the flags that say how an answer is chosen. */
export function addSamplingFlags(command: Command): Command {
  return command
    .option("--max-new-tokens <n>", "length of the answer", number)
    .option("--max-length <n>", "length of prompt and answer together", number)
    .option("--greedy", "always the best token (the default where the model's generation_config.json says nothing else)")
    .option("--temperature <t>", "draw at random; below 1 more careful, above 1 more daring", number)
    .option("--top-k <k>", "draw among the k best tokens (0: all; default 50)", number)
    .option("--top-p <p>", "draw among the best tokens that make up p of the probability", number)
    .option("--repetition-penalty <r>", "above 1: what was said before becomes less likely", number)
    .option("--no-repeat-ngram-size <n>", "never repeat n tokens in a row", number)
    .option("--seed <n>", "where the random numbers start; the same seed gives the same answer", number)
    .option("--num-beams <n>", "look for the answer in n sequences at once; it is shown when it is complete", number)
    .option("--length-penalty <p>", "of beams: above 0 favours long answers, below 0 short ones (default 1)", number)
    .option("--early-stopping [when]", "of beams: end with the first n complete answers; `never`: when none can be better", earlyStopping)
    .option("--semantics <release>", "count and score as that release of transformers: newest (default), 4.38, 4.36 or 4.30")
    .option("--stop <text>", "end before this text; may be given several times", collect);
}

/** The options of the library, checked before any model is loaded. */
export function generationOptions(flags: SamplingFlags, command: Command): GenerationOptions {
  const draws = Object.entries(samplingOnly).filter(([key]) => flags[key as keyof typeof samplingOnly] !== undefined);
  if (flags.greedy && draws.length > 0) {
    command.error(
      `error: --greedy takes the best token, ${draws.map(([, flag]) => flag).join(" and ")} would draw at random; give one of both`,
    );
  }
  const sampling = draws.length > 0 || (flags.seed !== undefined && !flags.greedy);
  const options: GenerationOptions = {
    max_new_tokens: flags.maxNewTokens,
    max_length: flags.maxLength,
    do_sample: flags.greedy ? false : sampling ? true : undefined,
    temperature: flags.temperature,
    top_k: flags.topK,
    top_p: flags.topP,
    repetition_penalty: flags.repetitionPenalty,
    no_repeat_ngram_size: flags.repeatNgramSize === true ? undefined : flags.repeatNgramSize,
    seed: flags.seed,
    num_beams: flags.numBeams,
    length_penalty: flags.lengthPenalty,
    early_stopping: flags.earlyStopping,
    semantics: flags.semantics,
    num_return_sequences: flags.numReturnSequences,
    stop_strings: flags.stop,
  };
  // How many beams there are, the model's generation_config.json may say too.
  resolveOptions({ ...options, num_beams: flags.numBeams ?? flags.numReturnSequences });
  return options;
}

function earlyStopping(text: string): boolean | "never" {
  if (text === "never") return text;
  if (text === "true" || text === "false") return text === "true";
  throw new InvalidArgumentError(`expected true, false or never, got "${text}".`);
}

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new InvalidArgumentError(`expected a number, got "${text}".`);
  return value;
}

/** The values of a flag that may be given several times. */
export function collect(value: string, all: readonly string[] = []): readonly string[] {
  return [...all, value];
}
