/**
 * Pictures as the training graph takes them. Behind a frozen encoder a picture's patch features never change: they are
 * computed once, and kept on disk under a name made from the picture's bytes, the image processor and the encoder.
 *
 *     <folder>/<sha256>.features    uint32 tiles · int32 rows[…] count first · float32 features [tiles, N, C]
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { input, symbol } from "@waggle/graph";
import { type DecodeOptions, decodeImage, type ImageInput, type Picture } from "@waggle/image";
import { type Assembly, type Sight, weightPlacer } from "@waggle/mllm";
import { ConfigError, type Module } from "@waggle/nn";
import type { Runtime, Session } from "@waggle/runtime";
import { Tensor } from "onnxruntime-common";
import type { PictureShape, PreparedPicture } from "./conversation-objective.ts";

export interface PictureReader extends Disposable {
  readonly shape: PictureShape;
  /** Decodes and prepares one picture; behind a frozen encoder takes what is on disk. */
  prepare(picture: ImageInput, signal?: AbortSignal): Promise<PreparedPicture>;
  dispose(): void;
}

export interface PictureReaderOptions {
  readonly runtime: Runtime;
  /** Where features of a frozen encoder are kept; null: the encoder learns, so pictures enter the graph as pixels. */
  readonly features: string | null;
  readonly limits?: Omit<DecodeOptions, "signal"> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How the pictures of `model` enter its training graph; null where it takes text only. */
export async function pictureReader(model: Assembly, options: PictureReaderOptions): Promise<PictureReader | null> {
  const { composition, sight } = model;
  if (composition === null || sight === null) return null;
  const { vision_tower } = composition.modules;
  const { height, width } = vision_tower.image_size;
  const tokens = composition.tokensPerImage;
  const pixels = (found: Picture, signal?: AbortSignal) => preparePixels(sight, tokens, found, signal);
  if (options.features === null) {
    return {
      shape: { input: "pixel_values", shape: [3, height, width], tokens },
      prepare: async (picture, signal) => pixels(await decode(picture, options, signal), signal),
      dispose: () => {},
      [Symbol.dispose]: () => {},
    };
  }
  const pixel_values = input("pixel_values", "float32", [symbol("P"), 3, height, width]);
  const graph = { name: "encoder", inputs: { pixel_values }, outputs: { features: vision_tower.forward(pixel_values) } };
  const { signal } = options;
  const session = await options.runtime.compile(graph, { weights: weightPlacer(), ...(signal && { signal }) });
  return new FeatureCache(
    options.features,
    session,
    { sight, side: [height, width], tokens, patches: vision_tower.patches, width: vision_tower.hidden_size },
    options,
    [JSON.stringify(sight.processor.settings), fingerprint(vision_tower)],
  );
}

interface Seen {
  readonly sight: Sight;
  readonly side: readonly [number, number];
  readonly tokens: number;
  readonly patches: number;
  readonly width: number;
}

class FeatureCache implements PictureReader {
  readonly shape: PictureShape;
  readonly #folder: string;
  readonly #session: Session<"pixel_values", "features">;
  readonly #seen: Seen;
  readonly #options: PictureReaderOptions;
  readonly #identity: readonly string[];

  constructor(
    folder: string,
    session: Session<"pixel_values", "features">,
    seen: Seen,
    options: PictureReaderOptions,
    identity: readonly string[],
  ) {
    this.shape = { input: "features", shape: [seen.patches, seen.width], tokens: seen.tokens };
    this.#folder = folder;
    this.#session = session;
    this.#seen = seen;
    this.#options = options;
    this.#identity = identity;
  }

  async prepare(picture: ImageInput, signal?: AbortSignal): Promise<PreparedPicture> {
    const bytes = await fileBytes(picture);
    const found = bytes ? null : await decode(picture, this.#options, signal);
    const file = join(
      this.#folder,
      `${hash([...this.#identity, ...(found ? [`${found.width}×${found.height}`] : [])], bytes ?? found?.data)}.features`,
    );
    const kept = await this.#read(file);
    if (kept !== null) return kept;
    const decoded = found ?? (await decode({ type: "image", source: bytes as Uint8Array }, this.#options, signal));
    const pixels = await preparePixels(this.#seen.sight, this.#seen.tokens, decoded, signal);
    const feed = new Tensor("float32", pixels.data, [pixels.tiles, 3, ...this.#seen.side]);
    const { features } = await this.#session.run({ pixel_values: feed }, signal ? { signal } : {});
    const prepared = { ...pixels, data: features.data as Float32Array };
    await this.#write(file, prepared);
    return prepared;
  }

  dispose(): void {
    this.#session.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #read(file: string): Promise<PreparedPicture | null> {
    const read = await readFile(file).catch(() => null);
    if (read === null || read.byteLength < 8) return null;
    const bytes = read.byteOffset % 4 === 0 ? read : Uint8Array.from(read);
    const [tiles = 0, count = 0] = new Uint32Array(bytes.buffer, bytes.byteOffset, 2);
    const size = tiles * this.#seen.patches * this.#seen.width;
    if (bytes.byteLength !== 8 + 4 * (count + size)) return null; // not whole: it is made again
    const rows = [...new Int32Array(bytes.buffer, bytes.byteOffset + 8, count)];
    return { tiles, rows, data: new Float32Array(bytes.buffer, bytes.byteOffset + 8 + 4 * count, size) };
  }

  async #write(file: string, { tiles, rows, data }: PreparedPicture): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const temporary = `${file}.${crypto.randomUUID()}.tmp`;
    const head = new Uint8Array(Int32Array.of(tiles, rows.length, ...rows).buffer);
    try {
      await writeFile(temporary, Buffer.concat([head, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]));
      await rename(temporary, file);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
  }
}

async function preparePixels({ processor, tiles }: Sight, tokens: number, found: Picture, signal?: AbortSignal): Promise<PreparedPicture> {
  const { pixel_values, shape } = await processor.process([found], signal ? { signal } : {});
  return { data: pixel_values, tiles: shape[0], rows: tiles?.tokenRows(found) ?? Array.from({ length: tokens }, (_, i) => i) };
}

function decode(picture: ImageInput, { limits }: PictureReaderOptions, signal?: AbortSignal): Promise<Picture> {
  return decodeImage(picture, { ...limits, ...(signal && { signal }) });
}

/** The bytes of a picture's file, where it is one or is in memory. */
async function fileBytes({ source }: ImageInput): Promise<Uint8Array | null> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  const path =
    source instanceof URL ? (source.protocol === "file:" ? source : null) : /^[a-z]+:\/\/|^data:|^-$/i.test(source) ? null : source;
  return path === null ? null : readFile(path).catch(() => null); // decoding says what is wrong with it
}

function hash(words: readonly string[], bytes: Uint8Array | undefined): string {
  const sha = createHash("sha256");
  for (const word of words) sha.update(word).update("\0");
  return sha.update(bytes ?? new Uint8Array()).digest("hex");
}

function fingerprint(encoder: Module): string {
  const words: string[] = [];
  for (const [path, { source }] of encoder.namedParameters()) {
    if (source === null)
      throw new ConfigError("vision", [{ field: path, message: "has no values. Load or initialise the encoder first." }]);
    words.push(`${path} ${source.fingerprint}`);
  }
  return words.join("\n");
}
