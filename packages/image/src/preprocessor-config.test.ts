import { describe, expect, test } from "vitest";
import { ImageError, imageProcessor } from "./index.ts";

describe("published configurations", () => {
  const clip = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] };

  test("openai/clip-vit-large-patch14-336, with sizes as numbers", () => {
    const { settings, output } = imageProcessor({
      crop_size: 336,
      do_center_crop: true,
      do_normalize: true,
      do_resize: true,
      feature_extractor_type: "CLIPFeatureExtractor",
      image_mean: clip.mean,
      image_std: clip.std,
      resample: 3,
      size: 336,
    });
    expect(settings).toEqual({
      resize: { shortest_edge: 336 },
      crop: { width: 336, height: 336 },
      filter: "bicubic",
      aspect: { kind: "plain" },
      rescale: 1 / 255,
      normalise: clip,
      background: [122, 116, 104],
    });
    expect(output).toEqual({ width: 336, height: 336 });
  });

  test("every size may be a number, a pair or a dictionary, or be left out", () => {
    const sizeOf = (type: string, config: object): unknown => imageProcessor({ image_processor_type: type, ...config }).settings.resize;
    expect(sizeOf("CLIPImageProcessor", {})).toEqual({ shortest_edge: 224 });
    expect(sizeOf("CLIPImageProcessorFast", { size: 30, default_to_square: true })).toEqual({ width: 30, height: 30 });
    expect(sizeOf("CLIPImageProcessorPil", { size: [30, 40] })).toEqual({ height: 30, width: 40 });
    expect(sizeOf("CLIPImageProcessor", { size: { height: 30, width: 40 } })).toEqual({ height: 30, width: 40 });
    expect(sizeOf("CLIPImageProcessor", { size: { shortest_edge: 30, longest_edge: 40 } })).toEqual({
      shortest_edge: 30,
      longest_edge: 40,
    });
    expect(sizeOf("BlipImageProcessor", { size: 30 })).toEqual({ width: 30, height: 30 });
    expect(sizeOf("SiglipImageProcessor", {})).toEqual({ width: 224, height: 224 });
    expect(sizeOf("ViTImageProcessor", { do_resize: false })).toBeNull();
  });

  test("Siglip and ViT bring their own mean and filter", () => {
    expect(imageProcessor({ image_processor_type: "ViTImageProcessor" }).settings).toMatchObject({ filter: "bilinear", crop: null });
    expect(imageProcessor({ image_processor_type: "SiglipImageProcessor" }).settings.normalise?.mean).toEqual([0.5, 0.5, 0.5]);
  });

  test("LLaVA's aspect modes: from the class, or from the authors' config.json", () => {
    const aspectOf = (config: object): unknown => imageProcessor({ image_processor_type: "CLIPImageProcessor", ...config }).settings.aspect;
    expect(aspectOf({ image_aspect_ratio: "pad" })).toEqual({ kind: "pad" });
    expect(aspectOf({ image_aspect_ratio: "square" })).toEqual({ kind: "plain" });
    expect(aspectOf({ image_processor_type: "LlavaImageProcessor", do_pad: true })).toEqual({ kind: "pad" });
    const grid = {
      tile: 336,
      pinpoints: [
        [336, 672],
        [672, 336],
      ],
    };
    const sizes = { size: 336, crop_size: 336 };
    const base = { width: 336, height: 336 };
    const python = { image_aspect_ratio: "anyres", image_grid_pinpoints: "[(336, 672), (672, 336)]" };
    expect(aspectOf({ ...sizes, ...python })).toEqual({ kind: "anyres", grid: { ...grid, convention: "llava" }, base });
    const next = { image_processor_type: "LlavaNextImageProcessor", aspect_ratio_setting: "anyres", do_pad: true };
    expect(aspectOf({ ...sizes, ...next, image_grid_pinpoints: grid.pinpoints })).toEqual({
      kind: "anyres",
      grid: { ...grid, convention: "transformers" },
      base,
    });
  });
});

describe("refuses", () => {
  test("a processor it does not know, naming those it does", () => {
    expect(caught({ image_processor_type: "PixtralImageProcessor" })).toMatchInlineSnapshot(
      `"unsupported-processor: preprocessor_config.json: image_processor_type is "PixtralImageProcessor". Supported (also with "Fast" or "Pil" behind): CLIPImageProcessor, CLIPFeatureExtractor, LlavaImageProcessor, LlavaNextImageProcessor, BlipImageProcessor, SiglipImageProcessor, ViTImageProcessor."`,
    );
    expect(caught({})).toMatchInlineSnapshot(
      `"unsupported-processor: preprocessor_config.json: image_processor_type is missing. Supported (also with "Fast" or "Pil" behind): CLIPImageProcessor, CLIPFeatureExtractor, LlavaImageProcessor, LlavaNextImageProcessor, BlipImageProcessor, SiglipImageProcessor, ViTImageProcessor."`,
    );
  });

  test("everything wrong, in one error", () => {
    const config = {
      image_processor_type: "CLIPImageProcessor",
      size: { shortest: 224 },
      crop_size: 0,
      resample: 9,
      do_resize: "yes",
      image_std: [1, 0, 1],
      rescale_factor: Number.NaN,
      do_flip: true,
    };
    expect(caught(config)).toMatchInlineSnapshot(`
      "bad-config: preprocessor_config.json:
        do_resize: expected true or false
        size: expected a number, [height, width], { height, width }, { shortest_edge }, { shortest_edge, longest_edge } or { max_height, max_width }
        resample: expected 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box or 5 hamming
        crop_size: expected a whole number ≥ 1
        rescale_factor: expected a finite number
        image_std: expected no zero
        unknown: do_flip. Known: image_processor_type, feature_extractor_type, do_resize, size, default_to_square, resample, do_center_crop, crop_size, do_rescale, rescale_factor, do_normalize, image_mean, image_std, do_pad, pad_size, do_convert_rgb, image_grid_pinpoints, image_aspect_ratio, aspect_ratio_setting, data_format, processor_class, input_data_format, device, return_tensors, disable_grouping, image_seq_length, _valid_processor_keys, _processor_class"
    `);
  });

  test("what is no object, and pinpoints that do not fit the tiles", () => {
    expect(caught([])).toMatchInlineSnapshot(`
      "bad-config: preprocessor_config.json:
        expected a JSON object"
    `);
    expect(
      caught({ image_processor_type: "LlavaNextImageProcessor", size: 42, crop_size: 42, image_grid_pinpoints: [[42, 80]] }),
    ).toMatchInlineSnapshot(`"bad-config: image_grid_pinpoints: expected multiples of the tile's edge 42 (crop_size), got [42, 80]."`);
    expect(caught({ image_processor_type: "CLIPImageProcessor", do_pad: true })).toMatchInlineSnapshot(
      `"bad-config: preprocessor_config.json: do_pad is supported for LlavaImageProcessor and LlavaNextImageProcessor only."`,
    );
    expect(caught({ image_processor_type: "toString" })).toContain('is "toString"');
  });

  function caught(config: unknown): string {
    try {
      imageProcessor(config);
    } catch (error) {
      if (error instanceof ImageError) return `${error.code}: ${error.message}`;
    }
    return "no ImageError";
  }
});
