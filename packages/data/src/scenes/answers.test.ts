/**
 * Every question of thousands of scenes, answered a second time: by reading the question's words and looking at the scene,
 * with nothing of the code that asks. `answers` gives all that could be defended, and there must be exactly one.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { boxText, parseBox } from "./box-text.ts";
import { FAMILIES, type SceneFamily, type SceneQuestion, SPATIAL } from "./question.ts";
import type { BoundingBox, Scene, SceneSplit } from "./scene.ts";
import { scenes } from "./scenes.ts";

interface Part {
  readonly words: readonly string[];
  readonly box: BoundingBox;
  readonly x: number;
  readonly y: number;
}

const numbers = ["zero", "one", "two", "three", "four", "five"];

function parts({ things, sign, bars }: Scene): Part[] {
  const boxed = [
    ...things.map(({ size, color, shape, box }) => ({ words: [size, color, shape, "thing"], box })),
    ...(sign === null ? [] : [{ words: ["sign"], box: sign.box }]),
    ...bars.map(({ color, box }) => ({ words: [color, "bar"], box })),
  ];
  return boxed.map(({ words, box }) => ({ words, box, x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2 }));
}

/** All parts that the words fit. */
function meant(scene: Scene, words: string): Part[] {
  return parts(scene).filter((part) => words.split(" ").every((word) => part.words.includes(word)));
}

/** The one part that the words fit. */
function theOne(scene: Scene, words: string | undefined): Part {
  const [part, ...others] = meant(scene, words ?? "");
  expect(others, `"${words}" means one thing`).toEqual([]);
  if (part === undefined) throw new Error(`nothing is "${words}"`);
  return part;
}

/** Whether `answer` names this part and no other. */
function names(scene: Scene, answer: string, part: Part): boolean {
  const fit = meant(scene, answer);
  return fit.length === 1 && fit[0]?.box === part.box;
}

const distance = (a: Part, b: Part): number => Math.hypot(a.x - b.x, a.y - b.y);
const edges = (a: Part, b: Part): number =>
  Math.hypot(Math.max(0, a.box[0] - b.box[2], b.box[0] - a.box[2]), Math.max(0, a.box[1] - b.box[3], b.box[1] - a.box[3]));
const yes = (is: boolean): string => (is ? "yes" : "no");

function cornerOf({ x, y }: Part): string {
  expect(Math.min(Math.abs(x - 0.5), Math.abs(y - 0.5)), "away from the middle lines").toBeGreaterThan(0.034);
  return `${y < 0.5 ? "top" : "bottom"} ${x < 0.5 ? "left" : "right"}`;
}

type Check = (scene: Scene, question: SceneQuestion) => void;

/** `value` of the only thing that the question's words fit. */
function attribute(pattern: RegExp, key: "color" | "shape" | "size" | "texture"): Check {
  return (scene, { question, answer }) => {
    const { box } = theOne(
      scene,
      pattern
        .exec(question)
        ?.slice(1)
        .find((words) => words !== undefined),
    );
    expect(answer).toBe(scene.things.find((thing) => thing.box === box)?.[key]);
  };
}

const checks: Readonly<Record<SceneFamily, Check>> = {
  color: attribute(/^What color is the (.+)\?$|^Which color does the (.+) have\?$/, "color"),
  shape: attribute(/^What shape is the (.+)\?$|^What is (.+)\?$/, "shape"),
  size: attribute(/^Is the (.+) large or small\?$/, "size"),
  texture: attribute(/^Is the (.+) flat, striped or dotted\?$/, "texture"),
  exist: (scene, { question, answer }) => {
    const words = /^Is there an? (.+)\?$/.exec(question)?.[1] ?? "";
    expect(answer).toBe(yes(meant(scene, words).length > 0));
    // a hard negative: as much of the pair is there as the scene's things allow
    const present = words.split(" ").map((word) => meant(scene, word).length > 0);
    if (answer === "no" && new Set(scene.things.map(({ color }) => color)).size > 1) expect(present).toContain(true);
  },
  count: (scene, { question, answer }) => {
    const words = /^How many (.+) are there\?$/.exec(question)?.[1] ?? "";
    const singular = words.replace("crosses", "cross").replace(/s$/, "").replace(/cros$/, "cross");
    expect(answer).toBe(numbers[meant(scene, singular).length]);
    if (scene.sign !== null) expect(words).not.toMatch(/white|large|small/);
  },
  countall: (scene, { answer }) => {
    expect(scene.sign).toBeNull();
    expect(answer).toBe(numbers[scene.things.length]);
  },
  where: (scene, { question, answer }) => {
    expect(answer).toBe(cornerOf(theOne(scene, /the ([^?]+)\?$/.exec(question)?.[1])));
  },
  rel: (scene, { question, answer }) => {
    const [, first, relation, second] = /^Is the (.+) (left of|right of|above|below) the (.+)\?$/.exec(question) ?? [];
    const [a, b] = [theOne(scene, first), theOne(scene, second)];
    const ahead = { "left of": b.x - a.x, "right of": a.x - b.x, above: b.y - a.y, below: a.y - b.y }[relation ?? ""] ?? 0;
    expect(Math.abs(ahead)).toBeGreaterThan(0.099);
    expect(answer).toBe(yes(ahead > 0));
  },
  near: (scene, { question, answer }) => {
    const part = theOne(scene, /^What is closest to the (.+)\?$/.exec(question)?.[1]);
    const others = parts(scene).filter(({ box }) => box !== part.box);
    expect(others.length).toBeGreaterThan(1);
    for (const away of [distance, edges]) {
      const [first, second] = others.toSorted((a, b) => away(part, a) - away(part, b));
      if (first === undefined || second === undefined) throw new Error("nothing else");
      expect(away(part, second) - away(part, first)).toBeGreaterThan(0.059);
      expect(names(scene, answer, first)).toBe(true);
    }
  },
  between: (scene, { question, answer }) => {
    const [, first, second] = /^What is between the (.+) and the (.+)\?$/.exec(question) ?? [];
    const [a, b] = [theOne(scene, first), theOne(scene, second)];
    // between two things is what makes the way from one to the other hardly longer
    const detour = (part: Part): number => distance(a, part) + distance(part, b) - distance(a, b);
    const others = parts(scene).filter(({ box }) => box !== a.box && box !== b.box);
    const [best, next] = others.toSorted((p, q) => detour(p) - detour(q));
    if (best === undefined) throw new Error("nothing else");
    expect(detour(best)).toBeLessThan(0.05);
    if (next !== undefined) expect(detour(next)).toBeGreaterThan(detour(best));
    expect(names(scene, answer, best)).toBe(true);
  },
  box: (scene, { question, answer }) => {
    const words = /^Provide the bounding box coordinate of the region this sentence describes\. (.+)$/.exec(question)?.[1];
    const { box } = theOne(scene, words);
    const parsed = parseBox(answer) ?? [9, 9, 9, 9];
    expect(answer).toMatch(/^\[0\.\d{3},0\.\d{3},0\.\d{3},0\.\d{3}\]$/);
    expect(Math.max(...parsed.map((value, i) => Math.abs(value - (box[i] ?? 9))))).toBeLessThan(0.00051);
  },
  phrase: (scene, { question, answer }) => {
    const box = /^Provide a short description for this region\. (.+)$/.exec(question)?.[1];
    const found = parts(scene).filter((part) => boxText(part.box) === box);
    expect(found).toHaveLength(1);
    expect(answer).toBe(found[0]?.words.filter((word) => word !== "thing").join(" "));
  },
  caption: (scene, { answer }) => {
    if (scene.kind === "chart") {
      const colors = scene.bars.toSorted((a, b) => a.box[0] - b.box[0]).map(({ color }) => color);
      expect(answer).toBe(`a bar chart with ${numbers[colors.length]} bars, from left to right ${colors.join(", ")}.`);
      return;
    }
    const items = answer
      .replace(/\.$/, "")
      .split(", ")
      .map((item) => /^a (.+?)(?: that says (.+))? at the (\w+ \w+)$/.exec(item));
    expect(items).toHaveLength(parts(scene).length);
    const rest = parts(scene).toSorted((a, b) => Number(a.y > 0.5) - Number(b.y > 0.5) || a.x - b.x);
    rest.forEach((part, i) => {
      const [, words = "", text, corner] = items[i] ?? [];
      expect(words.split(" ")).toEqual(part.words.filter((word) => word !== "thing"));
      expect(corner).toBe(cornerOf(part));
      expect(text).toBe(words === "sign" ? scene.sign?.text : undefined);
    });
  },
  digits: (scene, { answer }) => {
    expect(answer).toMatch(/^[1-9]\d{0,2}$/);
    expect(answer).toBe(scene.sign?.text);
  },
  word: (scene, { answer }) => {
    expect(answer).toMatch(/^[a-z]{2,4}$/);
    expect(answer).toBe(scene.sign?.text);
  },
  tallest: (scene, { question, answer }) => {
    const height = ({ box }: { readonly box: BoundingBox }): number => box[3] - box[1];
    const [, first, second] = /^Is the (.+) taller than the (.+)\?$/.exec(question) ?? [];
    if (first !== undefined) {
      const difference = height(theOne(scene, first)) - height(theOne(scene, second));
      expect(Math.abs(difference)).toBeGreaterThan(0.059);
      expect(answer).toBe(yes(difference > 0));
      return;
    }
    const sorted = scene.bars.toSorted((a, b) => height(a) - height(b));
    if (question.includes("tallest")) sorted.reverse();
    const [found, next] = sorted;
    if (found === undefined || next === undefined) throw new Error("no bars");
    expect(Math.abs(height(found) - height(next))).toBeGreaterThan(0.059);
    expect(answer).toBe(found.color);
  },
};

const SCENES = 3000;
const asked = new Map<SceneSplit, { readonly scene: Scene; readonly question: SceneQuestion }[]>();
beforeAll(() => {
  for (const split of ["train", "composition"] as const) {
    const dataset = scenes({ split, seed: 11, length: SCENES, questions: 8 });
    const all = Array.from({ length: SCENES }, (_, i) => dataset.describe(i));
    asked.set(
      split,
      all.flatMap(({ scene, questions }) => questions.map((question) => ({ scene, question }))),
    ); // prettier-ignore
  }
});

describe.for(FAMILIES)("%s", (family) => {
  test("has the answer that the picture gives", () => {
    const mine = (asked.get("train") ?? []).filter(({ question }) => question.family === family);
    expect(mine.length).toBeGreaterThan(100);
    for (const { scene, question } of mine) {
      expect(question.spatial).toBe(SPATIAL[family]);
      checks[family](scene, question);
    }
  });
});

test("and so have those about pairs that training never shows", () => {
  for (const { scene, question } of asked.get("composition") ?? []) checks[question.family](scene, question);
});
