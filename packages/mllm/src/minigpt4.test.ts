/** golden/minigpt4-tiny, made by the authors' code: conversations, prompts, stopping, clean-up. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { WeightCache } from "@waggle/checkpoint";
import { resolveOptions } from "@waggle/generation";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AnswerText, strippedAnswer, visibleIds } from "./dialect.ts";
import { type ImageInput, image, load, type Message, type MultimodalModel } from "./index.ts";
import { miniGpt4Assembly } from "./minigpt4.ts";
import { openMiniGpt4Files } from "./minigpt4-parts.ts";
import type { Assembly } from "./start.ts";

interface Run {
  readonly pictures?: readonly string[];
  readonly question: string;
  readonly options: {
    readonly max_new_tokens: number;
    readonly repetition_penalty: number;
    readonly max_length?: number;
    readonly num_beams?: number;
  };
  readonly embeds_length: number;
  readonly dummy_first_id: number;
  readonly tokens: readonly number[];
  readonly text: string;
  readonly stopped_by: readonly number[] | null;
}
interface Batch {
  readonly pictures: readonly string[];
  readonly texts: readonly string[];
  readonly tokens: readonly (readonly number[])[];
  readonly answers: readonly string[];
  readonly options: { readonly max_new_tokens: number; readonly stop: string };
}
interface CleanUp {
  readonly ids: readonly number[];
  readonly text: string;
}

const folder = fileURLToPath(new URL("../../../golden/minigpt4-tiny/", import.meta.url));
const expected = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));
const runs: Readonly<Record<string, Run>> = expected.runs;
const run = (name: string): Run => runs[name] as Run;
const picture = (name: string): ImageInput => image(join(folder, name));
const first = Object.keys(runs).filter((name) => run(name).question && !name.includes(".") && run(name).options.num_beams === undefined);

let model: MultimodalModel;
let temporary: string;
let assembly: Assembly;
beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-minigpt4-"));
  model = await load(folder, { weightCache: new WeightCache({ folder: temporary }), threads: 1 });
  assembly = await miniGpt4Assembly(await openMiniGpt4Files(folder, {}), {}, 0);
});
afterAll(() => {
  model.dispose();
  rmSync(temporary, { recursive: true });
});

async function answer(messages: readonly Message[], { options, embeds_length, tokens, text, stopped_by }: Run): Promise<void> {
  const stream = model.chat(messages, options);
  let shown = "";
  for await (const piece of stream) shown += piece;
  const result = await stream.result;
  expect(result.tokenIds).toEqual(tokens);
  expect(result.text).toBe(text);
  expect(shown).toBe(text);
  expect(result.usage.promptTokens).toBe(embeds_length);
  expect(result.finishReason).toBe(stopped_by === null ? "length" : "stop");
}

describe("conversations", () => {
  test.each(first)("%s", async (name) => {
    const { pictures = [], question } = run(name);
    await answer([{ role: "user", content: [...pictures.map(picture), question] }], run(name));
  });

  test.each(["stop_one_id", "stop_two_ids"])("%s and two more turns", async (name) => {
    const { pictures = [], question, text } = run(name);
    const messages: Message[] = [
      { role: "user", content: [...pictures.map(picture), question] },
      { role: "assistant", content: text },
    ];
    for (const turn of [run(`${name}.turn_2`), run(`${name}.turn_3`)]) {
      messages.push({ role: "user", content: turn.question });
      await answer(messages, turn);
      messages.push({ role: "assistant", content: turn.text });
    }
  });

  test("a third picture in the second turn", async () => {
    const [one, two] = [run("two_images"), run("two_images.turn_2_with_third_image")];
    await answer(
      [
        { role: "user", content: [picture("picture_a.png"), picture("picture_b.png"), one.question] },
        { role: "assistant", content: one.text },
        { role: "user", content: [picture("picture_c.png"), two.question] },
      ],
      two,
    );
  });

  test("all at once get what each gets alone", async () => {
    const asked = first.map((name) => {
      const { pictures = [], question, options } = run(name);
      return model.generate([{ role: "user", content: [...pictures.map(picture), question] }], options);
    });
    expect((await Promise.all(asked)).map(({ tokenIds }) => tokenIds)).toEqual(first.map((name) => run(name).tokens));
  });

  test("without options: the authors' penalty and length, and the best token", async () => {
    const { pictures = [], question, tokens } = run("default_repetition_penalty");
    const messages: Message[] = [{ role: "user", content: [...pictures.map(picture), question] }];
    const { tokenIds } = await model.generate(messages);
    expect(tokenIds.slice(0, tokens.length)).toEqual(tokens);
    expect(tokenIds.length).toBeLessThanOrEqual(300);
  });

  test("beams, as in the release of transformers that made the case", async () => {
    const { pictures = [], question, options, tokens, text } = run("beams");
    const messages: Message[] = [{ role: "user", content: [...pictures.map(picture), question] }];
    const result = await model.generate(messages, { ...options, semantics: "4.36" });
    expect(result.tokenIds).toEqual(tokens);
    expect(result.text).toBe(text);
  });

  test("the first id of older releases is penalised like what was said", () => {
    const dialect = assembly.sight?.dialect;
    if (dialect === undefined) throw new Error("no dialect");
    const visible = (semantics: "newest" | "4.38" | "4.36" | "4.30") => visibleIds(dialect, resolveOptions({ semantics }));
    expect([visible("newest"), visible("4.38")]).toEqual([[], []]);
    expect([visible("4.36"), visible("4.30")]).toEqual([[run("main").dummy_first_id], [run("main").dummy_first_id]]);
  });

  test.each(["main", "default_repetition_penalty", "stop_two_ids"])("%s with the semantics that made it", async (name) => {
    const { pictures = [], question, options, tokens } = run(name);
    const messages: Message[] = [{ role: "user", content: [...pictures.map(picture), question] }];
    expect((await model.generate(messages, { ...options, semantics: "4.36" })).tokenIds).toEqual(tokens);
  });

  test("a window that leaves no room for a prompt", async () => {
    const asked = model.generate([{ role: "user", content: "Hi?" }], { max_new_tokens: 24, max_length: 24 });
    await expect(asked).rejects.toThrow("max_length: 24 leaves no room for a prompt beside max_new_tokens: 24");
  });
});

describe("the batch generate(): prompt texts, no stopping at ###", () => {
  const { texts, pictures, tokens, answers, options: described } = expected.runs.batch_generate as Batch;
  const { stop: _note, ...options } = described;
  const ask = (i: number) => model.generate(texts[i] ?? "", { ...options, images: [picture(pictures[i] ?? "")] });

  test("together and alone", async () => {
    const together = await Promise.all(texts.map((_, i) => ask(i)));
    expect(together.map(({ tokenIds }) => tokenIds)).toEqual(tokens);
    expect(together.map(({ text }) => text)).toEqual(answers);
    expect((await ask(1)).tokenIds).toEqual(tokens[1]);
  });

  test("Waggle's placeholder gives the same, a picture too few is an error", async () => {
    const text = (texts[0] ?? "").replace("<ImageHere>", "<image>");
    expect((await model.generate(text, { ...options, images: [picture(pictures[0] ?? "")] })).tokenIds).toEqual(tokens[0]);
    await expect(model.generate(text, options)).rejects.toMatchObject({ code: "images", placeholders: 1, pictures: 0 });
  });
});

describe("clean-up of answers", () => {
  function streamed(answer: AnswerText, pieces: Iterable<string>): string {
    const stream = answer.stream();
    let shown = "";
    for (const piece of pieces) shown += stream.push(piece);
    return shown + stream.end();
  }

  test.each(expected.runs.cleanup as readonly CleanUp[])("$text ← $ids", ({ ids, text }) => {
    const { detokenizer, sight } = assembly;
    const decoded = detokenizer?.decode(ids, { skipSpecialTokens: true }) ?? "";
    const answer = sight?.dialect?.answer?.(true);
    expect(answer?.whole(decoded)).toBe(text);
    const stream = detokenizer?.stream({ skipSpecialTokens: true });
    expect(ids.map((id) => stream?.push(id) ?? "").join("") + stream?.end()).toBe(decoded);
  });

  test("a stream shows the same, except what stands before a second Assistant:", () => {
    const tidy = strippedAnswer({ until: "###", after: "Assistant:" });
    for (const text of ["  a cat \n and # a dog  ", "a##", "a ### b", "###", " \n", "one. ## #", ""]) {
      expect(streamed(tidy, text)).toBe(tidy.whole(text));
      expect(streamed(tidy, [text])).toBe(tidy.whole(text));
    }
    expect(tidy.whole("one Assistant: two")).toBe("two");
    expect(streamed(tidy, "one Assistant: two")).toBe("one Assistant: two");
    expect(streamed(strippedAnswer(), " a ### b ")).toBe("a ### b");
  });
});
