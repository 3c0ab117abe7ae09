import { decodeImage, image } from "@waggle/image";
import { expect, test } from "vitest";
import { SIGN_WORDS } from "./compose-scene.ts";
import { drawScene } from "./draw-scene.ts";
import { dotWidth, GLYPH_HEIGHT } from "./glyphs.ts";
import type { Scene } from "./scene.ts";

/** The dots of `text` on a sign, read out of the drawn picture, where a dot is 4 × 4 pixels. */
async function read(text: string): Promise<string[]> {
  const [side, dot] = [128, 4 / 128];
  const box = [0, 0, (dotWidth(text) + 4) * dot, (GLYPH_HEIGHT + 4) * dot] as const;
  const sign = { kind: "word", text, box, dot, board: [150, 150, 150], ink: [12, 12, 14] } as const;
  const scene: Scene = {
    kind: "sign",
    background: [
      [30, 40, 50],
      [30, 40, 50],
    ],
    things: [],
    sign,
    bars: [],
  }; // prettier-ignore
  const { pixels } = await decodeImage(image(await drawScene(scene, side)));
  return Array.from({ length: GLYPH_HEIGHT }, (_, row) =>
    Array.from({ length: dotWidth(text) }, (_, column) => (pixels.get((row + 2) * 4 + 2, (column + 2) * 4 + 2, 0) < 80 ? "#" : ".")).join(
      "",
    ),
  );
}

test("a word as people write it", async () => {
  expect(await read("bee7")).toEqual([
    "####..#####.#####.#####",
    "#...#.#.....#.........#",
    "#...#.#.....#........#.",
    "####..####..####....#..",
    "#...#.#.....#......#...",
    "#...#.#.....#......#...",
    "####..#####.#####..#...",
  ]);
});

test("no two letters or digits differ by less than two dots, and every word has all of its letters", async () => {
  const letters = [..."0123456789abcdefghijklmnopqrstuvwxyz"];
  const drawn = await Promise.all(letters.map(async (letter) => (await read(letter)).join("")));
  for (const [i, a] of drawn.entries()) {
    expect(a).toContain("#");
    for (const b of drawn.slice(i + 1)) expect([...a].filter((dot, k) => dot !== b[k]).length).toBeGreaterThan(1);
  }
  expect(SIGN_WORDS.filter((word) => !/^[a-z]{2,4}$/.test(word))).toEqual([]);
});
