/**
 * Learns the tokenizer of the models in this folder from the texts of drawn scenes, and writes it to `tokenizer/`: LLaMA's
 * kind of byte-pair encoding (a space is ▁, what is unknown falls back to bytes), about one id for every word.
 *
 *     node --conditions=@waggle/source --import tsx recipes/tokenizer.ts
 *
 * A number is read digit by digit, as LLaMA does, but for what all coordinates begin with: `[0.` and `,0.` are one id each,
 * which makes a box 17 ids instead of 26.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { scenes } from "@waggle/data";
import { honeybee } from "@waggle/text";

const SPACE = "▁";
const SAMPLES = 6000;
/** Pairs that are rarer are left apart. */
const RARE = 20;

const splits = (["train", "composition"] as const).map((split) => scenes({ split, seed: 0, length: SAMPLES, questions: 8 }));
const words = new Map<string, number>();
for (const dataset of splits)
  for (let i = 0; i < SAMPLES; i++) {
    const messages = dataset
      .describe(i)
      .conversations.map(({ from, value }) => ({ role: from === "human" ? ("user" as const) : ("assistant" as const), content: value }));
    const text = honeybee.render(messages, { addGenerationPrompt: false }).replace("<image>", "");
    for (const word of text.split(/(\n(?:Human|AI): )|\s+/)) if (word) words.set(asPiece(word), (words.get(asPiece(word)) ?? 0) + 1);
  }

function asPiece(word: string): string {
  return SPACE + word.replaceAll(" ", SPACE);
}

/** Letters with letters, the beginning of a turn, and that of a coordinate. */
function mayJoin(text: string): boolean {
  const turns = ["▁\nHuman:▁", "▁\nAI:▁"];
  return /^▁?\p{L}+$/u.test(text) || /^(▁?\[|,)?0\.$/.test(text) || text === "▁[" || turns.some((turn) => turn.includes(text));
}

const merges: [string, string][] = [];
const pieces = [...words].map(([word, count]) => ({ symbols: [...word], count }));
for (;;) {
  const pairs = new Map<string, number>();
  for (const { symbols, count } of pieces)
    for (let i = 1; i < symbols.length; i++) {
      const pair = `${symbols[i - 1]} ${symbols[i]}`;
      pairs.set(pair, (pairs.get(pair) ?? 0) + count);
    }
  const [best] = [...pairs]
    .filter(([pair, count]) => count >= RARE && mayJoin(pair.replace(" ", "")))
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  if (best === undefined) break;
  const [left = "", right = ""] = best[0].split(" ");
  merges.push([left, right]);
  for (const piece of pieces)
    for (let i = 1; i < piece.symbols.length; i++)
      if (piece.symbols[i - 1] === left && piece.symbols[i] === right) piece.symbols.splice(i - 1, 2, left + right);
}

const special = ["<unk>", "<s>", "</s>"];
const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
const characters = [...new Set([...words.keys()].join(""))].sort();
const vocab = [...new Set([...special, ...bytes, ...characters, ...merges.map((pair) => pair.join(""))])];

const tokenizer = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: special.map((content, id) => ({
    ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  })),
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: SPACE },
      { type: "Replace", pattern: { String: " " }, content: SPACE },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
  },
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: SPACE }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
  model: {
    ...{ type: "BPE", dropout: null, unk_token: "<unk>", continuing_subword_prefix: null, end_of_word_suffix: null },
    ...{ fuse_unk: true, byte_fallback: true, ignore_merges: false },
    vocab: Object.fromEntries(vocab.map((piece, id) => [piece, id])),
    merges,
  },
};
const config = {
  ...{ add_bos_token: true, add_eos_token: false, bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" },
  ...{ clean_up_tokenization_spaces: false, legacy: false, model_max_length: 1024, tokenizer_class: "LlamaTokenizer" },
};

const folder = new URL("tokenizer/", import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL("tokenizer.json", folder), `${JSON.stringify(tokenizer, null, 1)}\n`);
writeFileSync(new URL("tokenizer_config.json", folder), `${JSON.stringify(config, null, 2)}\n`);
console.log(`${vocab.length} ids, ${merges.length} merges, from ${words.size} words`);
