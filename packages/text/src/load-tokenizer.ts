/**
 * A model folder's tokenizer, from whichever of the published file sets it holds:
 *
 *     tokenizer.json                  any pipeline, exactly as it is written
 *     tokenizer.model, spiece.model   SentencePiece, with the behaviour of transformers' slow classes
 *     vocab.json + merges.txt         CLIP, GPT-2, OPT, RoBERTa
 *     vocab.txt                       BERT
 *
 * The first one there counts; `files: "sentencepiece"` prefers the SentencePiece model, as the authors of LLaVA,
 * Honeybee and MiniGPT-4 do.
 */
import { join } from "node:path";
import { JsonEntry } from "./json-entry.ts";
import { checkOptions } from "./options.ts";
import { bytePairTokenizer, wordPieceTokenizer } from "./pipeline/class-pipelines.ts";
import { parsePipeline } from "./pipeline/parse-pipeline.ts";
import { readBytes, readJsonEntry, readText } from "./read-files.ts";
import { sentencePieceTokenizer } from "./sentencepiece/build-tokenizer.ts";
import { LLAMA, T5 } from "./sentencepiece/families.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { ROLES, type Role, type SideFiles } from "./tokenizer-config.ts";
import { TokenizerError } from "./tokenizer-error.ts";

export interface LoadTokenizerOptions {
  /** Which file set to prefer where a folder holds several. Default "tokenizer.json". */
  readonly files?: "tokenizer.json" | "sentencepiece";
  /** For SentencePiece, over what tokenizer_config.json says: whether each text behind a special token gets its own `▁`. */
  readonly legacy?: boolean;
  /** Special tokens by role, over what the files say: `{ pad: "$$" }`. */
  readonly specialTokens?: Readonly<Partial<Record<Role, string>>>;
}

const OPTIONS: readonly string[] = ["files", "legacy", "specialTokens"] satisfies (keyof LoadTokenizerOptions)[];
const SENTENCE_PIECE_FILES = [
  { name: "tokenizer.model", family: LLAMA },
  { name: "spiece.model", family: T5 },
] as const;

export async function loadTokenizer(folder: string, options: LoadTokenizerOptions = {}): Promise<Tokenizer> {
  checkOptions("loadTokenizer", options, OPTIONS);
  const { files = "tokenizer.json", specialTokens = {} } = options;
  if (files !== "tokenizer.json" && files !== "sentencepiece") {
    throw new TokenizerError(
      "invalid_option",
      `loadTokenizer: files is "tokenizer.json" or "sentencepiece", got ${JSON.stringify(files)}.`,
    );
  }
  checkOptions("loadTokenizer: specialTokens", specialTokens, ROLES);
  const sideFiles = await readSideFiles(folder, specialTokens);
  const forms = [() => fromJson(folder, sideFiles), () => fromSentencePiece(folder, sideFiles, options)];
  if (files === "sentencepiece") forms.reverse();
  for (const form of [...forms, () => fromMerges(folder, sideFiles), () => fromWordList(folder, sideFiles)]) {
    const tokenizer = await form();
    if (tokenizer !== null) return tokenizer;
  }
  const expected = "tokenizer.json, tokenizer.model, spiece.model, vocab.json with merges.txt, or vocab.txt";
  throw new TokenizerError("not_found", `no tokenizer here; expected ${expected}.`, { file: folder });
}

async function readSideFiles(folder: string, specialTokens: Readonly<Partial<Record<Role, string>>>): Promise<SideFiles> {
  const [config, specialTokensMap, addedTokens] = await Promise.all([
    readJsonEntry(folder, "tokenizer_config.json"),
    readJsonEntry(folder, "special_tokens_map.json"),
    readJsonEntry(folder, "added_tokens.json"),
  ]);
  const named = Object.fromEntries(Object.entries(specialTokens).map(([role, token]) => [`${role}_token`, token]));
  if (Object.keys(named).length === 0) return { config, specialTokensMap, addedTokens };
  const merged = new JsonEntry(config?.file ?? join(folder, "tokenizer_config.json"), "", { ...config?.object(), ...named });
  return { config: merged, specialTokensMap, addedTokens };
}

async function fromJson(folder: string, sideFiles: SideFiles): Promise<Tokenizer | null> {
  const root = await readJsonEntry(folder, "tokenizer.json");
  return root === null ? null : parsePipeline(root, sideFiles);
}

async function fromSentencePiece(folder: string, sideFiles: SideFiles, { legacy }: LoadTokenizerOptions): Promise<Tokenizer | null> {
  for (const { name, family } of SENTENCE_PIECE_FILES) {
    const bytes = await readBytes(folder, name);
    if (bytes === null) continue;
    return sentencePieceTokenizer(bytes, { file: join(folder, name), sideFiles, family, ...(legacy === undefined ? {} : { legacy }) });
  }
  return null;
}

async function fromMerges(folder: string, sideFiles: SideFiles): Promise<Tokenizer | null> {
  const [vocab, merges] = await Promise.all([readJsonEntry(folder, "vocab.json"), readText(folder, "merges.txt")]);
  return vocab === null || merges === null ? null : bytePairTokenizer(vocab, merges, sideFiles);
}

async function fromWordList(folder: string, sideFiles: SideFiles): Promise<Tokenizer | null> {
  const words = await readText(folder, "vocab.txt");
  return words === null ? null : wordPieceTokenizer(words, join(folder, "vocab.txt"), sideFiles);
}
