import { fileURLToPath } from "node:url";

/** What a question is about; the model card says how well the model answers each family. */
export type QuestionFamily = "caption" | "color" | "count" | "countall" | "exist" | "near" | "rel" | "shape" | "size" | "where";

/** A question and its true answer, which is not always the one the model gives. */
export interface Question {
  readonly family: QuestionFamily;
  readonly question: string;
  readonly answer: string;
}

/** A drawn scene of one to five coloured shapes. */
export interface Scene {
  readonly name: string;
  readonly path: string;
  readonly questions: readonly Question[];
}

type Row = readonly [family: QuestionFamily, question: string, answer: string];

function scene(name: string, rows: readonly Row[]): Scene {
  const path = fileURLToPath(new URL(`../pictures/${name}.png`, import.meta.url));
  return { name, path, questions: rows.map(([family, question, answer]) => ({ family, question, answer })) };
}

/** The pictures of this package, each with six questions and their true answers. */
export const pictures: readonly [Scene, Scene, ...Scene[]] = [
  scene("scene-01", [
    ["caption", "Describe the picture.", "a large white square at the bottom right."],
    ["where", "In which corner is the white square?", "bottom right"],
    ["countall", "How many things are in the picture?", "one"],
    ["size", "Is the white square large or small?", "large"],
    ["count", "How many stars are there?", "zero"],
    ["countall", "How many things are in the picture?", "one"],
  ]),
  scene("scene-02", [
    [
      "caption",
      "Describe the picture.",
      "a small pink circle at the top right, a small green square at the bottom left, a large blue star at the bottom right, a small orange heart at the bottom right.",
    ],
    ["shape", "What shape is the green thing?", "square"],
    ["size", "Is the green square large or small?", "small"],
    ["countall", "How many things are in the picture?", "four"],
    ["exist", "Is there an orange heart?", "yes"],
    ["where", "Where is the green square?", "bottom left"],
  ]),
  scene("scene-03", [
    [
      "caption",
      "Describe the picture.",
      "a small pink star at the top left, a large red cross at the top right, a large blue circle at the bottom left, a small green square at the bottom right, a small blue square at the bottom right.",
    ],
    ["color", "What color is the cross?", "red"],
    ["near", "What is closest to the green square?", "blue square"],
    ["size", "Is the blue square large or small?", "small"],
    ["shape", "What shape is the pink thing?", "star"],
    ["rel", "Is the pink star below the blue square?", "no"],
  ]),
  scene("scene-04", [
    [
      "caption",
      "Describe the picture.",
      "a large purple circle at the top right, a small red circle at the bottom left, a small purple heart at the bottom right, a small yellow triangle at the bottom right.",
    ],
    ["where", "Where is the purple circle?", "top right"],
    ["count", "How many yellow things are there?", "one"],
    ["near", "What is closest to the purple heart?", "yellow triangle"],
    ["exist", "Is there a purple circle?", "yes"],
    ["color", "What color is the triangle?", "yellow"],
  ]),
  scene("scene-05", [
    [
      "caption",
      "Describe the picture.",
      "a small pink heart at the top left, a small green circle at the top left, a small blue cross at the bottom left, a small blue square at the bottom right, a small white cross at the bottom right.",
    ],
    ["exist", "Is there a blue square?", "yes"],
    ["near", "What is closest to the green circle?", "pink heart"],
    ["rel", "Is the white cross left of the green circle?", "no"],
    ["where", "In which corner is the blue square?", "bottom right"],
    ["shape", "What is white?", "cross"],
  ]),
  scene("scene-06", [
    [
      "caption",
      "Describe the picture.",
      "a small purple circle at the top left, a small blue cross at the top left, a small blue triangle at the top right, a large green triangle at the bottom right.",
    ],
    ["color", "Which color does the circle have?", "purple"],
    ["count", "How many green things are there?", "one"],
    ["exist", "Is there a green triangle?", "yes"],
    ["where", "In which corner is the green triangle?", "bottom right"],
    ["rel", "Is the blue cross left of the purple circle?", "no"],
  ]),
  scene("scene-07", [
    [
      "caption",
      "Describe the picture.",
      "a large pink triangle at the top left, a small white triangle at the top right, a small yellow square at the top right, a large purple heart at the bottom right.",
    ],
    ["rel", "Is the purple heart left of the pink triangle?", "no"],
    ["size", "Is the pink triangle large or small?", "large"],
    ["exist", "Is there a pink triangle?", "yes"],
    ["color", "What color is the square?", "yellow"],
    ["count", "How many orange things are there?", "zero"],
  ]),
  scene("scene-08", [
    [
      "caption",
      "Describe the picture.",
      "a small yellow star at the top left, a small blue circle at the top right, a small blue square at the bottom left, a small purple square at the bottom left, a small purple triangle at the bottom right.",
    ],
    ["shape", "What is yellow?", "star"],
    ["near", "What is closest to the blue square?", "purple square"],
    ["where", "Where is the purple square?", "bottom left"],
    ["count", "How many purple things are there?", "two"],
    ["size", "Is the yellow star large or small?", "small"],
  ]),
  scene("scene-09", [
    [
      "caption",
      "Describe the picture.",
      "a large pink circle at the top left, a small blue cross at the top right, a small red star at the bottom left, a small purple triangle at the bottom left.",
    ],
    ["near", "What is closest to the pink circle?", "blue cross"],
    ["color", "What color is the cross?", "blue"],
    ["count", "How many purple things are there?", "one"],
    ["where", "Where is the purple triangle?", "bottom left"],
    ["countall", "How many things are in the picture?", "four"],
  ]),
  scene("scene-10", [
    [
      "caption",
      "Describe the picture.",
      "a small blue heart at the top right, a large purple star at the bottom left, a large yellow cross at the bottom right.",
    ],
    ["rel", "Is the yellow cross below the blue heart?", "yes"],
    ["countall", "How many things are in the picture?", "three"],
    ["count", "How many hearts are there?", "one"],
    ["exist", "Is there a pink heart?", "no"],
    ["where", "Where is the blue heart?", "top right"],
  ]),
];
