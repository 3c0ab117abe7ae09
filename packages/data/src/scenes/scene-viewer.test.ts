import { image } from "@waggle/image";
import { expect, test } from "vitest";
import { sceneViewer } from "./scene-viewer.ts";
import { scenes } from "./scenes.ts";

const dataset = scenes({ split: "test", seed: 3, length: 12 });
const samples = await Promise.all(Array.from({ length: 12 }, (_, i) => dataset.sample(i)));

test("one page with every picture, question and answer in it, and nothing to load", async () => {
  const html = await sceneViewer(samples, "Scenes <test>");
  expect(html).toContain("<title>Scenes &lt;test></title>");
  expect(html.match(/src="data:image\/png;base64,[\w+/=]+"/g)).toHaveLength(12);
  for (const { question, answer, family } of samples.flatMap(({ questions }) => questions)) {
    expect(html).toContain(`>${family}</b> ${question}</dt>`);
    expect(html).toContain(`>${answer}</dd>`);
  }
  expect(html).not.toMatch(/(src|href)="(?!data:)|@import|https?:/);
});

test("boxes in questions and answers are there to be drawn", async () => {
  const html = await sceneViewer(samples);
  const boxed = samples.flatMap(({ questions }) => questions).filter(({ family }) => family === "box" || family === "phrase");
  expect(boxed.length).toBeGreaterThan(0);
  expect(html.match(/<dt data-box="0\.\d+ 0\.\d+ 0\.\d+ 0\.\d+"/g)).toHaveLength(boxed.length);
});

test("samples of other datasets: no families, no pictures, markup in texts", async () => {
  const plain = {
    id: "a&b",
    images: [],
    conversations: [
      { from: "human", value: "Is 1 < 2?" },
      { from: "gpt", value: "<b>Yes</b>" },
    ],
  } as const; // prettier-ignore
  const html = await sceneViewer([plain]);
  expect(html).toContain("1 samples, 1 questions.");
  expect(html).toContain("<dt>Is 1 &lt; 2?</dt><dd>&lt;b>Yes&lt;/b></dd>");
  expect(html).not.toContain("<img");
});

test("a picture that cannot be read is an error", async () => {
  const broken = { id: "broken", images: [image(new Uint8Array([1, 2, 3]))], conversations: [] };
  await expect(sceneViewer([broken])).rejects.toThrow("no image format");
});
