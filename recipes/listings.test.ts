import { scenes } from "@waggle/data";
import { expect, test } from "vitest";
import { tokenizer } from "./base-parts.ts";
import { type Listing, withListings } from "./listings.ts";

const drawn = scenes({ split: "validation", seed: 1, length: 30, questions: 2 });

/** Question and rows of the one list behind a picture's own questions; null where there is nothing to list. */
async function listed(list: Listing, index: number): Promise<{ question: string; rows: string[] } | null> {
  const { conversations } = await withListings(drawn, [list]).sample(index);
  const own = drawn.describe(index).conversations;
  expect(conversations.slice(0, own.length)).toEqual(own);
  const [asked, told] = conversations.slice(own.length);
  if (asked === undefined) return null;
  expect([asked.from, told?.from]).toEqual(["human", "gpt"]);
  return { question: asked.value, rows: (told?.value ?? "").replace(/\.$/, "").split(", ") };
}

test("what lists say is what is drawn", async () => {
  let [yes, no, zero] = [0, 0, 0];
  for (let i = 0; i < drawn.length; i++) {
    const { things } = drawn.describe(i).scene;
    const names = things.map(({ color, shape }) => `${color} ${shape}`);
    const all = await listed("things", i);
    expect(all?.rows.map((row) => row.split(" ").slice(0, 2).reverse().join(" ")).sort() ?? []).toEqual([...names].sort());
    for (const row of (await listed("pairs", i))?.rows ?? []) {
      const name = row.split(" ").slice(0, 2).join(" ");
      expect(row).toBe(`${name} ${names.includes(name) ? "yes" : "no"}`);
      if (names.includes(name)) yes++;
      else no++;
    }
    for (const row of (await listed("counts", i))?.rows ?? []) {
      const [key = "", number] = row.split(" ");
      const count = things.filter(({ color, shape, size }) => [color, size, `${shape}s`, `${shape}es`].includes(key)).length;
      expect(number).toBe(["zero", "one", "two", "three", "four", "five", "six"][count]);
      if (count === 0) zero++;
    }
    for (const row of (await listed("relations", i))?.rows ?? []) {
      const [a, b] = [row.split(" ").slice(0, 2), row.split(" ").slice(2, 4)].map((name) => things[names.indexOf(name.join(" "))]?.center);
      if (!a || !b) expect.unreachable(row);
      expect(row.split(" ").slice(4)).toEqual([a[0] < b[0] ? "left" : "right", a[1] < b[1] ? "above" : "below"]);
    }
    for (const row of (await listed("nearest", i))?.rows ?? []) {
      const [from, to] = [row.split(" ").slice(0, 2), row.split(" ").slice(2)].map((name) => names.indexOf(name.join(" ")));
      const far = (other: number): number =>
        Math.hypot(...[0, 1].map((axis) => (things[from ?? 0]?.center[axis] ?? 0) - (things[other]?.center[axis] ?? 0)));
      const nearest = Math.min(...things.flatMap((_, other) => (other === from ? [] : [far(other)])));
      expect(things.flatMap((_, other) => (names[other] === names[to ?? 0] ? [far(other)] : []))).toContain(nearest);
    }
  }
  expect(Math.min(yes, no, zero)).toBeGreaterThan(10);
});

test("several lists in one picture, the same ones each time, in words that the tokenizer has", async () => {
  const lists = ["things", "counts", "pairs", "nearest", "relations"] as const;
  const three = withListings(drawn, lists, 3);
  const index =
    Array.from({ length: drawn.length }, (_, i) => i).find((i) => drawn.describe(i).scene.things.length > 3) ?? expect.unreachable();
  const [once, again] = [await three.sample(index), await three.sample(index)];
  expect(again.conversations).toEqual(once.conversations);
  const turns = once.conversations.slice(drawn.describe(index).conversations.length);
  expect(new Set(turns.map(({ value }) => value)).size).toBe(6);
  for (const { from, value } of turns) {
    const pieces = value.match(/\w+|[.,]/g) ?? [];
    if (from === "gpt") expect(tokenizer.encode(value, { addSpecialTokens: false })).toHaveLength(pieces.length);
  }
});
