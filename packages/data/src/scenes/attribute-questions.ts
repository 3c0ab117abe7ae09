/** Questions about what is there: every one that a scene allows, each with its one answer. */
import { type Candidate, numberWord } from "./question.ts";
import { candidate, named, pairFact, pairName, shortest, sizeFact } from "./referent.ts";
import { COLORS, HELD_OUT_PAIRS, isHeldOut, type Pair, type Scene, SHAPES, SIZES, type Thing, TRAINING_PAIRS } from "./scene.ts";

export function colorQuestions({ things }: Scene): Candidate[] {
  return things.flatMap((thing) => {
    const name = shortest(things, thing, ({ shape }) => shape);
    if (name === null) return [];
    return inWords([`What color is the ${name}?`, `Which color does the ${name} have?`], thing.color, pairFact(thing), thing);
  });
}

export function shapeQuestions({ things }: Scene): Candidate[] {
  return things.flatMap((thing) => {
    const name = shortest(things, thing, ({ color }) => color);
    if (name === null) return [];
    const questions = [`What shape is the ${name} thing?`];
    if (name === thing.color) questions.push(`What is ${name}?`);
    return inWords(questions, thing.shape, pairFact(thing), thing);
  });
}

export function sizeQuestions(scene: Scene): Candidate[] {
  return named(scene).flatMap(({ name, thing }) => {
    // a name with the size in it would give the answer away
    if (thing === null || name !== pairName(thing)) return [];
    return inWords([`Is the ${name} large or small?`], thing.size, sizeFact(thing), thing);
  });
}

export function textureQuestions(scene: Scene): Candidate[] {
  if (scene.kind !== "varied") return [];
  return named(scene).flatMap(({ name, thing, box }) =>
    thing === null ? [] : inWords([`Is the ${name} flat, striped or dotted?`], thing.texture, `texture ${box}`, thing),
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
    return asked.map((pair) => {
      const question = `Is there ${pair.color === "orange" ? "an" : "a"} ${pairName(pair)}?`;
      const fact = pairFact(pair);
      return { question, answer: there(pair) ? "yes" : "no", fact, reveals: [fact], heldOut: isHeldOut(pair) };
    });
  });
}

export function countQuestions({ things, bars, sign }: Scene): Candidate[] {
  if (bars.length > 0) return inWords(["How many bars are there?"], numberWord(bars.length), "count bars");
  const ask = (words: string, matches: (thing: Thing) => boolean): Candidate[] =>
    inWords([`How many ${words} are there?`], numberWord(things.filter(matches).length), `count ${words}`);
  // somebody may call a sign white, small or large
  const colors = sign === null ? COLORS : COLORS.filter((color) => color !== "white");
  const sizes = sign === null ? SIZES : [];
  return [
    ...colors.flatMap((name) => ask(`${name} things`, ({ color }) => color === name)),
    ...SHAPES.flatMap((name) => ask(plural(name), ({ shape }) => shape === name)),
    ...sizes.flatMap((name) => ask(`${name} things`, ({ size }) => size === name)),
  ];
}

export function countAllQuestions({ things, bars, sign }: Scene): Candidate[] {
  // whether a sign is a thing is anybody's guess
  if (bars.length > 0 || sign !== null) return [];
  return inWords(["How many things are in the picture?"], numberWord(things.length), "count");
}

export function readingQuestions(kind: "number" | "word"): (scene: Scene) => Candidate[] {
  return ({ sign }) => (sign?.kind === kind ? inWords([`What ${kind} is on the sign?`, "What does the sign say?"], sign.text, "sign") : []);
}

function plural(shape: string): string {
  return shape === "cross" ? "crosses" : `${shape}s`;
}

/** The same question in several wordings. */
function inWords(questions: readonly string[], answer: string, fact: string, thing: Thing | null = null): Candidate[] {
  return questions.map((question) => {
    // "the large circle" tells a size
    const size = thing !== null && question.includes(` ${thing.size} `) ? [sizeFact(thing)] : [];
    return candidate([question, answer], [{ thing }], fact, size);
  });
}
