import { decodeImage, type Picture } from "@waggle/image";
import { beforeAll, describe, expect, test } from "vitest";
import type { SceneQuestion } from "./question.ts";
import { type BoundingBox, HELD_OUT_PAIRS, type Rgb, type SceneSplit, SPLITS } from "./scene.ts";
import { type SceneSample, type ScenesOptions, scenes } from "./scenes.ts";
import { textOnlyBaseline } from "./text-only-baseline.ts";

type Described = Omit<SceneSample, "images">;
const COUNT = 2000;
const drawn = new Map<SceneSplit, Described[]>();
const of = (split: SceneSplit): Described[] => drawn.get(split) ?? [];
beforeAll(() => {
  for (const split of SPLITS) {
    const dataset = scenes({ split, seed: 5, length: COUNT });
    drawn.set(
      split,
      Array.from({ length: COUNT }, (_, i) => dataset.describe(i)),
    );
  }
});

async function pictureOf(sample: SceneSample): Promise<Picture> {
  const [image] = sample.images;
  if (image === undefined) throw new Error("no picture");
  return decodeImage(image);
}

test("a dataset's name says what is drawn and asked; samples are called by their place alone", () => {
  const place = { split: "train", seed: 1, length: 10 } as const;
  expect(scenes(place).name).toBe("scenes/train/1");
  const { name, describe } = scenes({ ...place, size: 112, questions: 2, families: { color: 1 }, kinds: { plain: 2 } });
  expect(name).toBe('scenes/train/1, size 112, questions 2, families {"color":1}, kinds {"plain":2}');
  expect(describe(7).id).toBe("scenes/train/1/7");
});

describe("samples", () => {
  test("are conversations about one picture, the questions in their order", async () => {
    const sample = await scenes({ split: "train", seed: 1, length: 10, size: 112, questions: 3 }).sample(7);
    expect(sample.id).toBe("scenes/train/1/7");
    expect(sample.questions.length).toBeGreaterThan(1);
    const turns = sample.questions.flatMap(({ question, answer }, i) => [
      { from: "human", value: `${i === 0 ? "<image>\n" : ""}${question}` },
      { from: "gpt", value: answer },
    ]);
    expect(sample.conversations).toEqual(turns);
    const { width, height } = await pictureOf(sample);
    expect([width, height]).toEqual([112, 112]);
  });

  test("are the same for the same seed, in any order, and others for another", async () => {
    const make = (seed: number) => scenes({ split: "test", seed, length: 50 });
    const forwards = await Promise.all(Array.from({ length: 50 }, (_, i) => make(3).sample(i)));
    const backwards = await Promise.all(Array.from({ length: 50 }, (_, i) => make(3).sample(49 - i)));
    expect(backwards.reverse()).toEqual(forwards);
    const others = await Promise.all(Array.from({ length: 50 }, (_, i) => make(4).sample(i)));
    expect(others.filter(({ scene }, i) => JSON.stringify(scene) === JSON.stringify(forwards[i]?.scene))).toEqual([]);
  });

  test("have the scene of their number whatever the size of the picture", () => {
    const scene = (size: number) => scenes({ split: "train", seed: 2, length: 9, size }).describe(8).scene;
    expect(scene(96)).toEqual(scene(384));
  });
});

describe("splits", () => {
  test("share no scene", () => {
    const all = SPLITS.flatMap((split) => of(split).map(({ scene }) => JSON.stringify(scene)));
    expect(new Set(all).size).toBe(SPLITS.length * COUNT);
  });

  const heldOutNames = HELD_OUT_PAIRS.map(({ color, shape }) => `${color} ${shape}`);
  const shows = ({ scene }: Described): boolean => scene.things.some(({ color, shape }) => heldOutNames.includes(`${color} ${shape}`));
  const mentions = ({ question, answer }: SceneQuestion): boolean => heldOutNames.some((name) => `${question} ${answer}`.includes(name));

  test.for(["train", "validation", "test"] as const)("%s neither shows nor names the pairs held out", (split) => {
    expect(of(split).filter((sample) => shows(sample) || sample.questions.some(mentions))).toEqual([]);
  });

  test("train shows all other pairs, and every colour and shape that is held out together", () => {
    const seen = new Set(of("train").flatMap(({ scene }) => scene.things.map(({ color, shape }) => `${color} ${shape}`)));
    expect(seen.size).toBe(8 * 6 - heldOutNames.length);
    expect(new Set(HELD_OUT_PAIRS.map(({ color }) => color)).size).toBe(6);
    expect(new Set(HELD_OUT_PAIRS.map(({ shape }) => shape)).size).toBe(6);
  });

  test("composition shows one in every picture, and asks about all of them", () => {
    expect(of("composition").every(shows)).toBe(true);
    const asked = of("composition")
      .flatMap(({ questions }) => questions)
      .filter(mentions);
    for (const name of heldOutNames) expect(asked.filter(({ question }) => question.includes(name)).length, name).toBeGreaterThan(50);
  });
});

describe("pictures", () => {
  test("boxes lie inside, and sizes cannot be mistaken", () => {
    const all = SPLITS.flatMap((split) => of(split).map(({ scene }) => scene));
    const boxes = all.flatMap(({ things, sign, bars }) => [...things, ...bars, ...(sign === null ? [] : [sign])].map(({ box }) => box));
    for (const [x1, y1, x2, y2] of boxes) {
      expect(x1 >= 0 && y1 >= 0 && x2 <= 1 && y2 <= 1 && x2 - x1 > 0.05 && y2 - y1 > 0.05).toBe(true);
    }
    const widths = (name: string) =>
      all.flatMap(({ things }) => things.filter(({ size }) => size === name).map(({ box }) => box[2] - box[0]));
    expect(Math.min(...widths("large")) - Math.max(...widths("small"))).toBeGreaterThan(0.04);
  });

  test("show everything where and as its description says, pixel by pixel", async () => {
    const size = 128;
    const dataset = scenes({ split: "train", seed: 8, length: 150, size });
    for (let i = 0; i < dataset.length; i++) {
      const sample = await dataset.sample(i);
      const picture = await pictureOf(sample);
      const { things, sign, bars, background } = sample.scene;
      if (sample.scene.kind === "varied") continue;
      const flat = [...things, ...bars, ...(sign === null ? [] : [{ box: sign.box, fill: sign.board }])];
      for (const { box, fill } of flat) {
        const { edges } = boxOfColor(picture, box, fill, background[0]);
        expect(Math.max(...edges.map((edge, k) => Math.abs(edge - (box[k] ?? 0)))) * size, sample.id).toBeLessThan(2.5);
      }
    }
  });

  test("overlapping things of the varied kind show most of themselves, boxes whole where they are asked for", async () => {
    const size = 192;
    const dataset = scenes({ split: "train", seed: 9, length: 400, size, kinds: { varied: 1 } });
    let overlapped = 0;
    for (let i = 0; i < dataset.length; i++) {
      const { things } = dataset.describe(i).scene;
      const under = things.filter((a, k) => a.texture === "flat" && things.slice(k + 1).some((b) => touches(a.box, b.box)));
      if (under.length === 0) continue;
      const picture = await pictureOf(await dataset.sample(i));
      for (const thing of under) {
        const { edges, filled } = boxOfColor(picture, thing.box, thing.fill, [0, 0, 0], 8);
        expect(filled / FILLED[thing.shape], `scene ${i}`).toBeGreaterThan(0.5); // 0.72, and the smooth edges are of no pure colour
        const off = Math.max(...edges.map((edge, k) => Math.abs(edge - (thing.box[k] ?? 0))));
        if (thing.boxVisible) expect(off * size, `scene ${i}`).toBeLessThan(5);
        overlapped++;
      }
    }
    expect(overlapped).toBeGreaterThan(60);
  });
});

/** How much of its box a shape fills: counted in the pictures of golden/waggle-scenes. */
const FILLED = { circle: 0.785, square: 1, triangle: 0.51, star: 0.37, heart: 0.62, cross: 0.58 };

/** The box around all pixels near `box` that are of the colour `fill` rather than of the ground's, and their share of it. */
function boxOfColor(
  { width, data }: Picture,
  box: BoundingBox,
  fill: Rgb,
  ground: Rgb,
  tolerance = 60,
): { edges: BoundingBox; filled: number } {
  const near = (x: number, y: number, color: Rgb): number =>
    Math.hypot(...color.map((value, c) => value - (data[(y * width + x) * 3 + c] ?? 0)));
  let [x1, y1, x2, y2, count] = [width, width, 0, 0, 0];
  const [left, top, right, bottom] = box.map((edge) => Math.round(edge * width)) as [number, number, number, number];
  for (let y = Math.max(0, top - 2); y < Math.min(width, bottom + 2); y++) {
    for (let x = Math.max(0, left - 2); x < Math.min(width, right + 2); x++) {
      const distance = near(x, y, fill);
      if (distance > tolerance || distance > near(x, y, ground)) continue;
      count++;
      [x1, y1, x2, y2] = [Math.min(x1, x), Math.min(y1, y), Math.max(x2, x + 1), Math.max(y2, y + 1)];
    }
  }
  return { edges: [x1 / width, y1 / width, x2 / width, y2 / width], filled: count / ((right - left) * (bottom - top)) };
}

function touches(a: BoundingBox, b: BoundingBox): boolean {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

describe("what can be guessed without the picture", () => {
  /** One question a picture: a share of right guesses above these would mean that the questions give their answers away. */
  const limits = {
    color: 0.18,
    shape: 0.22,
    size: 0.56,
    exist: 0.56,
    where: 0.29,
    rel: 0.56,
    count: 0.36,
    countall: 0.28,
    near: 0.06,
    texture: 0.62,
    between: 0.08,
    tallest: 0.4,
    digits: 0.08,
    word: 0.08,
    box: 0.01,
    phrase: 0.1,
    caption: 0.01,
  }; // prettier-ignore

  test("is little, in every family", () => {
    const dataset = scenes({ split: "train", seed: 21, length: 12_000, questions: 1 });
    const { families, guesses, all } = textOnlyBaseline(Array.from({ length: dataset.length }, (_, i) => dataset.describe(i)));
    expect(guesses).toHaveLength(all.asked);
    for (const [family, limit] of Object.entries(limits)) {
      expect(families[family as keyof typeof limits]?.share ?? 1, family).toBeLessThan(limit);
    }
  });

  test("nor do earlier turns give an answer away", () => {
    const dataset = scenes({ split: "train", seed: 22, length: 3000, questions: 6 });
    const later: SceneQuestion[] = [];
    for (let i = 0; i < dataset.length; i++) {
      const { questions, scene } = dataset.describe(i);
      questions.forEach(({ family, question, answer }, turn) => {
        const before = questions.slice(0, turn);
        const told = before.map((earlier) => `${earlier.question} ${earlier.answer}`).join(" ");
        expect(before.filter((earlier) => earlier.family === "caption" || earlier.question === question)).toEqual([]);
        if (family === "exist") expect(told).not.toContain(question.slice("Is there a ".length, -1).trim());
        if (family === "color" || family === "shape") {
          const things = scene.things.filter(
            (thing) => thing[family] === answer && question.includes(family === "color" ? thing.shape : thing.color),
          );
          expect(things.some(({ color, shape }) => told.includes(`${color} ${shape}`))).toBe(false);
        }
        if (turn > 0) later.push({ family, question, answer, spatial: false });
      });
    }
    const yes = later.filter(({ family, answer }) => family === "exist" && answer === "yes").length;
    expect(Math.abs(yes / later.filter(({ family }) => family === "exist").length - 0.5)).toBeLessThan(0.05);
  });

  test("is found where it is much", () => {
    const question = (text: string, answer: string): SceneQuestion => ({ family: "exist", spatial: false, question: text, answer });
    // "a" is always yes; "b" is no nine times of ten; "c" is seen in one half only and follows the family
    const samples = Array.from({ length: 40 }, (_, i) => ({
      questions: [question("a", "yes"), question("b", i < 4 ? "yes" : "no"), ...(i % 2 === 0 ? [question("c", "yes")] : [])],
    }));
    const { all, families, guesses } = textOnlyBaseline(samples);
    expect(all).toEqual({ asked: 100, right: 40 + 36 + 20, share: 0.96 });
    expect(families).toEqual({ exist: all });
    expect(guesses.slice(0, 5)).toEqual(["yes", "no", "yes", "yes", "no"]);
  });
});

describe("options", () => {
  test("all that is wrong is said at once", () => {
    const options = { split: "dev", seed: -1, length: 0, size: 8.5, questions: 0, families: { colour: 1 }, kinds: { plain: -1 }, sise: 96 };
    expect(() => scenes(options as unknown as ScenesOptions)).toThrowErrorMatchingInlineSnapshot(`
      [DataError: scenes: sise: is not an option. There are: split, seed, length, size, questions, families, kinds.
        split: expected one of train, validation, test, composition, got "dev".
        seed: expected a whole number from 0, got -1.
        length: expected a whole number from 1, got 0.
        size: expected a whole number from 32 to 1024, got 8.5.
        questions: expected a whole number from 1, got 0.
        families.colour: unknown. There are: color, shape, size, exist, count, countall, where, rel, near, caption, texture, between, box, phrase, digits, word, tallest.
        kinds.plain: expected a number ≥ 0, got -1.
        kinds: expected at least one weight above 0.]
    `);
  });

  test("more samples than there are streams of random numbers, and weights that are text", () => {
    const families = { color: "1", shape: "2" } as unknown as ScenesOptions["families"];
    const options = { split: "train", seed: 0, length: 2 ** 32 + 1, ...(families && { families }) } as const;
    expect(() => scenes(options)).toThrow(/length: expected at most 4294967296, got 4294967297\.\n.*color: expected.*\n.*shape: expected/);
  });

  test("families that are not named are not asked, kinds that are not named not drawn", () => {
    const dataset = scenes({ split: "validation", seed: 0, length: 200, families: { box: 1, digits: 2 }, kinds: { sign: 1 } });
    const samples = Array.from({ length: 200 }, (_, i) => dataset.describe(i));
    expect(new Set(samples.flatMap(({ questions }) => questions.map(({ family }) => family)))).toEqual(new Set(["box", "digits"]));
    expect(samples.every(({ scene }) => scene.kind === "sign")).toBe(true);
  });

  test("that no scene can meet, and numbers that there are not", () => {
    const dataset = scenes({ split: "train", seed: 0, length: 3, families: { tallest: 1 }, kinds: { plain: 1 } });
    expect(() => dataset.describe(0)).toThrowErrorMatchingInlineSnapshot(
      `[DataError: scenes/train/0, families {"tallest":1}, kinds {"plain":1}: none of 2000 scenes allows a question of the families given. Add families, or kinds of scenes that have them.]`,
    );
    expect(() => dataset.describe(3)).toThrowErrorMatchingInlineSnapshot(
      `[RangeError: scenes/train/0, families {"tallest":1}, kinds {"plain":1}: expected an index from 0 to 2, got 3.]`,
    );
  });
});
