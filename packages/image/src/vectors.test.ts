/**
 * Pillow 13's and transformers 5.23's own results on more sizes, filters, formats and configurations, compared by the hash of all
 * bytes; reference/image/vectors.py writes them.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type FilterName, filterNames } from "./filters.ts";
import { anyresLayout, decodeImage, image, imageProcessor, type Picture, picture } from "./index.ts";

type Pair = readonly [number, number];
interface ResizeCase {
  readonly filter: FilterName;
  readonly size: Pair;
  readonly sha256: string;
}

const folder = fileURLToPath(new URL("./__vectors__/", import.meta.url));

describe("resizes to Pillow's bytes", () => {
  const { cases, computed } = read<{
    readonly cases: readonly (ResizeCase & { readonly file: string })[];
    readonly computed: readonly { readonly width: number; readonly height: number; readonly size: Pair; readonly sha256: string }[];
  }>("resize.json");
  const groups = ["noise.png", "stripes.png"].flatMap((file) => filterNames.map((filter) => ({ file, filter })));

  test.for(groups)("$filter on $file", async ({ file, filter }) => {
    const source = await open(file);
    const group = cases.filter((entry) => entry.file === file && entry.filter === filter);
    expect(group.length).toBeGreaterThan(40);
    expect(await wrongOnes(group, source)).toEqual([]);
  });

  test.for(computed)("bicubic $width×$height → $size", async ({ width, height, size, sha256 }) => {
    expect(await wrongOnes([{ filter: "bicubic", size, sha256 }], computedPicture(width, height))).toEqual([]);
  });

  async function wrongOnes(group: readonly ResizeCase[], source: Picture): Promise<string[]> {
    const results = group.map(async ({ filter, size: [width, height], sha256 }) => {
      const got = sha(await resizedBytes(source, width, height, filter));
      return got === sha256 ? [] : [`${source.width}×${source.height} → ${width}×${height}`];
    });
    return (await Promise.all(results)).flat();
  }
});

describe("makes transformers' pixel values", () => {
  const { cases } = read<{
    readonly cases: readonly {
      readonly file: string;
      readonly config: object;
      readonly shape: readonly number[];
      readonly sha256: string;
    }[];
  }>("processors.json");
  test.for(cases)("$config on $file", async ({ file, config, shape, sha256 }) => {
    const result = await imageProcessor(config).process([await open(file)]);
    expect(result.shape).toEqual(shape);
    expect(sha(new Uint8Array(result.pixel_values.buffer))).toBe(sha256);
  });
});

describe("decodes to Pillow's bytes", () => {
  interface Facts {
    readonly size: Pair;
    readonly sha256: string;
  }
  const { files } = read<{ readonly files: { readonly [name: string]: Facts & { readonly ignoringExif?: Facts } } }>("formats.json");
  test.for(Object.keys(files))("%s", async (name) => {
    const facts = files[name];
    expect(await factsOf(name, true)).toEqual({ size: facts?.size, sha256: facts?.sha256 });
    expect(await factsOf(name, false)).toEqual(facts?.ignoringExif ?? { size: facts?.size, sha256: facts?.sha256 });
  });

  async function factsOf(name: string, exif: boolean): Promise<Facts> {
    const { width, height, data } = await decodeImage(image(`${folder}formats/${name}`), { exif });
    return { size: [width, height], sha256: sha(data) };
  }
});

describe("any resolution", () => {
  const { grids, cases } = read<{
    readonly grids: { readonly [name: string]: { readonly tile: number; readonly side: number; readonly pinpoints: readonly Pair[] } };
    readonly cases: readonly {
      readonly grid: string;
      readonly size: Pair;
      readonly canvas: Pair;
      readonly kept: Pair;
      readonly tokens: number;
    }[];
  }>("anyres.json");

  test.for(cases)("$size on $grid, as transformers", ({ grid: name, size: [width, height], canvas, kept, tokens }) => {
    const { tile = 0, side = 0, pinpoints = [] } = grids[name] ?? {};
    const layout = anyresLayout({ width, height }, { tile, pinpoints, convention: "transformers" }, side);
    expect([layout.canvas.width, layout.canvas.height]).toEqual(canvas);
    expect([layout.kept.rows, layout.kept.columns]).toEqual(kept);
    expect(layout.tokens).toBe(tokens);
  });

  // models.md 7.6, by the authors' rule; 300×300 is the tie that the two conventions decide differently.
  test.for([
    [640, 480, 672, 672, 2, 2, 36, 48, 2340],
    [480, 640, 672, 672, 2, 2, 48, 36, 2352],
    [1000, 800, 672, 672, 2, 2, 38, 48, 2438],
    [1024, 899, 672, 672, 2, 2, 42, 48, 2634],
    [1920, 1080, 672, 672, 2, 2, 28, 48, 1948],
    [2000, 500, 1008, 336, 3, 1, 18, 72, 1890],
    [400, 1200, 336, 1008, 1, 3, 72, 24, 2376],
    [300, 300, 336, 672, 1, 2, 24, 24, 1176],
  ] as const)("%i×%i, as the authors' code", ([width, height, canvasWidth, canvasHeight, columns, rows, keptRows, keptColumns, tokens]) => {
    const pinpoints = grids["next-336"]?.pinpoints ?? [];
    const layout = anyresLayout({ width, height }, { tile: 336, pinpoints, convention: "llava" }, 24);
    expect(layout.canvas).toEqual({ width: canvasWidth, height: canvasHeight });
    expect(layout.tiles).toEqual({ columns, rows });
    expect([layout.kept.rows, layout.kept.columns, layout.tokens]).toEqual([keptRows, keptColumns, tokens]);
  });
});

function read<T>(name: string): T {
  return JSON.parse(readFileSync(folder + name, "utf8")) as T;
}

function open(file: string): Promise<Picture> {
  return decodeImage(image(folder + file));
}

/** RGB rows of the resized picture, through a processor that does nothing else. */
async function resizedBytes(source: Picture, width: number, height: number, filter: FilterName): Promise<Uint8Array> {
  const plain = { do_center_crop: false, do_rescale: false, do_normalize: false };
  const processor = imageProcessor({
    image_processor_type: "CLIPImageProcessor",
    size: { width, height },
    resample: filterNames.indexOf(filter),
    ...plain,
  });
  const { pixel_values } = await processor.process([source]);
  const plane = width * height;
  return Uint8Array.from({ length: 3 * plane }, (_, i) => pixel_values[(i % 3) * plane + Math.floor(i / 3)] ?? -1);
}

function computedPicture(width: number, height: number): Picture {
  const data = new Uint8Array(width * height * 3);
  const slopes = [
    [7, 13],
    [3, 5],
    [11, 2],
  ] as const;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) for (const [a, b] of slopes) data[i++] = (x * a + y * b) % 251;
  }
  return picture(width, height, data);
}

function sha(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
