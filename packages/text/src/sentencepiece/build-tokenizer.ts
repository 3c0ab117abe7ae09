/** A `.model` file and the side files of its folder → a tokenizer of the right family. */
import { type AddedToken, parseAddedToken, plainToken } from "../added-tokens.ts";
import type { SpecialIds } from "../tokenizer.ts";
import { NO_SIDE_FILES, readTokenizerConfig, type SideFiles, type TokenizerConfig } from "../tokenizer-config.ts";
import { TokenizerError } from "../tokenizer-error.ts";
import type { Vocabulary } from "../vocabulary.ts";
import { FAMILY_CLASSES, type Family, familyOf, LLAMA } from "./families.ts";
import { parseModelFile } from "./model-file.ts";
import { SentencePieceProcessor } from "./processor.ts";
import { SentencePieceTokenizer } from "./sentence-piece-tokenizer.ts";

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
  const named = namedTokens(config, family);
  const addedTokens = collectAddedTokens(config, family, named, model.vocabulary, file);
  return new SentencePieceTokenizer(new SentencePieceProcessor(model), {
    family,
    legacy,
    addBos: config.addBos ?? family.addBos,
    addEos: config.addEos ?? family.addEos,
    addedTokens,
    special: specialIds(named.roles, addedTokens, model.vocabulary),
    cleanUpSpaces: config.cleanUpSpaces ?? false,
  });
}

interface NamedTokens {
  readonly roles: TokenizerConfig["roles"];
  readonly all: readonly { readonly content: string; readonly entry: Parameters<typeof parseAddedToken>[0] | null }[];
}

/** Tokens with a role (the files', else the family's) and tokens named special without one. */
function namedTokens(config: TokenizerConfig, family: Family): NamedTokens {
  const defaults = Object.fromEntries(Object.entries(family.roles).map(([role, content]) => [role, { content, entry: null }]));
  const roles: TokenizerConfig["roles"] = { ...defaults, ...config.roles };
  return { roles, all: [...Object.values(roles), ...config.additional] };
}

/** Listed tokens with their ids, T5's extra ids, then the named ones that the model knows. */
function collectAddedTokens(
  config: TokenizerConfig,
  family: Family,
  named: NamedTokens,
  vocabulary: Vocabulary,
  file: string,
): AddedToken[] {
  const special = new Set(named.all.map(({ content }) => content));
  const tokens = new Map<string, AddedToken>();
  for (const token of config.added) {
    checkAgainstModel(token, vocabulary, file);
    tokens.set(token.content, { ...token, special: token.special || special.has(token.content) });
  }
  const extraIds = config.extraIds ?? family.extraIds;
  for (let i = 0; i < extraIds; i++) {
    const extra = plainToken(`<extra_id_${i}>`, vocabulary.size - 1 + extraIds - i, true);
    if (!tokens.has(extra.content)) tokens.set(extra.content, { ...extra, lstrip: true, rstrip: true });
  }
  for (const { content, entry } of named.all) {
    const id = vocabulary.id(content);
    if (tokens.has(content) || id === undefined) continue;
    const token = entry === null ? plainToken(content, id, true) : parseAddedToken(entry, id, { special: true });
    tokens.set(content, { ...token, special: true });
  }
  return [...tokens.values()];
}

function checkAgainstModel({ content, id }: AddedToken, vocabulary: Vocabulary, file: string): void {
  const own = vocabulary.id(content) ?? id;
  const holder = vocabulary.token(id) ?? content;
  if (own === id && holder === content) return;
  const found = own === id ? `which is ${JSON.stringify(holder)}'s in the model` : `but the model gives it ${own}`;
  throw new TokenizerError("invalid_reference", `added token ${JSON.stringify(content)} has id ${id}, ${found}`, { file });
}

function specialIds(roles: TokenizerConfig["roles"], addedTokens: readonly AddedToken[], vocabulary: Vocabulary): SpecialIds {
  const id = (role: keyof SpecialIds): number | undefined => {
    const content = roles[role]?.content;
    if (content === undefined) return undefined;
    return addedTokens.find((token) => token.content === content)?.id ?? vocabulary.id(content);
  };
  return { bos: id("bos"), eos: id("eos"), pad: id("pad"), unk: id("unk") };
}
