/** A model folder's tokenizer, from whichever of the published file sets it holds. */
import { parsePipeline } from "./pipeline/parse-pipeline.ts";
import { readJsonEntry } from "./read-files.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { TokenizerError } from "./tokenizer-error.ts";

export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const [tokenizer, config, specialTokensMap, addedTokens] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"].map((name) => readJsonEntry(folder, name)),
  );
  const sideFiles = { config: config ?? null, specialTokensMap: specialTokensMap ?? null, addedTokens: addedTokens ?? null };
  if (tokenizer !== null && tokenizer !== undefined) return parsePipeline(tokenizer, sideFiles);
  throw new TokenizerError("not_found", "no tokenizer here; expected tokenizer.json.", { file: folder });
}
