import { clipProcessor, decodeImage, image } from "@waggle/image";
import { initialize } from "@waggle/nn";
import { cAbstractor, dAbstractor, linear, type ProjectorFactory, resampler } from "@waggle/projectors";
import { placeWeights, Runtime } from "@waggle/runtime";
import { clip } from "@waggle/vision";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { explainGraph, explainPicture } from "./explain.ts";
import { type Explanation, load } from "./index.ts";

const golden = new URL("../../../golden/", import.meta.url).pathname;
const vision = clip({
  hidden_size: 16,
  intermediate_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  image_size: 56,
  patch_size: 14,
});
initialize(vision, { seed: 1 });

async function explain(factory: ProjectorFactory): Promise<Explanation> {
  const projector = factory(16, 8, vision.grid);
  initialize(projector, { seed: 2 });
  const how = explainGraph(vision, projector) ?? expect.unreachable("the projector can say what it looked at");
  using runtime = new Runtime();
  using session = await runtime.compile(how.graph, { weights: placeWeights() });
  const picture = await decodeImage(image(`${golden}llava-tiny-hf/scene.png`));
  return await explainPicture(session, how, clipProcessor({ size: 56 }), picture);
}

describe("maps over the picture that the encoder saw", () => {
  test("the C-Abstractor's bins: each token has its own, and together they cover the grid", async () => {
    const { kind, seen, tokens } = await explain(cAbstractor({ tokens: 4, depth: 1 }));
    expect([kind, seen.width, seen.height, tokens.length]).toEqual(["bins", 56, 56, 4]);
    const cells = tokens.map((map) => (map.kind === "cells" ? Array.from(map.weights) : []));
    expect(cells[1]).toEqual([0, 0, 0.25, 0.25, 0, 0, 0.25, 0.25, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(cells.reduce((sum, map) => sum.map((value, i) => value + (map[i] ?? 0)), new Array(16).fill(0))).toEqual(
      new Array(16).fill(0.25),
    );
  });

  test("the Resampler's attention sums to at most 1, for every token", async () => {
    const { tokens } = await explain(
      resampler({ tokens: 3, hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 8 }),
    );
    expect(tokens).toHaveLength(3);
    for (const map of tokens) {
      const sum = map.kind === "cells" ? Array.from(map.weights).reduce((a, b) => a + b, 0) : 0;
      expect(sum).toBeGreaterThan(0.5); // 16 patches beside 3 queries, all nearly alike
      expect(sum).toBeLessThan(1);
    }
  });

  test("the D-Abstractor's points begin around the reference grid", async () => {
    const factory = dAbstractor({ tokens: 4, d_model: 8, decoder_layers: 1, decoder_attention_heads: 2, decoder_ffn_dim: 8 });
    const { kind, tokens } = await explain(factory);
    expect(kind).toBe("points");
    const [first] = tokens;
    const places = first?.kind === "points" ? first.places : [];
    expect(places).toHaveLength(8);
    expect(places.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 5);
    for (const { x, y } of places) expect(Math.hypot(x - 0.125, y - 0.125)).toBeLessThan(0.1);
  });

  test("a projector that maps every patch by itself has none", () => {
    expect(explainGraph(vision, linear()(16, 8, vision.grid))).toBeNull();
  });
});

test("the drawing leaves what was looked at clear and darkens the rest", async () => {
  const { draw, seen } = await explain(cAbstractor({ tokens: 4, depth: 0 }));
  const png = await draw({ tokens: [0], size: 56 });
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([64, 64]); // 4 pixels of frame
  const at = (x: number, y: number): number[] => [...data.subarray(((y + 4) * 64 + x + 4) * 3, ((y + 4) * 64 + x + 4) * 3 + 3)];
  const original = (x: number, y: number): number[] => [...seen.data.subarray((y * 56 + x) * 3, (y * 56 + x) * 3 + 3)];
  expect(at(10, 10)).toEqual(original(10, 10)); // first bin: upper left
  for (const [i, value] of at(50, 50).entries()) expect(Math.abs(value - 0.2 * (original(50, 50)[i] ?? 0))).toBeLessThanOrEqual(2);
});

test("a loaded MiniGPT-4 says what its queries attend to; a LLaVA says that there is nothing to show", async () => {
  using bee = await load(`${golden}minigpt4-tiny`);
  const { tokens, kind } = await bee.explain(image(`${golden}minigpt4-tiny/picture_a.png`));
  expect(kind).toBe("attention");
  expect(tokens.length).toBeGreaterThan(1);
  using llava = await load(`${golden}llava-tiny-hf`);
  await expect(llava.explain(image(`${golden}llava-tiny-hf/scene.png`))).rejects.toThrow(/maps every patch by itself/);
  using llama = await load(`${golden}llama-tiny`);
  await expect(llama.explain(image(`${golden}llava-tiny-hf/scene.png`))).rejects.toThrow(/takes text only/);
});
