/**
 * A tokenizer as its tokenizer.json is written:
 *
 *     text → added tokens → normalizer → added tokens (normalized) → pre-tokenizer → model → post-processor → ids
 *     ids → spellings → decoder → text
 *
 * `truncation` and `padding` of the file are left to the caller, as transformers does.
 * reference  tokenizers 0.23 `TokenizerImpl`
 */
import { type AddedToken, AddedTokenFinder } from "../added-tokens.ts";
import { decodingStream } from "../decoding-stream.ts";
import { checkId, checkOptions } from "../options.ts";
import type { DecodeOptions, EncodeOptions, SpecialIds, StreamOptions, Tokenizer, TokenStream } from "../tokenizer.ts";
import { pythonStrip } from "../white-space.ts";
import { cleanUpPunctuation, type Decoder } from "./decoders.ts";
import type { TokenModel } from "./model.ts";
import type { Normalizer } from "./normalizers.ts";
import type { PostProcessor } from "./post-processors.ts";
import type { PreTokenizer } from "./pre-tokenizers.ts";

/** The parts of a tokenizer.json, built. */
export interface Pipeline {
  readonly normalizer: Normalizer | null;
  readonly preTokenizer: PreTokenizer | null;
  readonly model: TokenModel;
  readonly postProcessor: PostProcessor | null;
  readonly decoder: Decoder;
  readonly addedTokens: readonly AddedToken[];
}

/** What tokenizer_config.json adds that the pipeline does not know. */
export interface TextFinish {
  /** CLIP: becomes a space, and the ends are stripped. */
  readonly endOfWord: string | null;
  readonly cleanUpSpaces: boolean;
}

export class PipelineTokenizer implements Tokenizer {
  readonly special: SpecialIds;
  readonly size: number;
  readonly #pipeline: Pipeline;
  readonly #finish: TextFinish;
  readonly #plain: AddedTokenFinder;
  readonly #normalized: AddedTokenFinder;
  readonly #added: ReadonlyMap<number, AddedToken>;
  readonly #addedIds: ReadonlyMap<string, number>;

  constructor(pipeline: Pipeline, special: SpecialIds, finish: TextFinish) {
    this.#pipeline = pipeline;
    this.#finish = finish;
    this.special = special;
    const { addedTokens, model, normalizer } = pipeline;
    this.#added = new Map(addedTokens.map((token) => [token.id, token]));
    this.#addedIds = new Map(addedTokens.map((token) => [token.content, token.id]));
    this.size = model.vocabulary.size + addedTokens.filter((token) => model.vocabulary.token(token.id) === undefined).length;
    this.#plain = new AddedTokenFinder(
      addedTokens.filter((token) => !token.normalized),
      (token) => token.content,
    );
    this.#normalized = new AddedTokenFinder(
      addedTokens.filter((token) => token.normalized),
      (token) => normalizer?.normalize(token.content) ?? token.content,
    );
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    checkOptions("encode", options, ["addSpecialTokens"]);
    const ids: number[] = [];
    const whole = wellFormed(text);
    for (const { start, end, token } of this.#plain.spans(whole)) {
      if (token !== null) ids.push(token.id);
      else this.#encodeSpan(whole.slice(start, end), start === 0, ids);
    }
    const { postProcessor } = this.#pipeline;
    return postProcessor !== null && options.addSpecialTokens !== false ? postProcessor(ids) : ids;
  }

  #encodeSpan(text: string, first: boolean, ids: number[]): void {
    const { normalizer, preTokenizer, model } = this.#pipeline;
    const normalized = normalizer?.normalize(text) ?? text;
    const begins = first && !(normalizer?.dropsStart(text) ?? false);
    for (const { start, end, token } of this.#normalized.spans(normalized)) {
      if (token !== null) {
        ids.push(token.id);
        continue;
      }
      const piece = { text: normalized.slice(start, end), first: begins && start === 0 };
      for (const part of preTokenizer?.(piece) ?? [piece]) model.tokenize(part.text, ids);
    }
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    checkOptions("decode", options, ["skipSpecialTokens", "cleanUp"]);
    const run = this.#pipeline.decoder(false);
    const parts: string[] = [];
    for (const id of ids) {
      const token = this.#spell(id, options.skipSpecialTokens ?? false);
      if (token !== null) parts.push(...run.push(token));
    }
    parts.push(...run.end());
    const text = parts.join("");
    return options.cleanUp === true ? this.#finished(text) : text;
  }

  stream(options: StreamOptions = {}): TokenStream {
    checkOptions("stream", options, ["skipSpecialTokens"]);
    return decodingStream(this.#pipeline.decoder(true), (id) => this.#spell(id, options.skipSpecialTokens ?? false));
  }

  tokenId(token: string): number | undefined {
    return this.#addedIds.get(token) ?? this.#pipeline.model.vocabulary.id(token);
  }

  token(id: number): string | undefined {
    return this.#added.get(id)?.content ?? this.#pipeline.model.vocabulary.token(id);
  }

  #spell(id: number, skipSpecial: boolean): string | null {
    checkId("decode", id);
    const added = this.#added.get(id);
    if (added !== undefined) return added.special && skipSpecial ? null : added.content;
    return this.#pipeline.model.vocabulary.token(id) ?? null;
  }

  #finished(text: string): string {
    const { endOfWord, cleanUpSpaces } = this.#finish;
    const spaced = endOfWord === null ? text : pythonStrip(text.replaceAll(endOfWord, " "));
    return cleanUpSpaces && this.#pipeline.model.kind !== "BPE" ? cleanUpPunctuation(spaced, false) : spaced;
  }
}

/** Lone surrogates, which no UTF-8 text can hold, become U+FFFD. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}
