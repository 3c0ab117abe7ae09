/** Beams and batches of golden/llava-tiny-hf: text and pictures in, several answers out. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { image, load, type MultimodalModel } from "./index.ts";

interface Case {
  readonly name: string;
  readonly images: readonly string[];
  readonly prompt: string;
  readonly max_new_tokens: number;
  readonly tokenIds: readonly number[];
  readonly text: string;
}
interface Search {
  readonly of: string;
  readonly num_beams: number;
  readonly length_penalty: number;
  readonly early_stopping: boolean;
  readonly max_new_tokens: number;
  readonly sequences: readonly (readonly number[])[];
  readonly scores: readonly number[];
}

const folder = fileURLToPath(new URL("../../../golden/llava-tiny-hf/", import.meta.url));
const { cases, beamSearch }: { readonly cases: readonly Case[]; readonly beamSearch: readonly Search[] } = JSON.parse(
  readFileSync(join(folder, "expected.json"), "utf8"),
);
const pictures = (names: readonly string[]) => names.map((name) => image(join(folder, name)));

let model: MultimodalModel;
beforeAll(async () => {
  model = await load(folder);
});
afterAll(() => model.dispose());

test.each(beamSearch)("$num_beams beams over $of, length penalty $length_penalty", async ({ of, sequences, scores, ...options }) => {
  const { prompt, images = [] } = cases.find(({ name }) => name === of) ?? {};
  const given = { ...options, num_return_sequences: sequences.length, images: pictures(images) };
  const stream = model.stream(prompt ?? "", given);
  const pieces: string[] = [];
  for await (const piece of stream) pieces.push(piece);
  const result = await stream.result;
  expect(result.sequences?.map(({ tokenIds }) => tokenIds)).toEqual(sequences);
  for (const [i, score] of scores.entries()) expect(Math.abs((result.sequences?.[i]?.score ?? 0) - score)).toBeLessThan(1e-4);
  expect([result.text, result.tokenIds]).toEqual([result.sequences?.[0]?.text, sequences[0]]);
  expect(pieces.join("")).toBe(result.text);
  expect(result.usage.imageTokens).toBe(16 * images.length);
});

describe("a batch", () => {
  const mixed = cases.map(({ prompt, images }) => (images.length > 0 ? { prompt, images: pictures(images) } : prompt));

  test("each answer is what its prompt gets alone, none padded", async () => {
    const max_new_tokens = Math.min(...cases.map((each) => each.max_new_tokens));
    const together = await model.generateBatch(mixed, { max_new_tokens });
    for (const [i, { tokenIds }] of cases.entries()) expect(together[i]?.tokenIds).toEqual(tokenIds.slice(0, max_new_tokens));
  });

  test("beams too", async () => {
    const options = { num_beams: 3, max_new_tokens: 6 };
    const together = await model.generateBatch(mixed, options);
    for (const [i, { prompt, images }] of cases.entries()) {
      const alone = await model.generate(prompt, { ...options, images: pictures(images) });
      expect(together[i]?.sequences?.map(({ tokenIds }) => tokenIds)).toEqual(alone.sequences?.map(({ tokenIds }) => tokenIds));
    }
  });

  test("of none is empty; conversations are prompts too", async () => {
    expect(await model.generateBatch([])).toEqual([]);
    const [spoken] = await model.generateBatch([[{ role: "user", content: "Hi." }]], { max_new_tokens: 3 });
    expect(spoken?.tokenIds).toEqual((await model.chat([{ role: "user", content: "Hi." }], { max_new_tokens: 3 }).result).tokenIds);
  });

  test("one that fails ends the others with its error; so does a signal", async () => {
    const bad = { prompt: "USER: <image> ASSISTANT:", images: [image(join(folder, "none.png"))] };
    await expect(model.generateBatch([...mixed, bad])).rejects.toMatchObject({ name: "ImageError" });
    const reason = new Error("enough");
    await expect(model.generateBatch(mixed, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const running = model.generateBatch(mixed, { signal: controller.signal, max_new_tokens: 300 });
    setTimeout(() => controller.abort(reason), 20);
    await expect(running).rejects.toBe(reason);
  });
});
