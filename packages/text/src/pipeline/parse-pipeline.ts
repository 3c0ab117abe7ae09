/** tokenizer.json (and its side files) → a tokenizer. */
import { type AddedToken, parseAddedToken, plainToken } from "../added-tokens.ts";
import type { JsonEntry } from "../json-entry.ts";
import type { SpecialIds } from "../tokenizer.ts";
import { NO_SIDE_FILES, readTokenizerConfig, type SideFiles, type TokenizerConfig } from "../tokenizer-config.ts";
import { MAX_ID } from "../vocabulary.ts";
import { BytePairModel } from "./byte-pair-model.ts";
import { parseDecoder, spaced } from "./decoders.ts";
import type { TokenModel } from "./model.ts";
import { parseNormalizer } from "./normalizers.ts";
import { PipelineTokenizer } from "./pipeline-tokenizer.ts";
import { parsePostProcessor } from "./post-processors.ts";
import { parsePreTokenizer } from "./pre-tokenizers.ts";
import { UnigramModel } from "./unigram-model.ts";
import { WordLevelModel, WordPieceModel } from "./word-models.ts";

export function parsePipeline(root: JsonEntry, sideFiles: SideFiles = NO_SIDE_FILES): PipelineTokenizer {
  const config = readTokenizerConfig(sideFiles);
  const model = parseModel(root.at("model"));
  const addedTokens = mergeAddedTokens(parseAddedTokens(root.at("added_tokens"), model), model, config, root);
  const part = <Part>(key: string, parse: (entry: JsonEntry) => Part): Part | null => (root.has(key) ? parse(root.at(key)) : null);
  const pipeline = {
    normalizer: part("normalizer", parseNormalizer),
    preTokenizer: part("pre_tokenizer", parsePreTokenizer),
    model,
    postProcessor: part("post_processor", parsePostProcessor),
    decoder: part("decoder", parseDecoder) ?? spaced,
    addedTokens,
  };
  const clip = config.className?.startsWith("CLIPTokenizer") === true && root.at("model").has("end_of_word_suffix");
  return new PipelineTokenizer(pipeline, specialIds(config, addedTokens, model), {
    endOfWord: clip ? root.at("model").at("end_of_word_suffix").string() : null,
    cleanUpSpaces: config.cleanUpSpaces ?? false,
  });
}

/** Files from before 2020 name no type; the keys tell. */
function parseModel(entry: JsonEntry): TokenModel {
  const type = entry.has("type") ? entry.at("type").string() : entry.has("merges") ? "BPE" : "WordPiece";
  switch (type) {
    case "BPE":
      return BytePairModel.parse(entry);
    case "WordPiece":
      return new WordPieceModel(entry);
    case "WordLevel":
      return new WordLevelModel(entry);
    case "Unigram":
      return new UnigramModel(entry);
    default:
      throw entry
        .at("type")
        .error(`model ${JSON.stringify(type)} is not supported; supported: BPE, WordPiece, WordLevel, Unigram`, "unsupported");
  }
}

function parseAddedTokens(entry: JsonEntry, model: TokenModel): AddedToken[] {
  if (!entry.present) return [];
  return entry.list().map((item) => {
    const id = item.at("id").integer();
    if (id > MAX_ID) throw item.at("id").error(`expected a token id up to ${MAX_ID}, got ${id}`);
    const token = parseAddedToken(item, id, { special: false });
    const problem = contradiction(token, model);
    if (problem !== null) throw item.error(problem, "invalid_reference");
    return token;
  });
}

function contradiction(token: AddedToken, model: TokenModel): string | null {
  const { content, id } = token;
  const modelId = model.vocabulary.id(content);
  if (modelId !== undefined && modelId !== id)
    return `added token ${JSON.stringify(content)} has id ${id}, but the model gives it ${modelId}`;
  const holder = model.vocabulary.token(id);
  if (holder !== undefined && holder !== content)
    return `added token ${JSON.stringify(content)} has id ${id}, which is ${JSON.stringify(holder)}'s in the model`;
  return null;
}

/**
 * As transformers completes a tokenizer.json: tokens that only the side files list are added with their ids, and tokens
 * with a role or named as special become special if the vocabulary knows them. One that has no id anywhere is left out:
 * an invented id would lie outside the model's embedding table.
 */
function mergeAddedTokens(own: readonly AddedToken[], model: TokenModel, config: TokenizerConfig, root: JsonEntry): AddedToken[] {
  const tokens = [...own];
  const known = new Map(own.map((token) => [token.content, token]));
  const add = (token: AddedToken): void => {
    if (known.has(token.content)) return;
    const problem = contradiction(token, model);
    if (problem !== null)
      throw root.error(`${problem} (tokenizer_config.json or added_tokens.json contradicts this file)`, "invalid_reference");
    known.set(token.content, token);
    tokens.push(token);
  };
  for (const token of config.added) add(token);
  for (const { content, entry } of [...Object.values(config.roles), ...config.additional]) {
    const id = model.vocabulary.id(content);
    if (id !== undefined)
      add(entry === null ? plainToken(content, id, true) : { ...parseAddedToken(entry, id, { special: true }), special: true });
  }
  return tokens;
}

function specialIds(config: TokenizerConfig, addedTokens: readonly AddedToken[], model: TokenModel): SpecialIds {
  const id = (role: keyof SpecialIds): number | undefined => {
    const content = config.roles[role]?.content;
    if (content === undefined) return undefined;
    return addedTokens.find((token) => token.content === content)?.id ?? model.vocabulary.id(content);
  };
  return { bos: id("bos"), eos: id("eos"), pad: id("pad"), unk: id("unk") };
}
