import { expect, test } from "vitest";
import * as train from "./index.ts";

test("what the package exports", () => {
  expect(Object.keys(train).sort()).toMatchInlineSnapshot(`
    [
      "HtmlReport",
      "JsonLines",
      "ProgressLine",
      "TensorBoard",
      "Trainer",
      "TrainingError",
      "adamW",
      "constant",
      "contrastive",
      "conversations",
      "cosine",
      "crossEntropy",
      "escapeHtml",
      "honeybeeRecipe",
      "htmlPage",
      "linear",
      "linearWarmupCosine",
      "llava15Recipe",
      "logs",
      "miniGpt4Recipe",
      "readRecipe",
      "selectParameters",
      "sgd",
      "stage",
      "stepLine",
      "stepsOf",
      "tinyLlavaRecipe",
      "train",
      "trainRecipe",
    ]
  `);
});
