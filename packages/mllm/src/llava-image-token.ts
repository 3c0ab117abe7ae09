/** `<image>` as a token: LLaVA's authors have none, transformers needs one, with rows in the tables of embeddings. */
import { join } from "node:path";
import { castTensor, readFloat32, type TensorSource } from "@waggle/checkpoint";
import { ConfigError } from "@waggle/nn";
import { IMAGE_PLACEHOLDER, llamaTokenizerJson, loadTokenizer, type Tokenizer } from "@waggle/text";
import { optionalObject } from "./assets.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface ImageToken {
  readonly id: number;
  /** A picture in a chat template, with what makes the text behind it the ids that it has alone. */
  readonly picture: string;
  /** The tokenizer's files that name it, where it is new. */
  readonly files: ReadonlyMap<string, Fields>;
}

export async function imageToken(folder: string, marks: boolean): Promise<ImageToken> {
  const tokenizer = await loadTokenizer(folder, { files: "sentencepiece" });
  const known = tokenizer.tokenId(IMAGE_PLACEHOLDER);
  const id = known ?? tokenizer.size;
  if (known === undefined && tokenizer.token(id) !== undefined) {
    throw new ConfigError(folder, [{ field: "tokenizer", message: `has ${tokenizer.size} tokens, but also one with the id ${id}.` }]);
  }
  return { id, picture: pictureText(tokenizer, marks), files: known === undefined ? await filesWith(folder, id) : new Map() };
}

/**
 * The authors tokenize the text behind a picture alone, where SentencePiece puts a `▁` in front of it. Behind a special
 * token it does not always: then a space does the same.
 */
function pictureText(tokenizer: Tokenizer, marks: boolean): string {
  const behind = marks ? "<im_end>\n" : "\n";
  const ids = (text: string): string => tokenizer.encode(text, { addSpecialTokens: false }).join(" ");
  const special = tokenizer.special.eos ?? tokenizer.special.bos;
  const token = special === undefined ? undefined : tokenizer.token(special);
  const same = (text: string): boolean => ids(`${token}${text}a`) === `${special} ${ids(`${behind}a`)}`;
  const spaced = token !== undefined && !same(behind) && same(` ${behind}`);
  return `${marks ? "<im_start>" : ""}${IMAGE_PLACEHOLDER}${spaced ? " " : ""}${behind}`;
}

async function filesWith(folder: string, id: number): Promise<ReadonlyMap<string, Fields>> {
  const conditions = { lstrip: false, normalized: false, rstrip: false, single_word: false, special: true };
  const token = { content: IMAGE_PLACEHOLDER, ...conditions };
  const [pipeline, config, added] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json", "added_tokens.json"].map((name) => optionalObject(join(folder, name))),
  );
  const decoder = config?.added_tokens_decoder as Fields | undefined;
  const files: [string, Fields][] = [
    [
      "tokenizer_config.json",
      {
        ...config,
        added_tokens_decoder: { ...decoder, [id]: token },
        extra_special_tokens: { ...(config?.extra_special_tokens as Fields | undefined), image_token: IMAGE_PLACEHOLDER },
        processor_class: "LlavaProcessor",
      },
    ],
    ["added_tokens.json", { ...added, [IMAGE_PLACEHOLDER]: id }],
  ];
  const json = pipeline ?? (await llamaTokenizerJson(folder));
  if (json) {
    const tokens = Array.isArray(json.added_tokens) ? json.added_tokens : [];
    files.push(["tokenizer.json", { ...json, added_tokens: [...tokens, { id, ...token }] }]);
  }
  return new Map(files);
}

/** The tables with rows for every id up to `id`; other tensors as they are. */
export function withImageRow(name: string, table: TensorSource, id: number): TensorSource {
  const [rows = 0, width = 0] = table.shape;
  if (!/^language_model\.(model\.embed_tokens|lm_head)\.weight$/.test(name) || rows > id) return table;
  const { dtype } = table;
  if (dtype !== "float32" && dtype !== "float16" && dtype !== "bfloat16") return withImageRow(name, castTensor(table, "float32"), id);
  const read = async (): Promise<Uint8Array> => {
    const bytes = await table.read();
    const mean = await meanRow(await readFloat32({ dtype, read: async () => bytes }), width);
    const row = await castTensor({ dtype: "float32", shape: [width], read: async () => new Uint8Array(mean.buffer) }, dtype).read();
    const all = new Uint8Array(bytes.byteLength + (id + 1 - rows) * row.byteLength);
    all.set(bytes);
    for (let at = bytes.byteLength; at < all.byteLength; at += row.byteLength) all.set(row, at);
    return all;
  };
  return { dtype, shape: [id + 1, width], read };
}

function meanRow(values: Float32Array, width: number): Float32Array {
  const sums = new Float64Array(width);
  for (let at = 0; at < values.length; at += width)
    for (let column = 0; column < width; column++) sums[column] = (sums[column] as number) + (values[at + column] as number);
  return Float32Array.from(sums, (sum) => sum / (values.length / width));
}
