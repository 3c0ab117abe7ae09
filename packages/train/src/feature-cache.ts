/**
 * Pictures as the training graph takes them. Behind a frozen encoder a picture's patch features never change: they are
 * computed once, and kept on disk under a name made from the picture's bytes, the image processor and the encoder (its
 * weights, and the graph that is computed with them). What becomes of the features is not kept: runs whose projectors
 * differ share a folder.
 *
 *     <folder>/<sha256>.features    uint32 tiles, width, height, crc32 of the features · float32 features [tiles, N, C]
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { CheckpointError } from "@waggle/checkpoint";
import { dataTypes, type GraphDefinition, input, lower, serialize, symbol } from "@waggle/graph";
import { type DecodeOptions, decodeImage, type ImageInput, type Picture, type Size } from "@waggle/image";
import { type Assembly, weightPlacer } from "@waggle/mllm";
import { ConfigError } from "@waggle/nn";
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
  const rowsOf = (size: Size): readonly number[] => sight.tiles?.tokenRows(size) ?? Array.from({ length: tokens }, (_, i) => i);
  const pixels = async (picture: Picture, signal?: AbortSignal): Promise<PreparedPicture> => {
    const { pixel_values, shape } = await sight.processor.process([picture], signal ? { signal } : {});
    return { data: pixel_values, tiles: shape[0], rows: rowsOf(picture) };
  };
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
  const identity = [JSON.stringify(sight.processor.settings), fingerprint(graph)];
  const { signal } = options;
  const session = await options.runtime.compile(graph, { weights: weightPlacer(), ...(signal && { signal }) });
  const shape = { input: "features", shape: [vision_tower.patches, vision_tower.hidden_size], tokens } as const;
  return new FeatureCache(shape, { folder: options.features, session, side: [height, width], rowsOf, pixels, identity, options });
}

interface CacheParts {
  readonly folder: string;
  readonly session: Session<"pixel_values", "features">;
  /** Height and width of a tile. */
  readonly side: readonly [number, number];
  readonly rowsOf: (size: Size) => readonly number[];
  readonly pixels: (picture: Picture, signal?: AbortSignal) => Promise<PreparedPicture>;
  readonly identity: readonly string[];
  readonly options: PictureReaderOptions;
}

/** Four numbers of 32 bits. */
const HEAD = 16;

class FeatureCache implements PictureReader {
  readonly shape: PictureShape;
  readonly #parts: CacheParts;

  constructor(shape: PictureShape, parts: CacheParts) {
    this.shape = shape;
    this.#parts = parts;
  }

  async prepare(picture: ImageInput, signal?: AbortSignal): Promise<PreparedPicture> {
    const { folder, session, side, pixels, identity, options } = this.#parts;
    const bytes = await fileBytes(picture);
    const found = bytes ? null : await decode(picture, options, signal);
    const size = found ? [`${found.width}×${found.height}`] : [];
    const file = join(folder, `${hash([...identity, ...size], bytes ?? found?.data)}.features`);
    const kept = await this.#read(file);
    if (kept !== null) return kept;
    const decoded = found ?? (await decode(picture, options, signal)); // not the bytes: an error names the file
    const { data, tiles, rows } = await pixels(decoded, signal);
    const feed = new Tensor("float32", data, [tiles, 3, ...side]);
    const { features } = await session.run({ pixel_values: feed }, signal ? { signal } : {});
    const prepared = { data: features.data as Float32Array, tiles, rows };
    await this.#write(file, prepared, decoded);
    return prepared;
  }

  dispose(): void {
    this.#parts.session.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** null where it is not there, or not whole: then it is made (again). */
  async #read(file: string): Promise<PreparedPicture | null> {
    const read = await readFile(file).catch(() => null);
    if (read === null || read.byteLength < HEAD) return null;
    const bytes = read.byteOffset % 4 === 0 ? read : Uint8Array.from(read);
    const [tiles = 0, width = 0, height = 0, check] = new Uint32Array(bytes.buffer, bytes.byteOffset, 4);
    const length = this.shape.shape.reduce((product, size) => product * size, tiles);
    if (bytes.byteLength !== HEAD + 4 * length || crc32(bytes.subarray(HEAD)) !== check) return null;
    const data = new Float32Array(bytes.buffer, bytes.byteOffset + HEAD, length);
    return { tiles, rows: this.#parts.rowsOf({ width, height }), data };
  }

  async #write(file: string, { tiles, data }: PreparedPicture, { width, height }: Size): Promise<void> {
    const body = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const head = new Uint8Array(Uint32Array.of(tiles, width, height, crc32(body)).buffer);
    const temporary = `${file}.${crypto.randomUUID()}.tmp`;
    try {
      await mkdir(this.#parts.folder, { recursive: true });
      await writeFile(temporary, Buffer.concat([head, body]));
      await rename(temporary, file);
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => {});
      const message = `features of a frozen encoder cannot be written (${(cause as NodeJS.ErrnoException).code}). Make room, or give another featureCache.`;
      throw new CheckpointError({ code: "unwritable", file, message }, { cause });
    }
  }
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

/** Of what a graph computes: its nodes, and in the place of each weight the fingerprint of its values. */
function fingerprint(graph: GraphDefinition): string {
  const bytes = serialize(lower(graph, "onnxruntime"), ({ source, dtype, shape }, name) => {
    if (source === null)
      throw new ConfigError("vision", [{ field: name, message: "has no values. Load or initialise the encoder first." }]);
    const byteLength = shape.reduce((product, size) => product * size, dataTypes[dtype].byteLength);
    return { location: source.fingerprint, offset: 0, byteLength };
  });
  return hash([], bytes);
}
