import type { Piece } from "./pre-tokenizers.ts";

export const SPLIT_BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"] as const;
export type SplitBehavior = (typeof SPLIT_BEHAVIORS)[number];

/**
 * Cuts a piece at the matches (start, end, start, end …). What lies between them is kept as it is; the matches are
 *
 *     Removed             left out                        a-b → a b
 *     Isolated            pieces of their own             a-b → a - b
 *     MergedWithPrevious  the end of what precedes        a-b → a- b
 *     MergedWithNext      the start of what follows       a-b → a -b
 *     Contiguous          pieces, neighbours as one       a--b → a -- b
 *
 * `invert` swaps the parts. reference  tokenizers `NormalizedString::split`
 */
export function split({ text, first }: Piece, matches: readonly number[], behavior: SplitBehavior, invert: boolean): Piece[] {
  const ends: number[] = []; // of the spans that cover the text
  const matched: boolean[] = [];
  const add = (end: number, match: boolean): void => {
    if (end === (ends.at(-1) ?? 0) && !match) return;
    ends.push(end);
    matched.push(match !== invert);
  };
  for (let i = 0; i < matches.length; i += 2) {
    add(matches[i] as number, false);
    add(matches[i + 1] as number, true);
  }
  add(text.length, false);
  const pieces: Piece[] = [];
  for (let i = 0, start = 0; i < ends.length; i++) {
    const end = ends[i] as number;
    if (joinsNext(matched, i, behavior)) continue;
    if (end > start && !(behavior === "Removed" && matched[i])) pieces.push({ text: text.slice(start, end), first: first && start === 0 });
    start = end;
  }
  return pieces;
}

/** Whether span i and the one after it end up in one piece. */
function joinsNext(matched: readonly boolean[], i: number, behavior: SplitBehavior): boolean {
  if (i + 1 >= matched.length) return false;
  const [here, next] = [matched[i], matched[i + 1]];
  switch (behavior) {
    case "Removed":
    case "Isolated":
      return false;
    case "Contiguous":
      return here === next;
    case "MergedWithPrevious":
      return next === true && here === false;
    case "MergedWithNext":
      return here === true && next === false;
  }
}
