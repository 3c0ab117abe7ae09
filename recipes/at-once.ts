/**
 * Several words in one place: "{small red circle}" is one token, whose embedding is the sum of theirs. That is how visual tokens speak.
 * In a text words stand side by side, and a language model that knows nothing else looks for what belongs to "red" in the places beside it.
 *
 *     input_ids  [B, S]  a place of several words is one number: their ids are its digits in base V
 */
import { constant, ops, type Value } from "@waggle/graph";
import type { LanguageModel } from "@waggle/language";
import type { Tokenizer } from "@waggle/text";
import type { Task } from "@waggle/train";
import { tokenizer } from "./base-parts.ts";

/** More do not fit into a number. */
const WORDS = 5;
const V = tokenizer.size;

/** The base's tokenizer, with one id for what stands in braces; words in there are parted by spaces. */
export const atOnce: Tokenizer = Object.create(tokenizer, {
  encode: {
    value(text: string, options: Parameters<Tokenizer["encode"]>[1] = {}): number[] {
      const [first = "", ...rest] = text.split(/[{}]/);
      const ids = tokenizer.encode(first, options);
      const behind = rest.flatMap((piece, i) =>
        i % 2 === 0 ? [packed(piece.split(" "))] : tokenizer.encode(piece, { addSpecialTokens: false }),
      );
      return [...ids, ...behind];
    },
  },
});

function packed(words: readonly string[]): number {
  const id = (word: string): number =>
    (word.startsWith("<") ? tokenizer.tokenId(word) : tokenizer.encode(word, { addSpecialTokens: false })[0]) ?? 0;
  if (words.length > WORDS) throw new RangeError(`{${words.join(" ")}}: expected at most ${WORDS} words in one place.`);
  return words.reduceRight((sum, word) => sum * V + id(word), 0);
}

/** A language model that takes such ids; id 0, which no text has, counts nothing. */
export function summing(language: LanguageModel): LanguageModel {
  const base = constant(V, { dtype: "int64" });
  const none = constant(0, { dtype: "int64" });
  /** [B, S] → [B, S, D] */
  const embed = (input_ids: Value): Value => {
    let rest = input_ids;
    const embedded = Array.from({ length: WORDS }, () => {
      const next = ops.div(rest, base);
      const id = ops.sub(rest, ops.mul(next, base));
      rest = next;
      return ops.where(ops.unsqueeze(ops.equal(id, none), -1), constant(0), language.embed(id));
    });
    return embedded.reduce((sum, each) => ops.add(sum, each));
  };
  return Object.create(language, { embed: { value: embed } });
}

/** A task whose conversations {@link atOnce} encodes, for the language model of the run as it is. */
export function summed(task: Task): Task {
  return {
    ...task,
    async open(context) {
      const { model } = context;
      const opened = await task.open({ ...context, model: { ...model, language: summing(model.language) } });
      return { objective: opened.objective, batches: (request) => opened.batches(request), dispose: () => opened.dispose() };
    },
  };
}
