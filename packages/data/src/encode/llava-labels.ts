/**
 * Which ids of a conversation LLaVA trains on. The original does not mark targets while it joins the text; it cuts the
 * finished text into rounds, tokenizes their pieces again and adds up lengths. Where the sum misses the real length, the
 * sample is masked whole. All that is kept here, so that the same positions are targets.
 *
 * reference  haotian-liu/LLaVA `train.py` (`preprocess_v1`, `preprocess_llama_2`, `preprocess_mpt`, `preprocess`, `preprocess_plain`)
 */
import type { Tokenizer } from "@waggle/text";
import type { LabelSpan } from "./label-span.ts";

/** Ids of a text as the sample's own were made. */
export type Count = (text: string) => number;

export interface RoundRule {
  /** The rounds of a text. */
  readonly rounds: (text: string) => readonly string[];
  /** What the assistant's turn begins with, inside a round. */
  readonly separator: string;
  /** Where the first round begins: behind BOS, or with it. */
  readonly from: number;
  /** How many of the ids of a round's question are taken off its masked part: BOS and the `▁` that the answer brings. */
  readonly shorter: number;
  /** What a later round's ids differ by when it is tokenized alone. */
  readonly later: number;
}

/** USER … ASSISTANT: … `</s>`, and [INST] … [/INST] … `</s>`. */
export function endedRounds(separator: string, later: number): RoundRule {
  return { rounds: (text) => text.split("</s>"), separator, from: 1, shorter: 2, later };
}

/** ChatML: the system text belongs to the first round. */
export function chatmlRounds(later: number): RoundRule {
  const end = "<|im_end|>";
  const rounds = (text: string): readonly string[] => {
    const parts = text.split(end);
    const rest = Array.from({ length: Math.ceil(Math.max(0, parts.length - 3) / 2) }, (_, i) =>
      parts.slice(3 + 2 * i, 5 + 2 * i).join(end),
    );
    return [parts.slice(0, 3).join(end), ...rest];
  };
  return { rounds, separator: `${end}<|im_start|>assistant\n`, from: 0, shorter: 1, later };
}

/** `length`: the ids of the whole text, without padding; sums of `maxLength` and more are not compared with it. */
export function roundTargets(text: string, count: Count, { length, maxLength }: Lengths, rule: RoundRule): readonly LabelSpan[] {
  const targets: LabelSpan[] = [];
  let at = rule.from;
  for (const [i, round] of rule.rounds(text).entries()) {
    const parts = round.split(rule.separator);
    if (round === "" || parts.length !== 2) break;
    const later = i === 0 ? 0 : rule.later;
    const question = count(parts[0] + rule.separator) - rule.shorter + later;
    const end = at + count(round) + later;
    targets.push([at + question, end]);
    at = end;
  }
  return at < maxLength && at !== length ? [] : targets;
}

export interface Lengths {
  readonly length: number;
  readonly maxLength: number;
}

/** `### Human: …⏎### Assistant: …⏎`: each turn tokenized alone; of the human's, the two ids of `###` stay targets. */
export function turnTargets(
  header: string,
  turns: readonly { readonly human: boolean; readonly text: string }[],
  count: Count,
  length: number,
): readonly LabelSpan[] {
  const targets: LabelSpan[] = [];
  let at = count(header);
  for (const { human, text } of turns) {
    const end = at + count(text);
    targets.push(human ? [at, Math.min(at + 2, end)] : [at, end]);
    at = end;
  }
  return [...targets, [at, length]];
}

/** Whether each text behind a special token gets a `▁` of its own: SentencePiece's habit before transformers' `legacy: false`. */
export function startsWords(tokenizer: Tokenizer): boolean {
  const ids = tokenizer.encode("</s>USER", { addSpecialTokens: false });
  return tokenizer.token(ids[1] ?? -1)?.startsWith("▁") ?? false;
}
