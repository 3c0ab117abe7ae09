import { SHAPES, scenes } from "@waggle/data";
import { random } from "@waggle/nn";
import { expect, test } from "vitest";
import { coveredParts } from "./contrastive-task.ts";
import { KINDS, phrases, WRONG } from "./scene-words.ts";

const drawn = scenes({ split: "test", seed: 0, length: 20, questions: 1, kinds: KINDS });

test("a phrase says the thing, and no wrong one does", () => {
  for (let i = 0; i < drawn.length; i++) {
    const { id, scene } = drawn.describe(i);
    for (const thing of scene.things) {
      const [right = "", ...wrong] = phrases(thing, random(0, id));
      expect(right.startsWith(`${thing.size} ${thing.color} ${thing.shape} `)).toBe(true);
      expect(new Set(wrong).size).toBe(WRONG);
      expect(wrong).not.toContain(right);
      const others = SHAPES.filter((shape) => shape !== thing.shape).map((shape) => right.replace(thing.shape, shape));
      expect(wrong).toEqual(expect.arrayContaining(others));
    }
  }
});

test("a part belongs to the thing in front whose box holds its middle", () => {
  let parts = 0;
  for (let i = 0; i < drawn.length; i++) {
    const { things } = drawn.describe(i).scene;
    const covered = new Map(coveredParts(things, 12));
    for (const [index, { center }] of things.entries()) {
      const thing = covered.get(12 * Math.floor(12 * center[1]) + Math.floor(12 * center[0]));
      expect(thing).toBeGreaterThanOrEqual(index); // itself, or what is drawn over it
    }
    for (const [part, index] of covered) {
      const [x, y] = [((part % 12) + 0.5) / 12, (Math.floor(part / 12) + 0.5) / 12];
      const [x1 = 1, y1 = 1, x2 = 0, y2 = 0] = things[index]?.box ?? [];
      expect(x >= x1 && x < x2 && y >= y1 && y < y2).toBe(true);
    }
    parts += covered.size;
  }
  expect(parts).toBeGreaterThan(100);
});
