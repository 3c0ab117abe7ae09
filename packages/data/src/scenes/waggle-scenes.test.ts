/** The pictures, questions and answers of golden/waggle-scenes: ours look like them, and are worded and answered as they are. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { questionsOf } from "./ask.ts";
import { drawScene } from "./draw-scene.ts";
import type { SceneFamily } from "./question.ts";
import type { BoundingBox, Pair, Rgb, Scene, Thing, ThingSize } from "./scene.ts";
import { extent } from "./shapes.ts";

interface Measured extends Pair {
  readonly box: BoundingBox;
  readonly fill: Rgb;
  readonly size: ThingSize;
}

interface GoldenScene {
  readonly image: string;
  readonly side: number;
  readonly background: Rgb;
  readonly things: readonly Measured[];
  readonly questions: readonly { readonly family: SceneFamily; readonly question: string; readonly answer: string }[];
}

const folder = fileURLToPath(new URL("./__vectors__/", import.meta.url));
const golden: readonly GoldenScene[] = JSON.parse(readFileSync(`${folder}waggle-scenes.json`, "utf8"));

/** A triangle nearer to the middle line than we allow; a "no" that is easier than ours, since nothing there is pink. */
const LEFT_OUT = ["scene-04.png: Describe the picture.", "scene-10.png: Is there a pink heart?"];

/** Ours, of the width that was measured. */
function asThing({ box, ...measured }: Measured): Thing {
  const radius = (box[2] - box[0]) / extent(measured.shape, 1)[0];
  return { ...measured, box, radius, center: [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], texture: "flat", boxVisible: true };
}

function asScene({ background, things }: GoldenScene): Scene {
  return { kind: "plain", background: [background, background], things: things.map(asThing), sign: null, bars: [] };
}

describe.for(golden)("$image", (scene) => {
  test("shapes have the original's proportions", () => {
    for (const { shape, box } of scene.things) {
      const [width, height] = extent(shape, 1);
      const pixels = ((box[2] - box[0]) * scene.side * height) / width;
      expect(Math.abs(pixels - (box[3] - box[1]) * scene.side), shape).toBeLessThan(3);
    }
  });

  test("its questions are ours, with its answers", () => {
    for (const { family, question, answer } of scene.questions) {
      if (LEFT_OUT.includes(`${scene.image}: ${question}`)) continue;
      expect(
        questionsOf[family](asScene(scene)).find((item) => item.question === question.replace("a orange", "an orange"))?.answer,
        question,
      ).toBe(answer);
    }
  });
});

test.for(["scene-02.png", "scene-06.png", "scene-10.png"])("%s drawn by us", async (name) => {
  const scene = golden.find(({ image }) => image === name);
  if (scene === undefined) throw new Error(`no ${name}`);
  const theirs = await sharp(folder + name)
    .removeAlpha()
    .raw()
    .toBuffer();
  const ours = await sharp(await drawScene(asScene(scene), scene.side))
    .raw()
    .toBuffer();
  expect(ours.length).toBe(theirs.length);
  const off = theirs.filter((value, i) => Math.abs(value - (ours[i] ?? 0)) > 48).length;
  expect(off / theirs.length).toBeLessThan(0.004);
});
