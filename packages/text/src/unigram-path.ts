/**
 * The best path of a unigram language model: of all ways to cut a text into pieces, the one whose scores sum highest
 * (Viterbi, one pass, earlier candidates win ties). A character that no single-character piece covers may be passed as
 * unknown. Shared by `Unigram` of tokenizer.json and by SentencePiece, which differ in precision and in who takes part.
 */
import type { PrefixTrie } from "./prefix-trie.ts";
import { characterLength } from "./utf8.ts";

export interface UnigramScores {
  readonly trie: PrefixTrie;
  /** Score of piece `id`, which covers text[start, end); NaN = the piece takes no part. */
  score(id: number, text: string, start: number, end: number): number;
  readonly unknownScore: number;
  /** Sums are kept in this precision: `Math.fround` where the reference uses 32-bit floats. */
  round(sum: number): number;
}

/** One step of the path: text[start, end) is piece `id`, −1 = unknown. */
export interface PathStep {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

const UNREACHED = -1;

export function bestPath(text: string, { trie, score, unknownScore, round }: UnigramScores): PathStep[] {
  const best = new Float64Array(text.length + 1);
  const from = new Int32Array(text.length + 1).fill(UNREACHED);
  const piece = new Int32Array(text.length + 1).fill(-1);
  const offer = (end: number, start: number, id: number, sum: number): void => {
    if (from[end] !== UNREACHED && !(sum > (best[end] as number))) return;
    best[end] = round(sum);
    from[end] = start;
    piece[end] = id;
  };
  for (let start = 0; start < text.length; ) {
    const next = start + characterLength(text, start);
    const here = best[start] as number;
    let covered = false;
    for (let i = start, node = 0; i < text.length; i++) {
      node = trie.step(node, text.charCodeAt(i));
      if (node === 0) break;
      const id = trie.value(node);
      if (id === -1) continue;
      const value = score(id, text, start, i + 1);
      if (Number.isNaN(value)) continue;
      offer(i + 1, start, id, value + here);
      covered ||= i + 1 === next;
    }
    if (!covered) offer(next, start, -1, unknownScore + here);
    start = next;
  }
  const steps: PathStep[] = [];
  for (let end = text.length; end > 0; end = from[end] as number) steps.push({ id: piece[end] as number, start: from[end] as number, end });
  return steps.reverse();
}
