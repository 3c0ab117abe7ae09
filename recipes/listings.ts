/**
 * Pictures that are asked one thing more: to list what questions ask for one by one. A question is answered in two steps, what is
 * asked about has to be found among the words and then among the visual tokens; in a list it stands right before its answer. Lists
 * teach the second step soon, and many times in one picture; with it at hand the questions follow.
 */
import { COLORS, type Scene, type SceneDataset, SHAPES, type Thing, type Turn } from "@waggle/data";
import { type Random, random } from "@waggle/nn";

const QUESTIONS = {
  things: "What shape, color, size?",
  counts: "How many are there?",
  pairs: "Is there a thing?",
  nearest: "What is closest?",
  relations: "Is the thing left or right, above or below?",
} as const;
export type Listing = keyof typeof QUESTIONS;

/** `count` of the lists, drawn anew for each picture, behind its own questions. */
export function withListings(scenes: SceneDataset, lists: readonly Listing[], count = 1): SceneDataset {
  return {
    ...scenes,
    name: `${scenes.name} with ${count} of ${lists.join(", ")}`,
    async sample(index) {
      const sample = await scenes.sample(index);
      return { ...sample, conversations: [...sample.conversations, ...listings(sample.scene, sample.id, lists, count)] };
    },
  };
}

/** The turns of `count` of the lists; `name` says which. A list that would be empty is left out. */
export function listings(scene: Scene, name: string, lists: readonly Listing[], count: number): Turn[] {
  const stream = random(3, name);
  const drawn = lists.length === 1 ? lists : shuffled(stream, lists).slice(0, count);
  return drawn.flatMap((list): Turn[] => {
    const rows = LISTS[list](scene, stream);
    if (rows.length === 0) return [];
    return [
      { from: "human", value: QUESTIONS[list] },
      { from: "gpt", value: `${rows.join(", ")}.` },
    ];
  });
}

type Rows = (scene: Scene, stream: Random) => string[];

const LISTS: Readonly<Record<Listing, Rows>> = {
  /** "star red small top left": captions name the shape last, and teach to look it up by its colour; here all is looked up by it. */
  things: ({ things }, stream) =>
    shuffled(stream, things).map(({ shape, color, size, center: [x, y] }) =>
      [shape, color, size, y < 0.5 ? "top" : "bottom", x < 0.5 ? "left" : "right"].join(" "),
    ),
  /** "red two", "crosses zero" */
  counts({ things }, stream) {
    const counted = (key: string, matches: (thing: Thing) => boolean): string => `${key} ${NUMBERS[things.filter(matches).length]}`;
    const rows = [
      ...COLORS.map((name) => counted(name, ({ color }) => color === name)),
      ...SHAPES.map((name) => counted(name === "cross" ? "crosses" : `${name}s`, ({ shape }) => shape === name)),
      ...(["small", "large"] as const).map((name) => counted(name, ({ size }) => size === name)),
    ];
    const zero = (row: string): boolean => row.endsWith(" zero");
    const some = shuffled(
      stream,
      rows.filter((row) => !zero(row)),
    ).slice(0, 5);
    return shuffled(stream, [...some, ...shuffled(stream, rows.filter(zero)).slice(0, 2)]);
  },
  /** "red star yes", "red circle no": colour and shape are both there, but not in one thing. */
  pairs({ things }, stream) {
    const there = new Set(things.map(nameOf));
    const absent = (names: readonly string[]): string[] => names.filter((name) => !there.has(name));
    const crossed = absent([...new Set(things.flatMap(({ color }) => things.map(({ shape }) => `${color} ${shape}`)))]);
    const others = absent(COLORS.flatMap((color) => SHAPES.map((shape) => `${color} ${shape}`)));
    const rows = [
      ...shuffled(stream, [...there])
        .slice(0, 3)
        .map((name) => `${name} yes`),
      ...[...shuffled(stream, crossed).slice(0, 2), ...shuffled(stream, others).slice(0, 1)].map((name) => `${name} no`),
    ];
    return shuffled(stream, rows);
  },
  /** "red star blue circle": whom a thing is closest to. */
  nearest({ things }, stream) {
    const rows = unique(things).flatMap((thing) => {
      const others = things.filter((other) => other !== thing).map((other) => [distance(thing, other), other] as const);
      const [first, second] = others.sort(([a], [b]) => a - b);
      return first === undefined || (second !== undefined && second[0] < 1.15 * first[0]) ? [] : [`${nameOf(thing)} ${nameOf(first[1])}`];
    });
    return shuffled(stream, rows);
  },
  /** "red star blue circle left above": where the first is, seen from the second. */
  relations({ things }, stream) {
    const named = unique(things);
    const pairs = named.flatMap((a) => named.flatMap((b) => (a === b ? [] : [[a, b] as const])));
    return shuffled(stream, pairs)
      .slice(0, 4)
      .map(([a, b]) => {
        const across = a.center[0] < b.center[0] ? "left" : "right";
        return `${nameOf(a)} ${nameOf(b)} ${across} ${a.center[1] < b.center[1] ? "above" : "below"}`;
      });
  },
};

const NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const nameOf = ({ color, shape }: Thing): string => `${color} ${shape}`;
const unique = (things: readonly Thing[]): Thing[] =>
  things.filter((one) => things.every((other) => other === one || nameOf(other) !== nameOf(one)));
const distance = (a: Thing, b: Thing): number => Math.hypot(a.center[0] - b.center[0], a.center[1] - b.center[1]);

export function shuffled<T>(stream: Random, items: readonly T[]): T[] {
  const rest = [...items];
  return items.flatMap(() => rest.splice(Math.floor(stream.uniform() * rest.length), 1));
}
