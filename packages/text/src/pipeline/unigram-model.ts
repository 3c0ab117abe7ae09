/**
 * Unigram: the most probable cut of a piece. Runs of unknown characters become one unknown token, or bytes.
 * reference  tokenizers `Unigram` (64-bit sums; unknown costs the lowest score − 10)
 */
import { describe, type JsonEntry } from "../json-entry.ts";
import { PrefixTrie } from "../prefix-trie.ts";
import { TokenizerError } from "../tokenizer-error.ts";
import { bestPath, type UnigramScores } from "../unigram-path.ts";
import { byteToken, utf8 } from "../utf8.ts";
import { MAX_ID, Vocabulary } from "../vocabulary.ts";
import type { TokenModel } from "./model.ts";

const UNKNOWN_PENALTY = 10;

export class UnigramModel implements TokenModel {
  readonly kind = "Unigram";
  readonly vocabulary: Vocabulary = new Vocabulary();
  readonly #entry: JsonEntry;
  readonly #unknown: number | null;
  readonly #byteFallback: boolean;
  readonly #scores: UnigramScores;

  constructor(entry: JsonEntry) {
    this.#entry = entry;
    this.#byteFallback = entry.at("byte_fallback").boolean(false);
    const trie = new PrefixTrie();
    const scores = this.#read(entry.at("vocab"), trie);
    const unknown = entry.at("unk_id");
    this.#unknown = unknown.present ? unknown.integer() : null;
    if (this.#unknown !== null && this.#unknown >= scores.length) {
      throw unknown.error(
        `the unknown token's id ${this.#unknown} is not below the vocabulary's size ${scores.length}`,
        "invalid_reference",
      );
    }
    const lowest = scores.reduce((least, score) => Math.min(least, score), Infinity);
    const unknownScore = lowest - UNKNOWN_PENALTY;
    this.#scores = { trie, unknownScore, score: (id) => scores[id] as number, round: (sum) => sum };
  }

  tokenize(piece: string, into: number[]): void {
    const steps = bestPath(piece, this.#scores);
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i];
      if (step === undefined) continue;
      if (step.id !== -1 && step.id !== this.#unknown) {
        into.push(step.id);
        continue;
      }
      let end = step.end; // the whole run of unknown steps counts as one
      for (let after = steps[i + 1]; after !== undefined && (after.id === -1 || after.id === this.#unknown); after = steps[i + 1]) {
        end = after.end;
        i++;
      }
      this.#unknownRun(piece.slice(step.start, end), into);
    }
  }

  #unknownRun(text: string, into: number[]): void {
    const known = this.vocabulary.id(text);
    if (known !== undefined) {
      into.push(known);
      return;
    }
    if (this.#byteFallback) {
      const ids = Array.from(utf8(text), (byte) => this.vocabulary.id(byteToken(byte)));
      if (!ids.includes(undefined)) {
        into.push(...ids.filter((id) => id !== undefined));
        return;
      }
    }
    if (this.#unknown === null) {
      const where = { file: this.#entry.file, entry: `${this.#entry.path}.unk_id` };
      throw new TokenizerError("missing_unknown", `${describe(text)} cannot be spelled, and the model has no unknown token.`, where);
    }
    into.push(this.#unknown);
  }

  #read(entry: JsonEntry, trie: PrefixTrie): Float64Array {
    const list = entry.values();
    if (list.length === 0 || list.length > MAX_ID) throw entry.error(`expected 1 to ${MAX_ID} pieces, got ${list.length}`);
    const scores = new Float64Array(list.length);
    for (const [id, pair] of list.entries()) {
      const [piece, score] = Array.isArray(pair) && pair.length === 2 ? (pair as readonly unknown[]) : [];
      if (typeof piece !== "string" || typeof score !== "number") {
        throw entry.item(id).error(`expected [piece, score], got ${describe(pair)}`);
      }
      const problem = this.vocabulary.add(piece, id);
      if (problem !== null) throw entry.item(id).error(problem, "invalid_reference");
      scores[id] = score;
      if (piece !== "") trie.insert(piece, id);
    }
    return scores;
  }
}
