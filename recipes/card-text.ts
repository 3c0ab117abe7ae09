/** A measured model card as the README.md of the model's folder. */
import type { Confusion, Scorecard } from "@waggle/eval";
import type { ModelDescription } from "@waggle/mllm";
import { type ModelCard, notBetter } from "./model-card.ts";

export interface CardFiles {
  /** Beside README.md; null if the run's losses were not given. */
  readonly curve: string | null;
}

export function cardText({ model, test, composition, plain, other }: ModelCard, { curve }: CardFiles): string {
  const worse = notBetter({ plain, other });
  return `---
license: apache-2.0
pipeline_tag: image-text-to-text
language: en
---
# waggle-mini

A Honeybee of ${millions(model.parameters)} parameters that answers English questions about drawn scenes: coloured shapes, signs, bar charts. It exists so that an install, a
test and a first example have a real, trained model, and to show that Waggle trains one from nothing; it is not a model for photographs.

${partsTable(model)}

The folder has the layout in which Honeybee was released; weights are float16. Trained from scratch, from no other model, by \`recipes/\` of Waggle's repository.

## What it can and cannot do

Answers that are right letter by letter, greedy decoding, one question about each of ${test.asked} pictures that training never showed. *Text only* is what somebody gets right who reads questions and sees no picture.
*New pairs*: every question is about a colour and a shape together that no training picture shows.

${familyTable([
  ["right", test],
  ["new pairs", composition],
])}
${boxLine(test)}
It knows nothing else. It was not trained on photographs, other languages or other topics, and it has no way of saying so: it answers them, wrongly, in the words that it knows.

## Beside waggle-scenes

\`golden/waggle-scenes\` of Waggle's repository is a LLaVA of 2.9 million parameters, trained in PyTorch on plain scenes only. The same ${plain.asked} questions about plain scenes to both; waggle-mini is better in
${worse.length === 0 ? "every family" : `every family but ${worse.join(", ")}`}.

${familyTable([
  ["waggle-mini", plain],
  ["waggle-scenes", other],
])}
## What it says instead

${test.confusions.map(confusionTable).join("\n\n")}
${curve === null ? "" : `\n## Training\n\n![The loss of every step](${curve})\n`}
All numbers of this page are in \`card.json\`.

## Licence

Apache-2.0. Pictures, questions and weights were made for Waggle.
`;
}

function partsTable({ parts, tokensPerImage, maxPositions }: Pick<ModelDescription, "parts" | "tokensPerImage" | "maxPositions">): string {
  const rows = parts.map(({ name, parameters, sizes }) => {
    const list = Object.entries(sizes).map(([key, value]) => `\`${key}\` ${value}`);
    return `| ${name} | ${millions(parameters)} | ${list.join(", ")} |`;
  });
  return `| part | parameters | sizes |\n|---|---|---|\n${rows.join("\n")}\n\n${tokensPerImage} visual tokens a picture, ${maxPositions} positions for prompt and answer.`;
}

/** Families of the first card, each with its share in every card. */
function familyTable(columns: readonly (readonly [title: string, card: Scorecard])[]): string {
  const [[, first] = ["", undefined]] = columns;
  if (first === undefined) return "";
  const cell = (card: Scorecard, name: string): string => {
    const found = card.families.find(({ family }) => family === name);
    return found ? `${percent(found.right / found.asked)} (${found.right} / ${found.asked})` : "";
  };
  const ranked = first.families.toSorted((a, b) => b.right / b.asked - a.right / a.asked);
  const rows = ranked.map(
    ({ family, textOnly, asked }) =>
      `| ${family} | ${columns.map(([, card]) => cell(card, family)).join(" | ")} | ${percent(textOnly / asked)} |`,
  );
  const all = columns.map(([, { right, asked }]) => `${percent(right / asked)} (${right} / ${asked})`);
  const guessed = first.families.reduce((sum, { textOnly }) => sum + textOnly, 0);
  const head = `| family | ${columns.map(([title]) => title).join(" | ")} | text only |\n|---|${"---|".repeat(columns.length)}---|`;
  return `${head}\n${rows.join("\n")}\n| all | ${all.join(" | ")} | ${percent(guessed / first.asked)} |\n`;
}

function boxLine({ boxes }: Scorecard): string {
  if (boxes === null) return "";
  return `
A box is seldom right to the last of its three decimals. What counts is how much it shares with the true one (intersection over union): ${boxes.overlap.toFixed(2)} on the mean of ${boxes.asked} questions,
${boxes.said} of which got a box as an answer; text only ${boxes.textOnly.toFixed(2)}.
`;
}

function confusionTable({ family, answers, said, counts }: Confusion): string {
  const shown = said.filter((_, j) => j < answers.length || counts.some((row) => (row[j] ?? 0) > 0));
  const rows = answers.map((answer, i) => `| **${answer}** | ${shown.map((_, j) => counts[i]?.[j] || "·").join(" | ")} |`);
  return `### ${family}\n\nA line for each true answer, a column for what the model says.\n\n| | ${shown.join(" | ")} |\n|---|${"---:|".repeat(shown.length)}\n${rows.join("\n")}`;
}

function millions(count: number): string {
  return `${(count / 1e6).toFixed(2)} million`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
