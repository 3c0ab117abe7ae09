/** Drawn scenes in words: captions for the encoder, one wrong caption for each, and tellings for the language model. */
import type { Dataset, Scene, SceneDataset, Thing, Turn } from "@waggle/data";
import { type Random, random } from "@waggle/nn";
import { type Listing, listings, shuffled } from "./listings.ts";
import { tenths } from "./visual-words.ts";

/** What is asked in the lab: five families that need no place, five that do. Few scenes allow "near" and "between", so they go first. */
export const FAMILIES = { color: 1, shape: 1, size: 1, exist: 1, count: 1, where: 1, rel: 1, near: 3, between: 9, phrase: 1 } as const;
/** Scenes of things only: signs and charts are asked about in other families. */
export const KINDS = { plain: 1, varied: 1 } as const;

const X1 = tenths(0x80);
const Y1 = tenths(0x90);

type Described = Pick<Thing, "size" | "color" | "shape" | "center">;

/** "a small red circle at the top left, a large blue star at the right.", in an order that says nothing. */
export function caption(things: readonly Described[], name: string): string {
  return listed(things, random(0, name), ({ center }) => `the ${placeOf(center)}`);
}

/** The same with two things' colours, shapes or places exchanged, as in NegCLIP (arXiv 2210.01936); null where all things are alike. */
export function wrongCaption(things: readonly Described[], name: string): string | null {
  const stream = random(1, name);
  const others = shuffled(stream, ["color", "shape", "center"] as const).flatMap((attribute) =>
    shuffled(stream, pairsOf(things)).flatMap(([a, b]) => {
      const same = attribute === "center" ? placeOf(a.center) === placeOf(b.center) : a[attribute] === b[attribute];
      const swap = (thing: Described): Described =>
        thing === a ? { ...a, [attribute]: b[attribute] } : thing === b ? { ...b, [attribute]: a[attribute] } : thing;
      return same ? [] : [things.map(swap)];
    }),
  );
  const right = contents(things);
  const wrong = others.find((swapped) => contents(swapped) !== right); // exchanging all of two things changes nothing
  return wrong === undefined ? null : caption(wrong, name);
}

/** "{small red circle <0x82> <0x91>}…": a place for each thing, see at-once.ts; where it is, as visual-words.ts says it. */
export function telling({ things }: Scene, name: string): string {
  const tenth = (value: number): number => Math.min(9, Math.floor(10 * value));
  const told = shuffled(random(2, name), things).map(
    ({ size, color, shape, center: [x, y] }) => `{${size} ${color} ${shape} ${X1[tenth(x)]} ${Y1[tenth(y)]}}`,
  );
  return told.join("");
}

/** Scenes told instead of shown: the telling stands where a picture's visual tokens will; its own questions follow, and `count` of the lists. */
export function toldScenes(scenes: SceneDataset, lists: readonly Listing[] = [], count = 1): Dataset {
  return {
    name: `${scenes.name} told, with ${count} of ${lists.join(", ")}`,
    length: scenes.length,
    sample(index) {
      const { id, scene, questions } = scenes.describe(index);
      const asked = (question: string, i: number): string => (i === 0 ? `${telling(scene, id)}\nHuman: ${question}` : question);
      const conversations = questions.flatMap(({ question, answer }, i): Turn[] => [
        { from: "human", value: asked(question, i) },
        { from: "gpt", value: answer },
      ]);
      return { id, images: [], conversations: [...conversations, ...listings(scene, id, lists, count)] };
    },
  };
}

function listed(things: readonly Described[], stream: Random, place: (thing: Described) => string): string {
  const told = shuffled(stream, things).map((thing) => `a ${thing.size} ${thing.color} ${thing.shape} at ${place(thing)}`);
  return `${told.join(", ")}.`;
}

/** One of nine: thirds of the picture. */
function placeOf([x, y]: readonly [number, number]): string {
  const third = (value: number, low: string, high: string): string[] => (value < 1 / 3 ? [low] : value > 2 / 3 ? [high] : []);
  const words = [...third(y, "top", "bottom"), ...third(x, "left", "right")];
  return words.length === 0 ? "middle" : words.join(" ");
}

function contents(things: readonly Described[]): string {
  return things
    .map(({ size, color, shape, center }) => [size, color, shape, placeOf(center)].join(" "))
    .sort()
    .join();
}

function pairsOf<T>(items: readonly T[]): [T, T][] {
  return items.flatMap((a, i) => items.slice(i + 1).map((b): [T, T] => [a, b]));
}
