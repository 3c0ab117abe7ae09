import { type GenerationOptions, resolveOptions } from "@waggle/generation";
import { type Command, InvalidArgumentError } from "commander";

/** What commander makes of the flags that {@link addSamplingFlags} adds. */
export interface SamplingFlags {
  readonly maxNewTokens?: number;
  readonly greedy?: true;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly repetitionPenalty?: number;
  readonly noRepeatNgramSize?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
}

/** Flags that only make sense when tokens are drawn at random, as commander's keys and as written. */
const samplingOnly = { temperature: "--temperature", topK: "--top-k", topP: "--top-p" } as const;

/** Gives a command the flags that say how an answer is chosen. */
export function addSamplingFlags(command: Command): Command {
  return command
    .option("--max-new-tokens <n>", "length of the answer", number)
    .option("--greedy", "always the best token (the default where the model's generation_config.json says nothing else)")
    .option("--temperature <t>", "draw at random; below 1 more careful, above 1 more daring", number)
    .option("--top-k <k>", "draw among the k best tokens (0: all; default 50)", number)
    .option("--top-p <p>", "draw among the best tokens that make up p of the probability", number)
    .option("--repetition-penalty <r>", "above 1: what was said before becomes less likely", number)
    .option("--no-repeat-ngram-size <n>", "never repeat n tokens in a row", number)
    .option("--seed <n>", "where the random numbers start; the same seed gives the same answer", number)
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
    do_sample: flags.greedy ? false : sampling ? true : undefined,
    temperature: flags.temperature,
    top_k: flags.topK,
    top_p: flags.topP,
    repetition_penalty: flags.repetitionPenalty,
    no_repeat_ngram_size: flags.noRepeatNgramSize,
    seed: flags.seed,
    stop_strings: flags.stop,
  };
  resolveOptions(options);
  return options;
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new InvalidArgumentError(`expected a number, got "${text}".`);
  return value;
}

/** The values of a flag that may be given several times. */
export function collect(value: string, all: readonly string[] = []): readonly string[] {
  return [...all, value];
}
