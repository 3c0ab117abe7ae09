/** Files and sources that are no pictures, or not whole, or too large: a typed error each, and nothing decoded. */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { crc32, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  clipProcessor,
  type DecodeOptions,
  decodeImage,
  exactProcessor,
  ImageError,
  type ImageSource,
  image,
  imageProcessor,
  picture,
} from "./index.ts";

const formats = fileURLToPath(new URL("./__vectors__/formats/", import.meta.url));
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "waggle-image-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("files", () => {
  test.for(["rgb-420.jpg", "progressive.jpg", "rgb.png", "palette.gif", "lossless.webp", "lzw.tif"])("a truncated %s", async (name) => {
    const bytes = await readFile(formats + name);
    for (const share of [0.1, 0.5, 0.9]) {
      const { code, message } = await failure(bytes.subarray(0, Math.floor(bytes.length * share)));
      expect(code).toBe("corrupt");
      expect(message).toContain("truncated or damaged");
    }
  });

  test("a JPEG that lacks only its end marker", async () => {
    const bytes = await readFile(`${formats}rgb-420.jpg`);
    expect((await failure(bytes.subarray(0, -2))).code).toBe("corrupt");
  });

  test("every byte of a PNG's pixels is checked", async () => {
    const bytes = await readFile(`${formats}rgb.png`);
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] ?? 0) ^ 1;
    expect((await failure(bytes)).code).toBe("corrupt");
  });

  test("a PNG of 30,000×30,000: by the header, before anything is decoded", async () => {
    const { code, message, details } = await failure(pngHeader(30_000, 30_000));
    expect(code).toBe("too-many-pixels");
    expect(message).toMatchInlineSnapshot(
      `"65 bytes: 30000×30000 is 900000000 pixels, more than 89478485. Pass a larger maxPixels if that is intended."`,
    );
    expect(details).toEqual({ width: 30_000, height: 30_000, pixels: 900_000_000, maxPixels: 89_478_485 });
  });

  test("the limits can be set", async () => {
    const path = `${formats}rgb.png`; // 53×37
    expect((await failure(path, { maxPixels: 53 * 37 - 1 })).code).toBe("too-many-pixels");
    expect((await decodeImage(image(path), { maxPixels: 53 * 37 })).width).toBe(53);
    const { length } = await readFile(path);
    expect((await failure(path, { maxBytes: length - 1 })).details).toEqual({ maxBytes: length - 1, bytes: length });
    expect((await decodeImage(image(path), { maxBytes: length })).height).toBe(37);
  });

  test.for([
    ["", "empty"],
    ["not a picture\n", "text"],
    ["<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "an SVG drawing"],
    ["\ufeff<?xml version='1.0'?>\n<!-- a -->\n<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>", "an SVG drawing"],
    ["<!DOCTYPE html><title>404</title>", "an HTML page"],
    ["<?xml version='1.0'?><a/>", "an XML document"],
    ["%PDF-1.7", "a PDF document"],
    ["BM0000000000", "a BMP file"],
    ["\0\0\0\x18ftypheic", "an HEIF file"],
    ["\0\x01\x02\x03\x04\x05", "no image format"],
  ] as const)("%j called .png", async ([text, found]) => {
    const path = join(folder, "picture.png");
    await writeFile(path, text);
    const { code, message } = await failure(path);
    expect(code).toBe(text === "" ? "empty" : "unsupported-format");
    expect(message).toContain(`${path}: `);
    expect(message).toContain(found);
  });

  test("SVG is never rendered, however it comes", async () => {
    const svg = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9' height='9'/></svg>";
    expect((await failure(gzipSync(svg))).code).toBe("unsupported-format");
    expect((await failure(Buffer.from(`GIF89a${svg}`))).code).toMatch(/corrupt|unsupported-format/);
    expect((await failure(`data:image/svg+xml,${encodeURIComponent(svg)}`)).message).toContain("an SVG drawing");
  });

  test("no file, a folder, a path through a file", async () => {
    expect((await failure(join(folder, "none.png"))).code).toBe("not-found");
    expect((await failure(join(`${formats}rgb.png`, "none.png"))).code).toBe("not-found");
    expect((await failure(folder)).code).toBe("not-a-file");
    expect((await failure(pathToFileURL(folder))).code).toBe("not-a-file");
    expect((await failure("a\0b")).code).toBe("unreadable");
  });
});

describe("sources", () => {
  test("path, file URL, data URL, bytes and Blob give the same picture", async () => {
    const path = `${formats}alpha.png`;
    const bytes = await readFile(path);
    const { data } = await decodeImage(image(path));
    const percent = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
    const sources = [pathToFileURL(path), pathToFileURL(path).href, bytes, new Uint8Array(bytes), new Blob([bytes])];
    const urls = [`data:image/png;base64,${bytes.toString("base64")}`, `data:,${percent}`];
    for (const source of [...sources, ...urls]) expect((await decodeImage(image(source))).data).toEqual(data);
  });

  test("standard input, in a process that ends by itself once the pixels are there", async () => {
    const script = `
      import { clipProcessor, decodeImage, image } from ${JSON.stringify(new URL("./index.ts", import.meta.url).href)};
      const { pixel_values } = await clipProcessor({ size: 8 }).process([await decodeImage(image("-"))]);
      console.log(pixel_values.length);`;
    const child = spawn(process.execPath, ["--conditions=@waggle/source", "--import", "tsx", "--input-type=module", "-e", script]);
    child.stdin.end(await readFile(`${formats}rgb.png`));
    let printed = "";
    for await (const chunk of child.stdout) printed += chunk;
    expect(printed).toBe("192\n");
  });

  test("animations give their first picture", async () => {
    const still = await decodeImage(image(`${formats}palette.gif`));
    expect((await decodeImage(image(`${formats}animated.gif`))).data).toEqual(still.data);
  });

  test.for(["ftp://example.org/a.png", "data:image/png;base64", "data:image/png;base64,%%%", "http://", "file://host/a.png"])(
    "%s",
    async (url) => {
      expect((await failure(url)).code).toBe("bad-url");
    },
  );

  test.for(["", null, undefined, 5, {}])("image(%j)", (source) => {
    expect(() => image(source as never)).toThrowError(expect.objectContaining({ name: "ImageError", code: "bad-source" }));
  });
});

describe("options", () => {
  test("every mistake, in one error", async () => {
    const wrong = { maxPixels: 0, timeoutMs: Number.NaN, exif: "no", maxSize: 5 } as unknown as DecodeOptions;
    expect((await failure(formats, wrong)).message).toMatchInlineSnapshot(`
      "decodeImage:
        maxPixels: expected a whole number ≥ 1
        timeoutMs: expected a whole number ≥ 1
        exif: Invalid input: expected boolean, received string
        unknown: maxSize. Known: maxPixels, maxBytes, timeoutMs, exif, allowPrivateAddresses, signal"
    `);
    expect(() => clipProcessor({ size: 1.5, crop: -1, width: 3 } as never)).toThrowErrorMatchingInlineSnapshot(`
      [ImageError: clipProcessor:
        size: expected a whole number ≥ 1
        crop: expected a whole number ≥ 1
        unknown: width. Known: mean, std, filter, size, crop]
    `);
  });

  test("pictures", async () => {
    expect(() => picture(2, 2, new Uint8Array(11))).toThrowErrorMatchingInlineSnapshot(
      `[ImageError: A picture of 2×2 needs whole sides ≥ 1 and width · height · 3 bytes; got 11 bytes.]`,
    );
    await expect(clipProcessor({ size: 8 }).process([])).rejects.toMatchObject({ code: "bad-picture" });
    await expect(clipProcessor({ size: 8 }).process([], { abort: 1 } as never)).rejects.toMatchObject({ code: "bad-option" });
    const uncropped = imageProcessor({ image_processor_type: "CLIPImageProcessor", size: 8, do_center_crop: false });
    const different = [picture(3, 4, new Uint8Array(36)), picture(4, 3, new Uint8Array(36))];
    await expect(uncropped.process(different)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ImageError: Without a crop these pictures come out at different sizes and cannot be one batch: picture 0 (3×4) → 8×10, picture 1 (4×3) → 10×8. Process them one by one, or use a processor with do_center_crop or a fixed { height, width }.]`,
    );
  });

  test("a result larger than memory", async () => {
    const uncropped = imageProcessor({ image_processor_type: "CLIPImageProcessor", size: 3000, do_center_crop: false });
    await expect(uncropped.process([picture(1, 5000, new Uint8Array(15_000))])).rejects.toMatchObject({ code: "too-many-pixels" });
    const { shape } = await exactProcessor({ size: 4 }).process([picture(1, 200_000, new Uint8Array(600_000))]);
    expect(shape).toEqual([1, 3, 4, 4]);
  });
});

async function failure(source: ImageSource, options: DecodeOptions = {}): Promise<ImageError> {
  const error = await decodeImage(image(source), options).catch((caught: unknown) => caught);
  if (error instanceof ImageError) return error;
  throw new Error(`expected an ImageError, got ${String(error)}`);
}

/** A PNG that announces a size and has no pixels. */
function pngHeader(width: number, height: number): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const chunks = [
    ["IHDR", header],
    ["IDAT", Buffer.from("789c030000000001", "hex")],
    ["IEND", Buffer.alloc(0)],
  ] as const;
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...chunks.map(([name, data]) => chunk(name, data))]);
}

function chunk(name: string, data: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from(name), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  framed.set(body, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}
