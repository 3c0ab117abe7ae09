/** Questions about what is there: every one that a scene allows, each with its one answer. */
import { type Candidate, numberWord } from "./question.ts";
import { named, pairName, shortest } from "./referent.ts";
import { COLORS, HELD_OUT_PAIRS, isHeldOut, type Pair, type Scene, SHAPES, SIZES, type Thing, TRAINING_PAIRS } from "./scene.ts";

export function colorQuestions({ things }: Scene): Candidate[] {
  return things.flatMap((thing) => {
    const name = shortest(things, thing, ({ shape }) => shape);
    if (name === null) return [];
    return both([`What color is the ${name}?`, `Which color does the ${name} have?`], thing.color, isHeldOut(thing));
  });
}

export function shapeQuestions({ things }: Scene): Candidate[] {
  return things.flatMap((thing) => {
    const name = shortest(things, thing, ({ color }) => color);
    if (name === null) return [];
    const questions = [`What shape is the ${name} thing?`];
    if (name === thing.color) questions.push(`What is ${name}?`);
    return both(questions, thing.shape, isHeldOut(thing));
  });
}

export function sizeQuestions(scene: Scene): Candidate[] {
  return named(scene).flatMap(({ name, thing }) => {
    // a name with the size in it would give the answer away
    if (thing === null || name !== pairName(thing)) return [];
    return both([`Is the ${name} large or small?`], thing.size, isHeldOut(thing));
  });
}

export function textureQuestions(scene: Scene): Candidate[] {
  if (scene.kind !== "varied") return [];
  return named(scene).flatMap(({ name, thing }) =>
    thing === null ? [] : both([`Is the ${name} flat, striped or dotted?`], thing.texture, isHeldOut(thing)),
  );
}

/** "No" is asked about a pair that is not there though its colour is and its shape is; with too few things, one of the two. */
export function existQuestions({ things }: Scene): Candidate[] {
  if (things.length === 0) return [];
  const there = ({ color, shape }: Pair): boolean => things.some((thing) => thing.color === color && thing.shape === shape);
  const shared = ({ color, shape }: Pair): number =>
    Number(things.some((thing) => thing.color === color)) + Number(things.some((thing) => thing.shape === shape));
  return [TRAINING_PAIRS, HELD_OUT_PAIRS].flatMap((pairs) => {
    const absent = pairs.filter((pair) => !there(pair));
    const hardest = Math.max(...absent.map(shared));
    const asked = [...pairs.filter(there), ...absent.filter((pair) => hardest > 0 && shared(pair) === hardest)];
    return asked.flatMap((pair) => {
      const article = pair.color === "orange" ? "an" : "a";
      return both([`Is there ${article} ${pairName(pair)}?`], there(pair) ? "yes" : "no", isHeldOut(pair));
    });
  });
}

export function countQuestions({ things, bars, sign }: Scene): Candidate[] {
  if (bars.length > 0) return both(["How many bars are there?"], numberWord(bars.length), false);
  const count = (matches: (thing: Thing) => boolean): string => numberWord(things.filter(matches).length);
  // somebody may call a sign white, small or large
  const colors = sign === null ? COLORS : COLORS.filter((color) => color !== "white");
  const sizes = sign === null ? SIZES : [];
  return [
    ...colors.flatMap((name) =>
      both(
        [`How many ${name} things are there?`],
        count(({ color }) => color === name),
        false,
      ),
    ),
    ...SHAPES.flatMap((name) =>
      both(
        [`How many ${plural(name)} are there?`],
        count(({ shape }) => shape === name),
        false,
      ),
    ),
    ...sizes.flatMap((name) =>
      both(
        [`How many ${name} things are there?`],
        count(({ size }) => size === name),
        false,
      ),
    ),
  ];
}

export function countAllQuestions({ things, bars, sign }: Scene): Candidate[] {
  // whether a sign is a thing is anybody's guess
  if (bars.length > 0 || sign !== null) return [];
  return both(["How many things are in the picture?"], numberWord(things.length), false);
}

export function readingQuestions(kind: "number" | "word"): (scene: Scene) => Candidate[] {
  return ({ sign }) => (sign?.kind === kind ? both([`What ${kind} is on the sign?`, "What does the sign say?"], sign.text, false) : []);
}

export function plural(shape: string): string {
  return shape === "cross" ? "crosses" : `${shape}s`;
}

function both(questions: readonly string[], answer: string, heldOut: boolean): Candidate[] {
  return questions.map((question) => ({ question, answer, heldOut }));
}
