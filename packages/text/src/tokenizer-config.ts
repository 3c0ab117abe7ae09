/**
 * What tokenizer_config.json, special_tokens_map.json and added_tokens.json say. Where two files name the same thing,
 * tokenizer_config.json counts, as in transformers.
 */
import { type AddedToken, parseAddedToken, plainToken } from "./added-tokens.ts";
import type { JsonEntry } from "./json-entry.ts";
import { MAX_ID } from "./vocabulary.ts";

/** The side files of a folder; null where there is none. */
export interface SideFiles {
  readonly config: JsonEntry | null;
  readonly specialTokensMap: JsonEntry | null;
  readonly addedTokens: JsonEntry | null;
}

export const NO_SIDE_FILES: SideFiles = { config: null, specialTokensMap: null, addedTokens: null };

export const ROLES = ["bos", "eos", "unk", "pad", "sep", "cls", "mask"] as const;
export type Role = (typeof ROLES)[number];

export interface TokenizerConfig {
  readonly className: string | null;
  /** Spelling of the token with a role; with its entry where it is written with conditions. */
  readonly roles: Readonly<Partial<Record<Role, NamedToken>>>;
  /** Special tokens without a role. */
  readonly additional: readonly NamedToken[];
  /** Tokens with an id: added_tokens_decoder, then added_tokens.json. */
  readonly added: readonly AddedToken[];
  readonly addBos: boolean | null;
  readonly addEos: boolean | null;
  readonly addPrefixSpace: boolean | null;
  readonly legacy: boolean | null;
  readonly cleanUpSpaces: boolean | null;
  readonly lowerCase: boolean | null;
  readonly stripAccents: boolean | null;
  readonly splitChinese: boolean | null;
  readonly extraIds: number | null;
}

export interface NamedToken {
  readonly content: string;
  /** The `{ content, lstrip … }` form, if it is written so. */
  readonly entry: JsonEntry | null;
}

export function readTokenizerConfig({ config, specialTokensMap, addedTokens }: SideFiles): TokenizerConfig {
  const flag = (key: string): boolean | null => (config?.has(key) ? config.at(key).boolean() : null);
  const sources = [config, specialTokensMap].filter((source) => source !== null);
  const roles: Partial<Record<Role, NamedToken>> = {};
  for (const role of ROLES) {
    const named = sources.find((source) => source.has(`${role}_token`))?.at(`${role}_token`);
    if (named !== undefined) roles[role] = namedToken(named);
  }
  const className = config?.has("tokenizer_class") ? config.at("tokenizer_class").string() : null;
  return {
    className,
    roles,
    additional: additionalTokens(sources),
    added: listedTokens(config, addedTokens, new Set(Object.values(roles).map((role) => role.content))),
    addBos: flag("add_bos_token"),
    addEos: flag("add_eos_token"),
    addPrefixSpace: flag("add_prefix_space"),
    legacy: flag("legacy"),
    cleanUpSpaces: flag("clean_up_tokenization_spaces"),
    lowerCase: flag("do_lower_case"),
    stripAccents: flag("strip_accents"),
    splitChinese: flag("tokenize_chinese_chars"),
    extraIds: config?.has("extra_ids") ? config.at("extra_ids").integer() : null,
  };
}

function namedToken(entry: JsonEntry): NamedToken {
  if (typeof entry.value === "string") return { content: entry.value, entry: null };
  return { content: entry.at("content").string(), entry };
}

function additionalTokens(sources: readonly JsonEntry[]): NamedToken[] {
  for (const key of ["additional_special_tokens", "extra_special_tokens"]) {
    const source = sources.find((candidate) => candidate.has(key))?.at(key);
    if (source === undefined) continue;
    const entries = source.isObject() ? Object.keys(source.object()).map((name) => source.at(name)) : source.list();
    return entries.map(namedToken);
  }
  return [];
}

/** added_tokens_decoder has ids as keys; added_tokens.json is the older `{ token: id }`. */
function listedTokens(config: JsonEntry | null, addedTokens: JsonEntry | null, named: ReadonlySet<string>): AddedToken[] {
  const decoder = config?.has("added_tokens_decoder") ? config.at("added_tokens_decoder") : null;
  const listed = Object.keys(decoder?.object() ?? {}).map((key) => {
    const entry = decoder?.at(key) as JsonEntry;
    if (!/^\d+$/.test(key) || Number(key) > MAX_ID)
      throw entry.error(`expected a token id from 0 to ${MAX_ID} as key, got ${JSON.stringify(key)}`);
    return parseAddedToken(entry, Number(key), { special: false });
  });
  const known = new Set(listed.map((token) => token.content));
  const older = Object.keys(addedTokens?.object() ?? {})
    .filter((content) => !known.has(content))
    .map((content) => {
      const id = (addedTokens as JsonEntry).at(content).integer();
      return plainToken(content, id, named.has(content));
    });
  return [...listed, ...older];
}
