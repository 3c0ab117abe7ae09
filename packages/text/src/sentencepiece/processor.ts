/**
 * SentencePiece itself: text to pieces by BPE or unigram, with byte fallback.
 * reference  sentencepiece 0.2 `SentencePieceProcessor`, `bpe_model.cc`, `unigram_model.cc`
 */
import { mergeSymbols } from "../merge-symbols.ts";
import { PrefixTrie } from "../prefix-trie.ts";
import { bestPath, type UnigramScores } from "../unigram-path.ts";
import { byteToken, characterLength, utf8, utf8Length } from "../utf8.ts";
import { Kind, type SentencePieceModel } from "./model-file.ts";
import { normalizeText } from "./text-normalizer.ts";

const UNKNOWN_PENALTY = 10;
const USER_DEFINED_PENALTY = 0.1;
const SMALLEST_FLOAT = 1.1754943508222875e-38; // the reference starts its search for the highest score at FLT_MIN

export class SentencePieceProcessor {
  readonly model: SentencePieceModel;
  readonly #userDefined = new PrefixTrie();
  readonly #segment: (text: string) => string[];

  constructor(model: SentencePieceModel) {
    this.model = model;
    for (const [piece, id] of model.vocabulary.tokens()) if (model.kinds[id] === Kind.USER_DEFINED) this.#userDefined.insert(piece, id);
    this.#segment = model.algorithm === "bpe" ? bytePairSegmenter(model, this.#userDefined) : unigramSegmenter(model);
  }

  /** The id of a piece; the unknown piece's for one that is not there. */
  pieceId(piece: string): number {
    return this.model.vocabulary.id(piece) ?? this.model.unknown;
  }

  /** Pieces of a text. A run of unknown characters is one piece, spelled as in the text; with byte fallback, bytes. */
  encode(text: string): string[] {
    const normalized = normalizeText(text, this.model, this.#userDefined);
    const pieces: string[] = [];
    let afterUnknown = false;
    for (const piece of this.#segment(normalized)) {
      const unknown = this.pieceId(piece) === this.model.unknown;
      if (unknown && this.model.byteFallback) for (const byte of utf8(piece)) pieces.push(byteToken(byte));
      else if (unknown && afterUnknown) pieces.push((pieces.pop() ?? "") + piece);
      else pieces.push(piece);
      afterUnknown = unknown;
    }
    return pieces;
  }
}

/** Pieces that segmentation may produce: not control, unknown and byte pieces. */
function isSegment(kind: number | undefined): boolean {
  return kind === Kind.NORMAL || kind === Kind.USER_DEFINED || kind === Kind.UNUSED;
}

/** Neighbours whose joined text is a piece merge, highest score first. User-defined pieces are symbols that never merge. */
function bytePairSegmenter(model: SentencePieceModel, userDefined: PrefixTrie): (text: string) => string[] {
  const ranks = scoreRanks(model.scores);
  return (text) => {
    if (text === "") return [];
    const starts: number[] = [];
    const ends: number[] = [];
    const frozen: boolean[] = [];
    for (let i = 0; i < text.length; ) {
      const piece = userDefined.longest(text, i);
      starts.push(i);
      i = piece?.end ?? i + characterLength(text, i);
      ends.push(i);
      frozen.push(piece !== null);
    }
    const splits = new Map<string, number>(); // unused pieces that came to be → where they were joined
    const next = mergeSymbols(starts.length, {
      rank(left, right) {
        if (frozen[left] || frozen[right]) return -1;
        const joined = text.slice(starts[left], ends[right]);
        const id = model.vocabulary.id(joined);
        if (id === undefined || !isSegment(model.kinds[id])) return -1;
        if (model.kinds[id] === Kind.UNUSED) splits.set(joined, (ends[left] as number) - (starts[left] as number));
        return ranks[id] as number;
      },
      merge(left, right) {
        ends[left] = ends[right] as number;
      },
    });
    const pieces: string[] = [];
    for (let i = 0; i !== -1; i = next[i] as number) pushUsed(text.slice(starts[i], ends[i]), model, splits, pieces);
    return pieces;
  };
}

/** A piece marked unused serves as a step on the way to longer ones only; left over, it comes apart again. */
function pushUsed(piece: string, model: SentencePieceModel, splits: ReadonlyMap<string, number>, into: string[]): void {
  const id = model.vocabulary.id(piece);
  const split = id !== undefined && model.kinds[id] === Kind.UNUSED ? splits.get(piece) : undefined;
  if (split === undefined) {
    into.push(piece);
    return;
  }
  pushUsed(piece.slice(0, split), model, splits, into);
  pushUsed(piece.slice(split), model, splits, into);
}

/** Equal scores share a rank, so that among them the leftmost pair goes first. */
function scoreRanks(scores: Float64Array): Int32Array {
  const order = new Map([...new Set(scores)].sort((a, b) => b - a).map((score, rank) => [score, rank]));
  return Int32Array.from(scores, (score) => order.get(score) as number);
}

/** 32-bit sums; unknown characters cost the lowest score − 10, user-defined pieces next to nothing. */
function unigramSegmenter({ vocabulary, scores, kinds }: SentencePieceModel): (text: string) => string[] {
  const trie = new PrefixTrie();
  let [lowest, highest] = [Number.MAX_VALUE, SMALLEST_FLOAT];
  for (const [piece, id] of vocabulary.tokens()) {
    if (isSegment(kinds[id])) trie.insert(piece, id);
    if (kinds[id] !== Kind.NORMAL) continue;
    lowest = Math.min(lowest, scores[id] as number);
    highest = Math.max(highest, scores[id] as number);
  }
  const path: UnigramScores = {
    trie,
    unknownScore: Math.fround(lowest - UNKNOWN_PENALTY),
    round: Math.fround,
    score(id, text, start, end) {
      if (kinds[id] === Kind.UNUSED) return Number.NaN;
      if (kinds[id] !== Kind.USER_DEFINED) return scores[id] as number;
      return Math.fround(utf8Length(text.slice(start, end)) * highest) - USER_DEFINED_PENALTY;
    },
  };
  return (text) => bestPath(text, path).map(({ start, end }) => text.slice(start, end));
}
