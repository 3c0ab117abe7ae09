/** The published models' image processors, for code that has no preprocessor_config.json. */
import { z } from "zod";
import type { AnyresGrid } from "./anyres.ts";
import { checked } from "./checked.ts";
import { type FilterName, filterNames } from "./filters.ts";
import { anyresAspect, backgroundOf, openaiClip } from "./preprocessor-config.ts";
import { type Channels, ImageProcessor, type ProcessorSettings } from "./processor.ts";

export interface ValueOptions {
  /** Default: OpenAI CLIP's. */
  readonly mean?: Channels;
  readonly std?: Channels;
  /** Default "bicubic". */
  readonly filter?: FilterName;
}

const edge = z.int("expected a whole number ≥ 1").min(1, "expected a whole number ≥ 1");
const finite = z.number("expected a finite number");
const channels = z.tuple([finite, finite, finite], { error: "expected three numbers" });
const values = {
  mean: channels.default([...openaiClip.mean]),
  std: channels.refine((std) => !std.includes(0), "expected no zero").default([...openaiClip.std]),
  filter: z.enum(filterNames, { error: `expected one of ${filterNames.join(", ")}` }).default("bicubic"),
};
const sized = z.strictObject({ ...values, size: edge });
const cropped = z.strictObject({ ...values, size: edge, crop: edge.optional() });
const tiled = z.strictObject({
  ...values,
  size: edge,
  pinpoints: z.array(z.tuple([edge, edge])).min(1, "expected at least one pair"),
  convention: z.enum(["llava", "transformers"], { error: 'expected "llava" or "transformers"' }),
});

/** CLIP and llava-hf: shorter edge to `size`, then the middle `crop` × `crop` (default: `size`). */
export function clipProcessor(options: ValueOptions & { readonly size: number; readonly crop?: number }): ImageProcessor {
  const { size, crop = size, ...rest } = checked(cropped, options, "bad-option", "clipProcessor", Object.keys(cropped.shape));
  return build({ shortest_edge: size }, crop, rest, { kind: "plain" });
}

/** Honeybee: resized to `size` × `size`, whatever the aspect ratio. */
export function exactProcessor(options: ValueOptions & { readonly size: number }): ImageProcessor {
  const { size, ...rest } = checked(sized, options, "bad-option", "exactProcessor", Object.keys(sized.shape));
  return build({ width: size, height: size }, null, rest, { kind: "plain" });
}

/** LLaVA 1.5 as its authors run it: laid on a square of the mean colour, then resized to `size`. */
export function padProcessor(options: ValueOptions & { readonly size: number }): ImageProcessor {
  const { size, ...rest } = checked(sized, options, "bad-option", "padProcessor", Object.keys(sized.shape));
  return build({ shortest_edge: size }, size, rest, { kind: "pad" });
}

/** LLaVA-NeXT: the whole picture and the tiles, of `size` × `size` each. */
export function anyresProcessor(
  options: ValueOptions & {
    readonly size: number;
    readonly pinpoints: AnyresGrid["pinpoints"];
    readonly convention: AnyresGrid["convention"];
  },
): ImageProcessor {
  const { size, pinpoints, convention, ...rest } = checked(tiled, options, "bad-option", "anyresProcessor", Object.keys(tiled.shape));
  return build({ shortest_edge: size }, size, rest, anyresAspect({ convention, pinpoints, tile: size }, { width: size, height: size }));
}

function build(
  resize: ProcessorSettings["resize"],
  crop: number | null,
  { mean, std, filter }: { mean: Channels; std: Channels; filter: FilterName },
  aspect: ProcessorSettings["aspect"],
): ImageProcessor {
  return new ImageProcessor({
    resize,
    crop: crop === null ? null : { width: crop, height: crop },
    filter,
    aspect,
    rescale: 1 / 255,
    normalise: { mean, std },
    background: backgroundOf(mean),
  });
}
