import { fileURLToPath } from "node:url";

export type { Question, QuestionFamily, Scene } from "./pictures.ts";
export { pictures } from "./pictures.ts";

/** The folder of the embedded model, in the layout in which Honeybee was released: `load(mini)`. */
export const mini: string = fileURLToPath(new URL("../model", import.meta.url));
