/**
 * `tokenizer.json` for a folder that only has Llama's `tokenizer.model`: what transformers' conversion makes of it, for
 * programs that do not read SentencePiece. A pair may merge if the result is a piece; earlier pieces merge first.
 * reference  transformers `LlamaConverter`, `generate_merges`
 */
import { join } from "node:path";
import { readBytes, readJsonEntry } from "../read-files.ts";
import { readTokenizerConfig, type TokenizerConfig } from "../tokenizer-config.ts";
import { familyOf, LLAMA } from "./families.ts";
import { Kind, parseModelFile, type SentencePieceModel } from "./model-file.ts";

type Json = Readonly<Record<string, unknown>>;

const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };

/** The parsed file; null where there is no tokenizer.model, or where it is of another kind than Llama's. */
export async function llamaTokenizerJson(folder: string): Promise<Json | null> {
  const file = join(folder, "tokenizer.model");
  const bytes = await readBytes(folder, "tokenizer.model");
  if (bytes === null) return null;
  const [tokenizerConfig, specialTokensMap, addedTokens] = await Promise.all(
    ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"].map((name) => readJsonEntry(folder, name)),
  );
  const config = readTokenizerConfig({
    config: tokenizerConfig ?? null,
    specialTokensMap: specialTokensMap ?? null,
    addedTokens: addedTokens ?? null,
  });
  const model = parseModelFile(bytes, file);
  const isLlama = model.algorithm === "bpe" && model.byteFallback && model.characterMap === null && familyOf(config, LLAMA) === LLAMA;
  return isLlama ? pipeline(model, config) : null;
}

function pipeline(model: SentencePieceModel, config: TokenizerConfig): Json {
  const legacy = config.legacy ?? true;
  const spaces = { type: "Replace", pattern: { String: " " }, content: "▁" };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(model, config),
    normalizer: legacy ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, spaces] } : null,
    pre_tokenizer: legacy ? null : { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
    post_processor: postProcessor(model, config),
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: model.vocabulary.token(model.unknown),
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(model.vocabulary.tokens()),
      merges: mergesOf(model),
    },
  };
}

/** The model's control tokens and user's symbols, and what the folder adds. */
function addedTokens({ vocabulary, kinds }: SentencePieceModel, { added, roles }: TokenizerConfig): readonly Json[] {
  const tokens = new Map<number, Json>();
  const special = new Set(
    Object.values({ ...LLAMA.roles, ...Object.fromEntries(Object.entries(roles).map(([role, { content }]) => [role, content])) }),
  );
  for (const [content, id] of vocabulary.tokens()) {
    const isControl = kinds[id] === Kind.CONTROL || kinds[id] === Kind.UNKNOWN || special.has(content);
    if (isControl || kinds[id] === Kind.USER_DEFINED) tokens.set(id, { id, content, ...plain, special: isControl });
  }
  for (const token of added) tokens.set(token.id, { ...token });
  return [...tokens.values()].sort((a, b) => Number(a.id) - Number(b.id));
}

function postProcessor({ vocabulary }: SentencePieceModel, { addBos, addEos, roles }: TokenizerConfig): Json | null {
  const tokenOf = (role: "bos" | "eos", wanted: boolean): string[] => {
    const content = roles[role]?.content ?? LLAMA.roles[role];
    return wanted && content !== undefined && vocabulary.id(content) !== undefined ? [content] : [];
  };
  const [before, behind] = [tokenOf("bos", addBos ?? LLAMA.addBos), tokenOf("eos", addEos ?? LLAMA.addEos)];
  if (before.length + behind.length === 0) return null;
  const around = (id: "A" | "B", type_id: number): Json[] => [
    ...before.map((token) => ({ SpecialToken: { id: token, type_id } })),
    { Sequence: { id, type_id } },
    ...behind.map((token) => ({ SpecialToken: { id: token, type_id } })),
  ];
  const tokens = [...before, ...behind].map((token) => [token, { id: token, ids: [vocabulary.id(token)], tokens: [token] }] as const);
  return {
    type: "TemplateProcessing",
    single: around("A", 0),
    pair: [...around("A", 0), ...around("B", 1)],
    special_tokens: Object.fromEntries(tokens),
  };
}

/** Pieces in their order, each with the pairs that make it. */
function mergesOf({ vocabulary, kinds, scores }: SentencePieceModel): readonly string[] {
  const pieces = Array.from(vocabulary.tokens()).filter(([, id]) => kinds[id] === Kind.NORMAL);
  pieces.sort(([, a], [, b]) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
  return pieces.flatMap(([piece]) => {
    const characters = Array.from(piece);
    const pairs = characters.slice(1).flatMap((_, cut): (readonly [number, number, string])[] => {
      const [left, right] = [characters.slice(0, cut + 1).join(""), characters.slice(cut + 1).join("")];
      const [a, b] = [vocabulary.id(left), vocabulary.id(right)];
      return a === undefined || b === undefined ? [] : [[a, b, `${left} ${right}`]];
    });
    return pairs.sort(([a, b], [c, d]) => a - c || b - d).map(([, , text]) => text);
  });
}
