import { OptionsError } from "./generation-error.ts";
import { type Check, finite, flag, integer, listOf, nullable, oneOf, oneOrMore, pair, text } from "./option-checks.ts";
import { type Semantics, semantics } from "./semantics.ts";

/** The options of one call, named and meant as in transformers' generation_config.json. `null` is "not given". */
export interface GenerationOptions {
  /** Tokens of the answer; wins over max_length. */
  readonly max_new_tokens?: number | null | undefined;
  /** Tokens of prompt and answer together. */
  readonly max_length?: number | null | undefined;
  readonly min_new_tokens?: number | null | undefined;
  readonly min_length?: number | null | undefined;
  /** Draw at random (true) or take the best token (false, the default). */
  readonly do_sample?: boolean | null | undefined;
  readonly temperature?: number | null | undefined;
  /** 50 where sampling and not given, as in transformers; 0 switches it off. */
  readonly top_k?: number | null | undefined;
  readonly top_p?: number | null | undefined;
  readonly min_p?: number | null | undefined;
  readonly top_h?: number | null | undefined;
  readonly typical_p?: number | null | undefined;
  readonly epsilon_cutoff?: number | null | undefined;
  readonly eta_cutoff?: number | null | undefined;
  readonly repetition_penalty?: number | null | undefined;
  readonly no_repeat_ngram_size?: number | null | undefined;
  readonly bad_words_ids?: readonly (readonly number[])[] | null | undefined;
  readonly sequence_bias?: readonly (readonly [sequence: readonly number[], bias: number])[] | null | undefined;
  readonly suppress_tokens?: readonly number[] | null | undefined;
  readonly begin_suppress_tokens?: readonly number[] | null | undefined;
  readonly forced_bos_token_id?: number | null | undefined;
  readonly forced_eos_token_id?: number | readonly number[] | null | undefined;
  readonly exponential_decay_length_penalty?: readonly [start: number, factor: number] | null | undefined;
  readonly remove_invalid_values?: boolean | null | undefined;
  readonly renormalize_logits?: boolean | null | undefined;
  readonly eos_token_id?: number | readonly number[] | null | undefined;
  readonly stop_strings?: string | readonly string[] | null | undefined;
  /** Token sequences that end the answer and stay part of it: MiniGPT-4's StoppingCriteriaSub. Unlike a text, `####` does not end in `###`. */
  readonly stop_words_ids?: readonly (readonly number[])[] | null | undefined;
  /** Sequences among which the answer is looked for. */
  readonly num_beams?: number | null | undefined;
  /** How many of the beams' answers come back. */
  readonly num_return_sequences?: number | null | undefined;
  /** Exponent of the length by which a beam's score is divided: above 0 favours long answers, below 0 short ones. */
  readonly length_penalty?: number | null | undefined;
  /** true: as soon as `num_beams` answers are complete; false: when a better one is unlikely; "never": when there cannot be one. */
  readonly early_stopping?: boolean | "never" | null | undefined;
  /** Whose release of transformers the options are meant as, where releases differ: "newest", or what authors pinned. */
  readonly semantics?: Semantics | null | undefined;
  /** Where the random numbers start; the same seed gives the same answer. */
  readonly seed?: number | null | undefined;
}

/** Options with every default filled in. */
export interface ResolvedOptions {
  readonly max_new_tokens: number | null;
  readonly max_length: number | null;
  readonly min_new_tokens: number;
  readonly min_length: number;
  readonly do_sample: boolean;
  readonly temperature: number;
  readonly top_k: number;
  readonly top_p: number;
  readonly min_p: number | null;
  readonly top_h: number | null;
  readonly typical_p: number;
  readonly epsilon_cutoff: number;
  readonly eta_cutoff: number;
  readonly repetition_penalty: number;
  readonly no_repeat_ngram_size: number;
  readonly bad_words_ids: readonly (readonly number[])[] | null;
  readonly sequence_bias: readonly (readonly [readonly number[], number])[] | null;
  readonly suppress_tokens: readonly number[] | null;
  readonly begin_suppress_tokens: readonly number[] | null;
  readonly forced_bos_token_id: number | null;
  readonly forced_eos_token_id: readonly number[] | null;
  readonly exponential_decay_length_penalty: readonly [number, number] | null;
  readonly remove_invalid_values: boolean;
  readonly renormalize_logits: boolean;
  readonly eos_token_id: readonly number[];
  readonly stop_strings: readonly string[];
  readonly stop_words_ids: readonly (readonly number[])[];
  readonly num_beams: number;
  readonly num_return_sequences: number;
  readonly length_penalty: number;
  readonly early_stopping: boolean | "never";
  readonly semantics: Semantics;
  readonly seed: number | null;
}

type Name = keyof ResolvedOptions;

const tokenId = integer({ min: 0 });
const above0 = (max = Number.MAX_VALUE): Check<number> => finite({ above: 0, max });
const share = finite({ min: 0, max: 1 });

/** One line per option: what it may be, and what it is when nobody says. Total: an option without a line does not compile. */
const table: { readonly [N in Name]: readonly [check: Check<ResolvedOptions[N]>, missing: ResolvedOptions[N]] } = {
  max_new_tokens: [nullable(integer({ min: 1 })), null],
  max_length: [nullable(integer({ min: 1 })), null],
  min_new_tokens: [integer({ min: 0 }), 0],
  min_length: [integer({ min: 0 }), 0],
  do_sample: [flag, false],
  temperature: [above0(), 1],
  top_k: [integer({ min: 0 }), 50],
  top_p: [share, 1],
  min_p: [nullable(share), null],
  top_h: [nullable(above0(1)), null],
  typical_p: [above0(1), 1],
  epsilon_cutoff: [share, 0],
  eta_cutoff: [share, 0],
  repetition_penalty: [above0(), 1],
  no_repeat_ngram_size: [integer({ min: 0 }), 0],
  bad_words_ids: [nullable(listOf(listOf(tokenId, 1), 1)), null],
  sequence_bias: [nullable(listOf(pair(listOf(tokenId, 1), finite({}, true)), 1)), null],
  suppress_tokens: [nullable(listOf(tokenId)), null],
  begin_suppress_tokens: [nullable(listOf(tokenId)), null],
  forced_bos_token_id: [nullable(tokenId), null],
  forced_eos_token_id: [nullable(oneOrMore(tokenId)), null],
  exponential_decay_length_penalty: [nullable(pair(integer({ min: 0 }), above0())), null],
  remove_invalid_values: [flag, false],
  renormalize_logits: [flag, false],
  eos_token_id: [oneOrMore(tokenId), []],
  stop_strings: [oneOrMore(text), []],
  stop_words_ids: [listOf(listOf(tokenId, 1)), []],
  num_beams: [integer({ min: 1 }), 1],
  num_return_sequences: [integer({ min: 1 }), 1],
  length_penalty: [finite({}), 1],
  early_stopping: [oneOf([true, false, "never"]), false],
  semantics: [oneOf(Object.keys(semantics) as Semantics[]), "newest"],
  seed: [nullable(integer({ min: 0 })), null],
};

export const optionNames: readonly string[] = Object.keys(table);

/**
 * Merges layers of options, later ones winning (a folder's generation_config.json first, then the call's own), fills
 * in transformers' defaults and checks everything. A length given in a later layer replaces both lengths of earlier
 * ones: who asks for max_length: 50 does not mean the file's max_new_tokens.
 */
export function resolveOptions(...layers: readonly GenerationOptions[]): ResolvedOptions {
  const given: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const layer of layers) {
    const entries = Object.entries(layer).filter(([, value]) => value !== undefined && value !== null);
    if (entries.some(([name]) => name === "max_new_tokens" || name === "max_length")) {
      delete given.max_new_tokens;
      delete given.max_length;
    }
    for (const [name, value] of entries) {
      if (name in table) given[name] = value;
      else problems.push(`${name}: unknown option; known are ${optionNames.join(", ")}`);
    }
  }
  const resolved = Object.fromEntries(
    Object.entries(table).map(([name, [check, missing]]) => {
      if (!(name in given)) return [name, missing];
      const checked = check(given[name]);
      if ("problem" in checked) problems.push(`${name}: expected ${checked.problem}, got ${show(given[name])}${cure(name, given[name])}`);
      return [name, "value" in checked ? checked.value : missing];
    }),
  );
  const options = resolved as unknown as ResolvedOptions; // built from `table`, which is total and typed line by line
  problems.push(...contradictions(options));
  if (problems.length > 0) throw new OptionsError(problems);
  return options;
}

/** What each option allows, but not all of them together. */
function contradictions({ num_beams, num_return_sequences, do_sample, semantics: release }: ResolvedOptions): readonly string[] {
  const problems: string[] = [];
  if (num_return_sequences > num_beams) {
    problems.push(
      `num_return_sequences: ${num_return_sequences} is more than num_beams: ${num_beams}; ` +
        "several random answers are as many calls, each with its own seed (they share the prompt)",
    );
  }
  if (do_sample && num_beams > 1 && semantics[release].warpsSums) {
    problems.push(`do_sample: true with num_beams: ${num_beams} is not available with semantics: "${release}", only with later ones`);
  }
  return problems;
}

function cure(name: string, value: unknown): string {
  return name === "temperature" && value === 0 ? "; do_sample: false takes the best token" : "";
}

function show(value: unknown): string {
  return typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value)).slice(0, 80);
}
