/**
 * Metaspace: spaces become `▁`, and a text that does not begin with one gets one in front: always, never, or only at
 * the very start of the text (`first`). As a decoder it does the reverse.
 * reference  tokenizers `Metaspace`
 */
import type { JsonEntry } from "../json-entry.ts";
import { literalPattern } from "./pattern.ts";
import type { PreTokenizer } from "./pre-tokenizers.ts";
import { split } from "./split.ts";

export interface Metaspace {
  readonly replacement: string;
  readonly prepends: "always" | "never" | "first";
  readonly split: PreTokenizer;
}

export function parseMetaspace(entry: JsonEntry): Metaspace {
  const replacement = entry.at("replacement").character("▁");
  const addPrefixSpace = entry.at("add_prefix_space").boolean(true); // the older spelling
  const prepends = entry.at("prepend_scheme").choice(["always", "never", "first"], addPrefixSpace ? "always" : "never");
  if (!addPrefixSpace && prepends !== "never") {
    throw entry.at("prepend_scheme").error(`${JSON.stringify(prepends)} contradicts add_prefix_space false`, "invalid_reference");
  }
  const splits = entry.at("split").boolean(true);
  const matches = literalPattern(replacement);
  return {
    replacement,
    prepends,
    split({ text, first }) {
      let marked = text.replaceAll(" ", replacement);
      const wanted = prepends === "always" || (prepends === "first" && first);
      if (text === "") return [];
      if (wanted && !marked.startsWith(replacement)) marked = replacement + marked;
      const piece = { text: marked, first };
      return splits ? split(piece, matches(marked), "MergedWithNext", false) : [piece];
    },
  };
}
