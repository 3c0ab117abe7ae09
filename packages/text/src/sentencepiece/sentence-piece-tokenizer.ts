/**
 * A tokenizer from a SentencePiece `.model`, with the behaviour of transformers' slow classes: special and added tokens
 * are found in the text first, every piece of text between them goes through SentencePiece on its own.
 *
 *     legacy true    each of those pieces gets its own `▁` in front (the published Vicuna, LLaVA and Honeybee prompts)
 *     legacy false   only the start of the text does
 *
 * reference  transformers 4.36 `LlamaTokenizer`, `T5Tokenizer`
 */
import { type AddedToken, parseAddedToken, plainToken } from "../added-tokens.ts";
import { decodingStream } from "../decoding-stream.ts";
import { checkId, checkOptions } from "../options.ts";
import { cleanUpPunctuation, type DecoderRun } from "../pipeline/decoders.ts";
import { wellFormed } from "../pipeline/pipeline-tokenizer.ts";
import { PrefixTrie } from "../prefix-trie.ts";
import type { DecodeOptions, EncodeOptions, SpecialIds, StreamOptions, Tokenizer, TokenStream } from "../tokenizer.ts";
import { NO_SIDE_FILES, readTokenizerConfig, type SideFiles, type TokenizerConfig } from "../tokenizer-config.ts";
import { TokenizerError } from "../tokenizer-error.ts";
import { pythonStripEnd, pythonStripStart } from "../white-space.ts";
import { classDecoder } from "./class-decoder.ts";
import { FAMILY_CLASSES, type Family, familyOf, LLAMA } from "./families.ts";
import { parseModelFile } from "./model-file.ts";
import { SentencePieceProcessor } from "./processor.ts";
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

export interface SentencePieceOptions {
  /** What errors call the file. */
  readonly file: string;
  readonly sideFiles?: SideFiles;
  /** For folders whose tokenizer_config.json names no class. */
  readonly family?: Family;
  /** Over what tokenizer_config.json says. */
  readonly legacy?: boolean;
}

export function sentencePieceTokenizer(bytes: Uint8Array, options: SentencePieceOptions): SentencePieceTokenizer {
  const { file, sideFiles = NO_SIDE_FILES } = options;
  const config = readTokenizerConfig(sideFiles);
  const family = familyOf(config, options.family ?? LLAMA);
  if (family === undefined) {
    const known = FAMILY_CLASSES.join(", ");
    const message = `tokenizer class ${config.className} over a SentencePiece model is not supported; supported: ${known}. Save the tokenizer as tokenizer.json.`;
    throw new TokenizerError("unsupported", message, { file: sideFiles.config?.file ?? file, entry: "tokenizer_class" });
  }
  const legacy = options.legacy ?? config.legacy ?? true;
  const parsed = parseModelFile(bytes, file);
  const model = legacy ? parsed : { ...parsed, addDummyPrefix: false };
  const { addedTokens, special } = addedAndSpecial(config, family, new SentencePieceProcessor(model), file);
  return new SentencePieceTokenizer(new SentencePieceProcessor(model), {
    family,
    legacy,
    addBos: config.addBos ?? family.addBos,
    addEos: config.addEos ?? family.addEos,
    addedTokens,
    special,
    cleanUpSpaces: config.cleanUpSpaces ?? false,
  });
}

type Added = Pick<SentencePieceSettings, "addedTokens" | "special">;

/** Listed tokens with their ids, then those with a role, or named special, that the model or the list knows. */
function addedAndSpecial(config: TokenizerConfig, family: Family, processor: SentencePieceProcessor, file: string): Added {
  const { vocabulary } = processor.model;
  const roles = {
    ...Object.fromEntries(Object.entries(family.roles).map(([role, content]) => [role, { content, entry: null }])),
    ...config.roles,
  };
  const named = new Set([...Object.values(roles), ...config.additional].map(({ content }) => content));
  const tokens = new Map<string, AddedToken>();
  for (const token of config.added) {
    const problem = vocabulary.id(token.content) !== undefined && vocabulary.id(token.content) !== token.id;
    const holder = vocabulary.token(token.id);
    if (problem || (holder !== undefined && holder !== token.content)) {
      const message = `added token ${JSON.stringify(token.content)} has id ${token.id}, which contradicts the model`;
      throw new TokenizerError("invalid_reference", message, { file });
    }
    tokens.set(token.content, { ...token, special: token.special || named.has(token.content) });
  }
  for (let i = 0; i < (config.extraIds ?? family.extraIds); i++) {
    const extra = plainToken(`<extra_id_${i}>`, vocabulary.size - 1 + (config.extraIds ?? family.extraIds) - i, true);
    if (!tokens.has(extra.content)) tokens.set(extra.content, { ...extra, lstrip: true, rstrip: true });
  }
  for (const { content, entry } of [...Object.values(roles), ...config.additional]) {
    const id = vocabulary.id(content);
    if (tokens.has(content) || id === undefined) continue;
    tokens.set(
      content,
      entry === null ? plainToken(content, id, true) : { ...parseAddedToken(entry, id, { special: true }), special: true },
    );
  }
  const idOf = (role: "bos" | "eos" | "pad" | "unk"): number | undefined => {
    const content = roles[role]?.content;
    return content === undefined ? undefined : (tokens.get(content)?.id ?? vocabulary.id(content));
  };
  return { addedTokens: [...tokens.values()], special: { bos: idOf("bos"), eos: idOf("eos"), pad: idOf("pad"), unk: idOf("unk") } };
}
