/** Colours, shapes, sizes and what is there are what any model of drawn scenes gets right; how well the rest goes, the model card says. */
import { image, load, type MultimodalModel } from "@waggle/mllm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mini, pictures } from "./index.ts";

let model: MultimodalModel;
beforeAll(async () => {
  model = await load(mini);
});
afterAll(() => model.dispose());

const plain = pictures.flatMap(({ name, path, questions }) =>
  questions.filter(({ family }) => ["color", "shape", "size", "exist"].includes(family)).map((asked) => ({ name, path, ...asked })),
);

test.each(plain)("$name: $question $answer", async ({ path, question, answer }) => {
  const { text } = await model.generate([{ role: "user", content: [image(path), question] }], { max_new_tokens: 8 });
  expect(text).toBe(answer);
});
