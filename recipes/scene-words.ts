/** Drawn scenes in words: phrases for the encoder, right and wrong ones, and tellings for the language model. */
import { COLORS, type Dataset, type Scene, type SceneDataset, SHAPES, type Thing, type Turn } from "@waggle/data";
import { type Random, random } from "@waggle/nn";
import { type Listing, listings, shuffled } from "./listings.ts";
import { tenths } from "./visual-words.ts";

/** What is asked in the lab: five families that need no place, five that do. Few scenes allow "near" and "between", so they go first. */
export const FAMILIES = { color: 1, shape: 1, size: 1, exist: 1, count: 1, where: 1, rel: 1, near: 3, between: 9, phrase: 1 } as const;
/** Scenes of things only: signs and charts are asked about in other families. */
export const KINDS = { plain: 1, varied: 1 } as const;

const X1 = tenths(0x80);
const Y1 = tenths(0x90);

/** Wrong phrases for each right one. */
export const WRONG = SHAPES.length + 1;

/** "small red circle top left", and wrong ones: all other shapes, one of another colour, one of another size or place. */
export function phrases({ size, color, shape, center }: Thing, stream: Random): string[] {
  const own = { size, color, shape, place: placeOf(center) };
  const wrong = (key: keyof typeof VALUES, count: number): string[] =>
    shuffled(
      stream,
      VALUES[key].filter((value) => value !== own[key]),
    )
      .slice(0, count)
      .map((value) => said({ ...own, [key]: value }));
  return [said(own), ...wrong("shape", SHAPES.length), ...wrong("color", 1), ...wrong(stream.uniform() < 0.5 ? "size" : "place", 1)];
}

function said({ size, color, shape, place }: Record<"size" | "color" | "shape" | "place", string>): string {
  return `${size} ${color} ${shape} ${place}`;
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

const PLACES = ["top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom", "bottom right"];
const VALUES: Readonly<Record<"size" | "color" | "shape" | "place", readonly string[]>> = {
  ...{ size: ["small", "large"], color: COLORS, shape: SHAPES, place: PLACES },
};

/** One of nine: thirds of the picture. */
function placeOf([x, y]: readonly [number, number]): string {
  const third = (value: number): number => (value < 1 / 3 ? 0 : value > 2 / 3 ? 2 : 1);
  return PLACES[3 * third(y) + third(x)] ?? "";
}
