/** Every stored result of the reference image processors, value by value. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ndarray from "ndarray";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import {
  anyresProcessor,
  clipProcessor,
  decodeImage,
  exactProcessor,
  type ImageProcessor,
  image,
  imageProcessor,
  type Picture,
  padProcessor,
  picture,
  type Size,
} from "./index.ts";

interface PictureFacts {
  readonly file: string;
  readonly size: readonly [number, number];
  readonly rgb_sha256: string;
  readonly anyresBestResolution: readonly [number, number];
}

const folder = fileURLToPath(new URL("../../../golden/", import.meta.url));
const stored = readSafetensors(`${folder}image-processing/io.safetensors`);
const expected = JSON.parse(readFileSync(`${folder}image-processing/expected.json`, "utf8")) as {
  readonly pictures: readonly PictureFacts[];
  readonly modes: { readonly anyres56: { readonly grid_pinpoints: readonly [number, number][] } };
};
const processors: { readonly [mode: string]: ImageProcessor } = {
  clip56: clipProcessor({ size: 56 }),
  clip224: clipProcessor({ size: 224 }),
  pad56: padProcessor({ size: 56 }),
  exact56: exactProcessor({ size: 56 }),
  exact224: exactProcessor({ size: 224 }),
  crop68to47: clipProcessor({ size: 68, crop: 47 }),
  anyres56: anyresProcessor({ size: 56, pinpoints: expected.modes.anyres56.grid_pinpoints, convention: "llava" }),
};

describe("image-processing", () => {
  // Pillow saturates 16-bit grey to nearly white; the high byte is what the picture shows. Its own test is below.
  test.for(expected.pictures.filter(({ file }) => file !== "grey16.png"))("decodes $file to Pillow's bytes", async (facts) => {
    const { data, width, height, pixels } = await open(facts.file);
    expect([width, height]).toEqual(facts.size);
    expect(pixels.shape).toEqual([height, width, 3]);
    expect(sha256(data)).toBe(facts.rgb_sha256);
  });

  const bytes = [...stored.keys()].filter((key) => key.includes(".uint8.") && !key.includes("crop35to56"));
  test.for(bytes)("%s", async (key) => {
    const [, mode = "", , ...file] = key.split(".");
    const { pixel_values, shape } = await processorOf(mode).process([await openAsPillow(file.join("."))]);
    const want = tensor(key);
    expect(shape).toEqual(want.shape.length === 3 ? [1, ...want.shape] : want.shape);
    expect(differences(pixel_values, normalised(want.data, shape[0]), 0)).toEqual([]);
  });

  const values = [...stored.keys()].filter((key) => key.includes(".pixel_values."));
  test.for(values)("%s", async (key) => {
    const [, mode = "", , ...file] = key.split(".");
    const { pixel_values } = await processorOf(mode).process([await openAsPillow(file.join("."))]);
    expect(differences(pixel_values, tensor(key).data, 1e-6)).toEqual([]);
  });

  // transformers 4.36.2 loses the first row and column when the crop is larger than the picture by an odd number; its
  // successors do not, and a vision encoder needs the whole size.
  test.for([
    { file: "square.png", lost: [1, 1] },
    { file: "ribbon.png", lost: [1, 0] },
  ] as const)("crop35to56 of $file is the stored picture, moved into the full crop", async ({ file, lost: [top, left] }) => {
    const { pixels } = await clipProcessor({ size: 35, crop: 56 }).process([await open(file)]);
    const { shape, data } = tensor(`output.crop35to56.uint8.${file}`);
    expect(shape).toEqual([3, 56 - top, 56 - left]);
    const want = ndarray(normalised(data, 1), [...shape]);
    const black = normalised(new Uint8Array(3), 1);
    const wrong: string[] = [];
    for (let i = 0; i < 3 * 56 * 56; i++) {
      const [c, y, x] = [Math.floor(i / 56 / 56), Math.floor(i / 56) % 56, i % 56];
      const expectedValue = y < top || x < left ? black[c] : want.get(c, y - top, x - left);
      if (pixels.get(0, c, y, x) !== expectedValue) wrong.push(`${c}, ${y}, ${x}`);
    }
    expect(wrong).toEqual([]);
  });

  test("16-bit grey gives its high byte; saturated as Pillow does it, the samples are the stored ones", async () => {
    const file = `${folder}image-processing/grey16.png`;
    const raw = await sharp(file).toColourspace("grey16").raw({ depth: "ushort" }).toBuffer();
    const samples = new Uint16Array(raw.buffer, raw.byteOffset, raw.length / 2);
    const { data } = await open("grey16.png");
    expect([...data]).toEqual([...samples].flatMap((sample) => Array.from({ length: 3 }, () => sample >> 8)));
    const facts = expected.pictures.find((entry) => entry.file === "grey16.png");
    expect(sha256((await openAsPillow("grey16.png")).data)).toBe(facts?.rgb_sha256);
  });
});

describe("llava-tiny-hf", () => {
  const tiny = readSafetensors(`${folder}llava-tiny-hf/io.safetensors`);
  const processor = imageProcessor(JSON.parse(readFileSync(`${folder}llava-tiny-hf/preprocessor_config.json`, "utf8")));
  const cases = [...tiny.keys()].filter((key) => key.startsWith("input.pixel_values"));
  test.for(cases)("%s", async (key) => {
    const [, name, ...file] = key.split(".");
    const input = image(`${folder}llava-tiny-hf/${file.join(".")}`);
    const { pixel_values } = await processor.process([await decodeImage(input, { exif: name === "pixel_values" })]);
    expect(differences(pixel_values, tiny.get(key)?.data ?? [], 1e-6)).toEqual([]);
  });

  test("a batch is its pictures one by one", async () => {
    const files = ["scene.png", "alpha.png", "gray.jpg"];
    const pictures = await Promise.all(files.map((file) => decodeImage(image(`${folder}llava-tiny-hf/${file}`))));
    const { pixel_values, shape, tiles, image_sizes } = await processor.process(pictures);
    expect(shape).toEqual([3, 3, 56, 56]);
    expect(tiles).toEqual([1, 1, 1]);
    expect(image_sizes).toEqual([
      [61, 97],
      [70, 44],
      [64, 80],
    ]);
    const want = files.flatMap((file) => [...(tiny.get(`input.pixel_values.${file}`)?.data ?? [])]);
    expect(differences(pixel_values, want, 1e-6)).toEqual([]);
  });
});

function open(file: string): Promise<Picture> {
  return decodeImage(image(`${folder}image-processing/${file}`));
}

/** The picture as Pillow opens it: only 16-bit grey differs from `decodeImage`. */
async function openAsPillow(file: string): Promise<Picture> {
  if (file !== "grey16.png") return open(file);
  const path = `${folder}image-processing/${file}`;
  const { width, height }: Size = await sharp(path).metadata();
  const raw = await sharp(path).toColourspace("grey16").raw({ depth: "ushort" }).toBuffer();
  const samples = new Uint16Array(raw.buffer, raw.byteOffset, raw.length / 2);
  return picture(width, height, Uint8Array.from([...samples].flatMap((sample) => Array.from({ length: 3 }, () => Math.min(255, sample)))));
}

function processorOf(mode: string): ImageProcessor {
  const processor = processors[mode];
  if (processor === undefined) throw new Error(`no processor for the golden mode ${mode}`);
  return processor;
}

function tensor(key: string): { readonly shape: readonly number[]; readonly data: Uint8Array | Float32Array } {
  const found = stored.get(key);
  if (found === undefined) throw new Error(`no tensor ${key}`);
  return found;
}

/** Bytes [n, 3, H, W] → the reference's float32 values. */
function normalised(bytes: Uint8Array | Float32Array, n: number): Float32Array {
  const mean = [0.48145466, 0.4578275, 0.40821073].map(Math.fround);
  const std = [0.26862954, 0.26130258, 0.27577711].map(Math.fround);
  const plane = bytes.length / n / 3;
  return Float32Array.from(bytes, (byte, i) => {
    const c = Math.floor(i / plane) % 3;
    return Math.fround(Math.fround(byte * (1 / 255)) - (mean[c] ?? 0)) / (std[c] ?? 1);
  });
}

/** The first few places where two lists of values differ by more than `tolerance`, and the numbers of values if those differ. */
function differences(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): string[] {
  if (got.length !== want.length) return [`${got.length} values, expected ${want.length}`];
  const wrong: string[] = [];
  for (let i = 0; i < got.length && wrong.length < 5; i++) {
    if (!(Math.abs((got[i] ?? Number.NaN) - (want[i] ?? Number.NaN)) <= tolerance)) wrong.push(`[${i}] ${got[i]}, expected ${want[i]}`);
  }
  return wrong;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function readSafetensors(path: string): Map<string, { readonly shape: readonly number[]; readonly data: Uint8Array | Float32Array }> {
  const file = new Uint8Array(readFileSync(path));
  const start = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start))) as {
    readonly [name: string]: {
      readonly dtype: string;
      readonly shape: readonly number[];
      readonly data_offsets: readonly [number, number];
    };
  };
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return new Map(
    entries.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        const bytes = file.slice(start + from, start + to);
        return [name, { shape, data: dtype === "F32" ? new Float32Array(bytes.buffer) : bytes }];
      },
    ),
  );
}
