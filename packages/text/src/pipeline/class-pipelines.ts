/**
 * Folders from before tokenizer.json: the pipeline that transformers builds from vocab.json and merges.txt, or from
 * vocab.txt, written as the tokenizer.json it would save.
 * reference  transformers 4.36 `convert_slow_tokenizer.py`
 */
import { JsonEntry } from "../json-entry.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { type Role, readTokenizerConfig, type SideFiles, type TokenizerConfig } from "../tokenizer-config.ts";
import { TokenizerError } from "../tokenizer-error.ts";
import { parsePipeline } from "./parse-pipeline.ts";

type Roles = Partial<Record<Role, string>>;

const ENDOFTEXT = "<|endoftext|>";
const CLIP_WORDS = "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/** vocab.json and merges.txt: CLIP, RoBERTa and BART, GPT-2 and OPT. */
export function bytePairTokenizer(vocab: JsonEntry, merges: string, sideFiles: SideFiles): Tokenizer {
  const config = readTokenizerConfig(sideFiles);
  const name = config.className?.replace(/Fast$/, "") ?? (vocab.has("<|startoftext|>") ? "CLIPTokenizer" : "GPT2Tokenizer");
  const build = BYTE_PAIR_CLASSES[name];
  if (build === undefined) {
    const known = Object.keys(BYTE_PAIR_CLASSES).join(", ");
    const message = `tokenizer class ${config.className} over vocab.json and merges.txt is not supported; supported: ${known}. Save the tokenizer as tokenizer.json.`;
    throw new TokenizerError("unsupported", message, { file: sideFiles.config?.file ?? vocab.file, entry: "tokenizer_class" });
  }
  const lines = merges.split(/\r?\n/).filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version")));
  const { roles, model, ...pipeline } = build(config, vocab);
  const root = {
    ...pipeline,
    added_tokens: specialTokens(roles, vocab),
    model: { type: "BPE", ...model, vocab: vocab.value, merges: lines },
  };
  return parsePipeline(new JsonEntry(vocab.file, "", root), withRoles(sideFiles, roles));
}

/** vocab.txt: BERT. One token a line, its number is the id. */
export function wordPieceTokenizer(text: string, file: string, sideFiles: SideFiles): Tokenizer {
  const config = readTokenizerConfig(sideFiles);
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  const vocab = new JsonEntry(file, "", Object.fromEntries(lines.map((token, id) => [token, id])));
  const roles = rolesOf(config, { unk: "[UNK]", sep: "[SEP]", pad: "[PAD]", cls: "[CLS]", mask: "[MASK]" });
  const lower = config.lowerCase ?? true;
  const root = {
    added_tokens: specialTokens(roles, vocab),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: config.splitChinese ?? true,
      strip_accents: config.stripAccents,
      lowercase: lower,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: { type: "BertProcessing", cls: pair(roles.cls, vocab), sep: pair(roles.sep, vocab) },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: { type: "WordPiece", unk_token: roles.unk, vocab: vocab.value },
  };
  return parsePipeline(new JsonEntry(file, "", root), withRoles(sideFiles, roles));
}

interface ClassPipeline {
  readonly roles: Roles;
  readonly model: object;
  readonly normalizer?: object;
  readonly pre_tokenizer: object;
  readonly post_processor: object | null;
  readonly decoder: object;
}

const BYTE_PAIR_CLASSES: Readonly<Record<string, (config: TokenizerConfig, vocab: JsonEntry) => ClassPipeline>> = {
  CLIPTokenizer: clip,
  GPT2Tokenizer: gpt2,
  RobertaTokenizer: roberta,
  BartTokenizer: roberta,
};

function clip(config: TokenizerConfig, vocab: JsonEntry): ClassPipeline {
  const roles = rolesOf(config, { bos: "<|startoftext|>", eos: ENDOFTEXT, unk: ENDOFTEXT, pad: ENDOFTEXT });
  return {
    roles,
    model: { end_of_word_suffix: "</w>", unk_token: roles.unk },
    normalizer: {
      type: "Sequence",
      normalizers: [{ type: "NFC" }, { type: "Replace", pattern: { Regex: "\\s+" }, content: " " }, { type: "Lowercase" }],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: CLIP_WORDS }, behavior: "Removed", invert: true },
        { type: "ByteLevel", add_prefix_space: false },
      ],
    },
    post_processor: { type: "RobertaProcessing", cls: pair(roles.bos, vocab), sep: pair(roles.eos, vocab) },
    decoder: { type: "ByteLevel" },
  };
}

/** GPT-2 puts nothing around a text; OPT, which has the same class, asks for a beginning token. */
function gpt2(config: TokenizerConfig, vocab: JsonEntry): ClassPipeline {
  const roles = rolesOf(config, { bos: ENDOFTEXT, eos: ENDOFTEXT, unk: ENDOFTEXT });
  const token = (content: string | undefined): object => ({ SpecialToken: { id: content, type_id: 0 } });
  const wraps = [config.addBos === true ? roles.bos : undefined, config.addEos === true ? roles.eos : undefined];
  const single = [
    ...(config.addBos ? [token(roles.bos)] : []),
    { Sequence: { id: "A", type_id: 0 } },
    ...(config.addEos ? [token(roles.eos)] : []),
  ];
  const special = wraps
    .filter((content) => content !== undefined)
    .map((content) => [content, { id: content, ids: [pair(content, vocab)[1]] }]);
  return {
    roles,
    model: {},
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: config.addPrefixSpace ?? false },
    post_processor: special.length === 0 ? null : { type: "TemplateProcessing", single, special_tokens: Object.fromEntries(special) },
    decoder: { type: "ByteLevel" },
  };
}

function roberta(config: TokenizerConfig, vocab: JsonEntry): ClassPipeline {
  const roles = rolesOf(config, { bos: "<s>", eos: "</s>", sep: "</s>", cls: "<s>", unk: "<unk>", pad: "<pad>", mask: "<mask>" });
  return {
    roles,
    model: {},
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: config.addPrefixSpace ?? false },
    post_processor: { type: "RobertaProcessing", cls: pair(roles.cls, vocab), sep: pair(roles.sep, vocab) },
    decoder: { type: "ByteLevel" },
  };
}

function rolesOf(config: TokenizerConfig, defaults: Roles): Roles {
  return { ...defaults, ...Object.fromEntries(Object.entries(config.roles).map(([role, { content }]) => [role, content])) };
}

function pair(token: string | undefined, vocab: JsonEntry): [string, number] {
  const id = vocab.at(token ?? "");
  if (token === undefined || !id.present)
    throw vocab.error(`the special token ${JSON.stringify(token)} is not in the vocabulary`, "invalid_reference");
  return [token, id.integer()];
}

function specialTokens(roles: Roles, vocab: JsonEntry): object[] {
  const known = [...new Set(Object.values(roles))].filter((token) => vocab.has(token));
  return known.map((content) => ({ content, id: vocab.at(content).value, special: true, normalized: content.startsWith("<|") }));
}

/** The class's own special tokens count where the files name none. */
function withRoles(sideFiles: SideFiles, roles: Roles): SideFiles {
  const config = sideFiles.config?.object() ?? {};
  const named = Object.fromEntries(Object.entries(roles).map(([role, content]) => [`${role}_token`, content]));
  return { ...sideFiles, config: new JsonEntry(sideFiles.config?.file ?? "tokenizer_config.json", "", { ...named, ...config }) };
}
