import { readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openCaptions } from "./captions.ts";
import { miniGpt4Instructions } from "./encode/minigpt4.ts";

const golden = (name: string): string => fileURLToPath(new URL(`../../../golden/data-minigpt4/${name}`, import.meta.url));

interface Aligned {
  readonly picture: string;
  readonly answer: string;
}

const { stage2_align } = JSON.parse(readFileSync(golden("expected.json"), "utf8")) as {
  readonly stage2_align: { readonly files: Readonly<Record<string, readonly Aligned[]>> };
};

describe("MiniGPT-4's stage 2, in both layouts", () => {
  test.each(Object.entries(stage2_align.files))("%s", async (name, rows) => {
    using dataset = await openCaptions(golden(`files/cc_sbu_align/${name}`), { images: golden("files/cc_sbu_align/image") });
    const read = await Promise.all(Array.from({ length: dataset.length }, (_, i) => dataset.sample(i)));
    const found = read.map(({ images: [picture], conversations }) => ({
      picture: relative(golden("."), String(picture?.source)),
      answer: conversations[1]?.value,
    }));
    expect(found).toEqual(rows.map(({ picture, answer }) => ({ picture, answer })));
  });
});

async function file(name: string, text: string): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), "waggle-data-")), name);
  await writeFile(path, text);
  return path;
}

test("image and caption, as a list and as lines; lengths in words", async () => {
  const rows = [
    { image: "a.jpg", caption: "a bee" },
    { id: "x", image: "b/c.png", caption: "" },
  ];
  for (const text of [JSON.stringify(rows), rows.map((row) => JSON.stringify(row)).join("\n")]) {
    const path = await file("captions.json", text);
    const folder = dirname(path);
    using dataset = await openCaptions(path, { images: folder });
    expect(await Promise.all([0, 1].map((i) => dataset.sample(i)))).toEqual([
      {
        id: "row 0",
        images: [{ type: "image", source: join(folder, "a.jpg") }],
        conversations: [
          { from: "human", value: "<image>" },
          { from: "gpt", value: "a bee" },
        ],
      },
      {
        id: "x",
        images: [{ type: "image", source: join(folder, "b/c.png") }],
        conversations: [
          { from: "human", value: "<image>" },
          { from: "gpt", value: "" },
        ],
      },
    ]);
    expect([0, 1].map((i) => dataset.lengthOf?.(i))).toEqual([
      { length: 3, multimodal: true },
      { length: 1, multimodal: true },
    ]);
  }
});

test("instructions are drawn for every sample and epoch, all of them, the same again for the same seed", async () => {
  const path = await file("many.json", JSON.stringify(Array.from({ length: 200 }, (_, i) => ({ image_id: i, caption: "a" }))));
  using dataset = await openCaptions(path, { instructions: miniGpt4Instructions, seed: 4 });
  const asked = async (epoch: number): Promise<string[]> =>
    Promise.all(Array.from({ length: 200 }, async (_, i) => (await dataset.sample(i, epoch)).conversations[0]?.value ?? ""));
  const first = await asked(0);
  expect(new Set(first)).toEqual(new Set(miniGpt4Instructions));
  expect(await asked(0)).toEqual(first);
  expect(await asked(1)).not.toEqual(first);
});

test("broken rows and options", async () => {
  const path = await file("broken.json", JSON.stringify([{ caption: 4 }, { image: "", caption: "a" }]));
  using dataset = await openCaptions(path);
  expect(() => dataset.sample(0)).toThrow(
    'row 0: expected "image" (a file name) or "image_id", found nothing; caption: expected a text, found 4.',
  );
  expect(() => dataset.sample(1)).toThrow("row 1: expected");
  expect(dataset.lengthOf?.(0)).toEqual({ length: 1, multimodal: true });
  await expect(openCaptions(path, { images: `${path}s` })).rejects.toThrow("broken.jsons: no such folder of pictures.");
  await expect(openCaptions(path, { instructions: ["Describe this."] })).rejects.toThrow('"Describe this." shows no <image>');
});
