/** `preprocessor_config.json` (or the `image_processor` part of transformers 5's `processor_config.json`) → ImageProcessor. */
import { z } from "zod";
import type { AnyresGrid } from "./anyres.ts";
import { checked } from "./checked.ts";
import { filterNames } from "./filters.ts";
import { ImageError } from "./image-error.ts";
import type { Size } from "./pass.ts";
import { type Channels, ImageProcessor, type ProcessorSettings } from "./processor.ts";
import type { ResizeRule } from "./sizes.ts";

export const openaiClip: { readonly mean: Channels; readonly std: Channels } = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};
const half = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const;

/** What a processor class does where its configuration is silent. */
interface Defaults {
  readonly size: ResizeRule;
  readonly crop: Size | null;
  readonly resample: number;
  readonly values: { readonly mean: Channels; readonly std: Channels };
  /** `size: 224` means the shortest edge, or a square. */
  readonly intIsSquare: boolean;
  /** `do_pad`: to a square of the mean colour, or no such option. LLaVA-NeXT pads only the batch, which is not needed here. */
  readonly pad: "square" | "batch" | "none";
}

const square = (side: number): Size => ({ width: side, height: side });
const clip: Defaults = {
  size: { shortest_edge: 224 },
  crop: square(224),
  resample: 3,
  values: openaiClip,
  intIsSquare: false,
  pad: "none",
};
const classes: { readonly [type: string]: Defaults } = {
  CLIPImageProcessor: clip,
  CLIPFeatureExtractor: clip,
  LlavaImageProcessor: { ...clip, pad: "square" },
  LlavaNextImageProcessor: { ...clip, pad: "batch" },
  BlipImageProcessor: { ...clip, size: square(384), crop: null, intIsSquare: true },
  SiglipImageProcessor: { ...clip, size: square(224), crop: null, values: half, intIsSquare: true },
  ViTImageProcessor: { ...clip, size: square(224), crop: null, resample: 2, values: half, intIsSquare: true },
};

const NEXT_PINPOINTS = [
  [336, 672],
  [672, 336],
  [672, 672],
  [1008, 336],
  [336, 1008],
] as const;

const edge = z
  .int("expected a whole number ≥ 1")
  .min(1, "expected a whole number ≥ 1")
  .max(65_535, "larger than any encoder's picture (65535)");
const pair = z.tuple([edge, edge]);
const sizeShapes =
  "expected a number, [height, width], { height, width }, { shortest_edge }, { shortest_edge, longest_edge } or { max_height, max_width }";
const anySize = z.union(
  [
    edge,
    pair,
    z.strictObject({ height: edge, width: edge }),
    z.strictObject({ shortest_edge: edge, longest_edge: edge.nullish() }),
    z.strictObject({ max_height: edge, max_width: edge }),
  ],
  { error: sizeShapes },
);
const cropSize = z.union([edge, pair, z.strictObject({ height: edge, width: edge })], {
  error: "expected a number, [height, width] or { height, width }",
});
const number = z.number("expected a finite number");
const channels = z.union([z.tuple([number, number, number]), number], { error: "expected one number or three" });
const flag = z.boolean("expected true or false").nullish();
const pinpoints = z.array(pair, "expected a list of pairs of numbers").min(1, "expected at least one pair");

const shape = {
  image_processor_type: z.string("expected a class name").nullish(),
  feature_extractor_type: z.string("expected a class name").nullish(),
  do_resize: flag,
  size: anySize.nullish(),
  default_to_square: flag,
  resample: z.int().min(0).max(5, "expected 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box or 5 hamming").nullish(),
  do_center_crop: flag,
  crop_size: cropSize.nullish(),
  do_rescale: flag,
  rescale_factor: number.nullish(),
  do_normalize: flag,
  image_mean: channels.nullish(),
  image_std: z
    .union([channels])
    .refine((std) => ![std].flat().includes(0), "expected no zero")
    .nullish(),
  do_pad: flag,
  pad_size: z.null("only null is supported: pictures are padded to a square").optional(),
  do_convert_rgb: flag,
  image_grid_pinpoints: z
    .union([z.string().transform(parsePinpoints), z.unknown()])
    .pipe(pinpoints)
    .nullish(),
  /** As in the config.json of the authors' LLaVA. */
  image_aspect_ratio: z.enum(["square", "pad", "anyres"], { error: 'expected "square", "pad" or "anyres"' }).nullish(),
  aspect_ratio_setting: z.literal("anyres", { error: 'expected "anyres"' }).nullish(),
  data_format: z.literal("channels_first", { error: 'expected "channels_first"' }).nullish(),
  // These change nothing about the numbers.
  processor_class: z.unknown().optional(),
  input_data_format: z.unknown().optional(),
  device: z.unknown().optional(),
  return_tensors: z.unknown().optional(),
  disable_grouping: z.unknown().optional(),
  image_seq_length: z.unknown().optional(),
  _valid_processor_keys: z.unknown().optional(),
  _processor_class: z.unknown().optional(),
};
const preprocessorConfig = z.strictObject(shape, {
  error: (issue) => (issue.code === "invalid_type" ? "expected a JSON object" : undefined),
});
type PreprocessorConfig = z.output<typeof preprocessorConfig>;

export function imageProcessor(config: unknown): ImageProcessor {
  const read = checked(preprocessorConfig, config, "bad-config", "preprocessor_config.json", Object.keys(shape));
  const type = (read.image_processor_type ?? read.feature_extractor_type ?? "").replace(/(Fast|Pil)$/, "");
  const defaults = Object.hasOwn(classes, type) ? classes[type] : undefined;
  if (defaults === undefined) {
    const supported = Object.keys(classes);
    throw new ImageError(
      "unsupported-processor",
      `preprocessor_config.json: image_processor_type is ${type === "" ? "missing" : `"${type}"`}. Supported (also with "Fast" or "Pil" behind): ${supported.join(", ")}.`,
      { type, supported },
    );
  }
  return new ImageProcessor(settingsOf(read, defaults));
}

function settingsOf(config: PreprocessorConfig, defaults: Defaults): ProcessorSettings {
  const mean = threeOf(config.image_mean ?? defaults.values.mean);
  const std = threeOf(config.image_std ?? defaults.values.std);
  const size = config.size == null ? defaults.size : resizeRule(config.size, config.default_to_square ?? defaults.intIsSquare);
  const cropped = config.do_center_crop ?? defaults.crop !== null;
  const crop = config.crop_size == null ? (defaults.crop ?? square(224)) : cropSizeOf(config.crop_size);
  return {
    resize: (config.do_resize ?? true) ? size : null,
    crop: cropped ? crop : null,
    filter: filterNames[config.resample ?? defaults.resample] ?? "bicubic",
    aspect: aspectOf(config, defaults, size, crop),
    rescale: (config.do_rescale ?? true) ? (config.rescale_factor ?? 1 / 255) : null,
    normalise: (config.do_normalize ?? true) ? { mean, std } : null,
    background: backgroundOf(mean),
  };
}

/** LLaVA's canvas colour: ⌊255 · mean⌋. */
export function backgroundOf([r, g, b]: Channels): Channels {
  return [Math.trunc(r * 255), Math.trunc(g * 255), Math.trunc(b * 255)];
}

function aspectOf(config: PreprocessorConfig, defaults: Defaults, size: ResizeRule, crop: Size): ProcessorSettings["aspect"] {
  if (config.do_pad === true && defaults.pad === "none") {
    throw new ImageError(
      "bad-config",
      "preprocessor_config.json: do_pad is supported for LlavaImageProcessor and LlavaNextImageProcessor only.",
    );
  }
  const base = "height" in size ? size : "shortest_edge" in size ? square(size.shortest_edge) : null;
  const convention = defaults.pad === "batch" ? "transformers" : config.image_aspect_ratio === "anyres" ? "llava" : null;
  if (convention !== null) {
    const grid = { convention, pinpoints: config.image_grid_pinpoints ?? NEXT_PINPOINTS, tile: crop.height } as const;
    if (base === null)
      throw new ImageError("bad-config", "preprocessor_config.json: any-resolution needs size as { height, width } or { shortest_edge }.");
    return anyresAspect(grid, base);
  }
  const pad = config.image_aspect_ratio === "pad" || (defaults.pad === "square" && config.do_pad === true);
  return { kind: pad ? "pad" : "plain" };
}

export function anyresAspect(grid: AnyresGrid, base: Size): ProcessorSettings["aspect"] {
  const odd = grid.pinpoints.filter((pinpoint) => pinpoint.some((side) => side % grid.tile !== 0));
  if (odd.length === 0) return { kind: "anyres", grid, base };
  throw new ImageError(
    "bad-config",
    `image_grid_pinpoints: expected multiples of the tile's edge ${grid.tile} (crop_size), got ${odd.map((pinpoint) => `[${pinpoint.join(", ")}]`).join(", ")}.`,
    { tile: grid.tile, pinpoints: odd },
  );
}

function resizeRule(size: z.output<typeof anySize>, intIsSquare: boolean): ResizeRule {
  if (typeof size === "number") return intIsSquare ? square(size) : { shortest_edge: size };
  if (Array.isArray(size)) return { height: size[0], width: size[1] };
  if (!("shortest_edge" in size)) return size;
  const { shortest_edge, longest_edge } = size;
  return longest_edge == null ? { shortest_edge } : { shortest_edge, longest_edge };
}

function cropSizeOf(size: z.output<typeof cropSize>): Size {
  if (typeof size === "number") return square(size);
  return Array.isArray(size) ? { height: size[0], width: size[1] } : size;
}

function threeOf(value: Channels | number): Channels {
  return typeof value === "number" ? [value, value, value] : value;
}

/** The authors' configs may hold the pinpoints as Python text: "[(336, 672), (672, 336)]". */
function parsePinpoints(text: string): unknown {
  try {
    return JSON.parse(text.replaceAll("(", "[").replaceAll(")", "]"));
  } catch {
    return text;
  }
}
