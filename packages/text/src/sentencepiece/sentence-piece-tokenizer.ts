/**
 * A tokenizer from a SentencePiece `.model`, with the behaviour of transformers' slow classes: special and added tokens
 * are found in the text first, every piece of text between them goes through SentencePiece on its own.
 *
 *     legacy true    each of those pieces gets its own `▁` in front (the published Vicuna, LLaVA and Honeybee prompts)
 *     legacy false   only the start of the text does
 *
 * reference  transformers 4.36 `LlamaTokenizer`, `T5Tokenizer`
 */
import type { AddedToken } from "../added-tokens.ts";
import { decodingStream } from "../decoding-stream.ts";
import { checkId, checkOptions } from "../options.ts";
import { cleanUpPunctuation, type DecoderRun } from "../pipeline/decoders.ts";
import { wellFormed } from "../pipeline/pipeline-tokenizer.ts";
import { PrefixTrie } from "../prefix-trie.ts";
import type { DecodeOptions, EncodeOptions, SpecialIds, StreamOptions, Tokenizer, TokenStream } from "../tokenizer.ts";
import { pythonStripEnd, pythonStripStart } from "../white-space.ts";
import { classDecoder } from "./class-decoder.ts";
import type { Family } from "./families.ts";
import type { SentencePieceProcessor } from "./processor.ts";
import { SPACE } from "./text-normalizer.ts";

export interface SentencePieceSettings {
  readonly family: Family;
  readonly legacy: boolean;
  readonly addBos: boolean;
  readonly addEos: boolean;
  readonly addedTokens: readonly AddedToken[];
  readonly special: SpecialIds;
  readonly cleanUpSpaces: boolean;
}

export class SentencePieceTokenizer implements Tokenizer {
  readonly special: SpecialIds;
  readonly size: number;
  readonly #processor: SentencePieceProcessor;
  readonly #settings: SentencePieceSettings;
  readonly #added: ReadonlyMap<string, AddedToken>;
  readonly #addedById: ReadonlyMap<number, AddedToken>;
  readonly #finder = new PrefixTrie();
  readonly #unknownPieces: number;

  constructor(processor: SentencePieceProcessor, settings: SentencePieceSettings) {
    this.#processor = processor;
    this.#settings = settings;
    this.special = settings.special;
    const { vocabulary, unknown } = processor.model;
    this.#added = new Map(settings.addedTokens.map((token) => [token.content, token]));
    this.#addedById = new Map(settings.addedTokens.map((token) => [token.id, token]));
    for (const [index, token] of settings.addedTokens.entries()) this.#finder.insert(token.content, index);
    this.size = vocabulary.size + settings.addedTokens.filter((token) => vocabulary.token(token.id) === undefined).length;
    this.#unknownPieces = processor.encode(vocabulary.token(unknown) ?? "").length;
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    checkOptions("encode", options, ["addSpecialTokens"]);
    const ids = this.#tokens(wellFormed(text)).map((token) => this.#added.get(token)?.id ?? this.#processor.pieceId(token));
    if (options.addSpecialTokens === false) return ids;
    const { addBos, addEos, family, special } = this.#settings;
    if (addBos && special.bos !== undefined) ids.unshift(special.bos);
    const ended = family.singleEos && ids.at(-1) === special.eos;
    if (addEos && special.eos !== undefined && !ended) ids.push(special.eos);
    return ids;
  }

  #tokens(text: string): string[] {
    if (this.#settings.legacy || text === "") return this.#split(text);
    const tokens = this.#split(SPACE + text.replaceAll(SPACE, " "));
    const [first, second] = tokens;
    const leads = first === SPACE && second !== undefined && this.#added.get(second)?.special === true;
    return leads ? tokens.slice(1) : tokens;
  }

  /** Added tokens as they stand, what is between them cut by SentencePiece. */
  #split(text: string): string[] {
    const parts = this.#partsOf(text);
    for (const [i, part] of parts.entries()) {
      const token = this.#added.get(part);
      if (token === undefined) continue;
      const [left, right] = [parts[i - 1], parts[i + 1]];
      if (token.rstrip && right !== undefined) parts[i + 1] = pythonStripStart(right);
      if (token.lstrip && left !== undefined) parts[i - 1] = pythonStripEnd(left);
      if (!token.single_word) continue;
      if (left !== undefined && left !== "" && !left.endsWith(" ")) {
        parts[i - 1] = left + part;
        parts[i] = "";
      } else if (right !== undefined && right !== "" && !right.startsWith(" ")) {
        parts[i + 1] = part + right;
        parts[i] = "";
      }
    }
    return parts.filter((part) => part !== "").flatMap((part) => (this.#added.has(part) ? [part] : this.#pieces(part)));
  }

  #partsOf(text: string): string[] {
    const parts: string[] = [];
    let done = 0;
    for (let i = 0; i < text.length; ) {
      const match = this.#finder.longest(text, i);
      if (match === null) {
        i++;
        continue;
      }
      if (done < i) parts.push(text.slice(done, i));
      parts.push(text.slice(i, match.end));
      i = match.end;
      done = i;
    }
    if (done < text.length) parts.push(text.slice(done));
    return parts;
  }

  /** Without a dummy prefix SentencePiece swallows a leading space; an unknown token in front of it keeps it. */
  #pieces(text: string): string[] {
    const { legacy } = this.#settings;
    if (legacy || !(text.startsWith(SPACE) || text.startsWith(" "))) return this.#processor.encode(text);
    const { vocabulary, unknown } = this.#processor.model;
    return this.#processor.encode((vocabulary.token(unknown) ?? "") + text).slice(this.#unknownPieces);
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    checkOptions("decode", options, ["skipSpecialTokens", "cleanUp"]);
    const skip = options.skipSpecialTokens ?? false;
    const run = this.#decoder(skip);
    const parts: string[] = [];
    for (const id of ids) {
      const token = this.#spell(id, skip);
      if (token !== null) parts.push(...run.push(token));
    }
    parts.push(...run.end());
    const text = parts.join("");
    return options.cleanUp === true && this.#settings.cleanUpSpaces ? cleanUpPunctuation(text, false) : text;
  }

  stream(options: StreamOptions = {}): TokenStream {
    checkOptions("stream", options, ["skipSpecialTokens"]);
    const skip = options.skipSpecialTokens ?? false;
    return decodingStream(this.#decoder(skip), (id) => this.#spell(id, skip));
  }

  #decoder(skipSpecial: boolean): DecoderRun {
    const { family, legacy } = this.#settings;
    return classDecoder({
      model: this.#processor.model,
      family,
      legacy,
      holdsRuns: !skipSpecial && family.spaceBeforeSpecial(legacy, false),
      isSpecial: (token) => this.#added.get(token)?.special ?? false,
      isApart: (token) => this.#added.get(token)?.special === false,
    });
  }

  tokenId(token: string): number | undefined {
    return this.#added.get(token)?.id ?? this.#processor.model.vocabulary.id(token);
  }

  token(id: number): string | undefined {
    return this.#addedById.get(id)?.content ?? this.#processor.model.vocabulary.token(id);
  }

  #spell(id: number, skipSpecial: boolean): string | null {
    checkId("decode", id);
    if (skipSpecial && this.#addedById.get(id)?.special === true) return null;
    return this.token(id) ?? null;
  }
}
