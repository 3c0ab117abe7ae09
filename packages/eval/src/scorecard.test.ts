import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type SceneQuestion, scenes } from "@waggle/data";
import { assemble, load } from "@waggle/mllm";
import { expect, test } from "vitest";
import { scoreAnswers, scorecard } from "./scorecard.ts";

const trained = fileURLToPath(new URL("../../../golden/waggle-scenes/", import.meta.url));

test("counts what was said beside what is true", () => {
  const asked = (family: SceneQuestion["family"], answer: string): SceneQuestion => ({ family, spatial: false, question: "?", answer });
  const questions = [
    asked("count", "two"),
    asked("count", "one"),
    asked("count", "two"),
    asked("box", "[0.000,0.000,0.500,0.500]"),
    asked("box", "[0.500,0.500,1.000,1.000]"),
  ];
  const said = ["two", "three", "one", "[0.000,0.000,0.500,0.250]", "at the bottom right"];
  const guesses = ["one", "one", "two", "[0.000,0.000,0.500,0.500]", "[0.000,0.000,0.500,0.500]"];
  expect(scoreAnswers(questions, said, guesses)).toEqual({
    asked: 5,
    right: 1,
    families: [
      { family: "count", asked: 3, right: 1, textOnly: 2 },
      { family: "box", asked: 2, right: 0, textOnly: 1 },
    ],
    boxes: { asked: 2, said: 1, overlap: 0.25, textOnly: 0.5 },
    confusions: [
      {
        family: "count",
        answers: ["one", "two"],
        said: ["one", "two", "other"],
        counts: [
          [0, 0, 1],
          [1, 1, 0],
        ],
      },
    ],
  });
});

test("a trained model's card is what it says when it is asked question by question", async () => {
  const featureCache = mkdtempSync(join(tmpdir(), "waggle-scorecard-"));
  try {
    const drawn = scenes({ split: "test", seed: 3, length: 40, questions: 1, kinds: { plain: 1 }, families: { color: 1, rel: 2, box: 1 } });
    const card = await scorecard(await assemble(trained), drawn, { featureCache });
    using model = await load(trained);
    const samples = await Promise.all(Array.from({ length: drawn.length }, (_, i) => drawn.sample(i)));
    const questions = samples.flatMap((sample) => sample.questions);
    const prompts = samples.map(({ images, questions }) => [{ role: "user" as const, content: [...images, questions[0]?.question ?? ""] }]);
    const said = (await model.generateBatch(prompts, { max_new_tokens: 96 })).map(({ text }) => text);
    const { families, confusions, boxes } = scoreAnswers(questions, said, []);
    expect(card.families.map(({ textOnly, ...rest }) => rest)).toEqual(families.map(({ textOnly, ...rest }) => rest));
    expect(card.confusions).toEqual(confusions);
    expect(card.boxes).toMatchObject({ asked: boxes?.asked, said: 0, overlap: 0 }); // it has never seen a box
    expect(card.right).toBeGreaterThan(0);
    expect(card.right).toBeLessThan(card.asked);
  } finally {
    rmSync(featureCache, { recursive: true });
  }
}, 120_000);
