import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { openConversations } from "./conversations.ts";
import { DataError } from "./data-error.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "waggle-data-"));
});

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

const row = (i: number) => ({
  id: `r${i}`,
  image: `${i}.png`,
  conversations: [
    { from: "human", value: `<image>\n"What" is [in] {it}?\\ ${i}` },
    { from: "gpt", value: "Zwölf Bienen 🐝, }]" },
  ],
});

const rows = Array.from({ length: 10_000 }, (_, i) => row(i));

describe("the same rows", () => {
  test.each([
    ["a list in one line", JSON.stringify(rows)],
    ["a list over many lines, with a byte order mark", `\uFEFF\n${JSON.stringify(rows, null, 2)}\n`],
    ["a list of lines", `[\r\n${rows.map((one) => JSON.stringify(one)).join(",\r\n")}\r\n]`],
    ["JSON lines", `${rows.map((one) => JSON.stringify(one)).join("\n")}\n\n`],
  ])("from %s", async (name, text) => {
    using dataset = await openConversations(await file(`${name}.json`, text), { images: folder });
    expect(dataset.length).toBe(rows.length);
    for (const i of [0, 1, 4999, 9999]) {
      expect(await dataset.sample(i)).toEqual({
        id: `r${i}`,
        images: [{ type: "image", source: join(folder, `${i}.png`) }],
        conversations: row(i).conversations,
      });
    }
  });
});

test("several pictures, none, a number for a name; pictures lie beside the file by default", async () => {
  const turns = [{ from: "human", value: "a" }];
  const text = JSON.stringify([{ id: 7, image: ["a.png", "b/c.png"], conversations: turns }, { conversations: turns }]);
  using dataset = await openConversations(await file("few.json", text));
  expect(await dataset.sample(0)).toMatchObject({
    id: "7",
    images: [{ source: join(folder, "a.png") }, { source: join(folder, "b/c.png") }],
  });
  expect(await dataset.sample(1)).toEqual({ id: "row 1", images: [], conversations: turns });
});

describe("one broken row in ten thousand breaks that row", () => {
  const lines = rows.map((one) => JSON.stringify(one));
  const cut = lines.map((line, i) => (i === 1234 ? line.slice(0, 40) : line));
  test.each([
    ["JSON lines, one cut off", cut.join("\n")],
    ["a list of lines, one cut off", `[${cut.join(",\n")}]`],
    ["a list of lines, one without its end", `[\n${lines.map((line, i) => (i === 1234 ? line.slice(0, -1) : line)).join(",\n")}\n]\n`],
    ["a list in one line, one with a bare word", `[${lines.map((line, i) => (i === 1234 ? `{"id": nothing}` : line)).join(",")}]`],
  ])("%s", async (name, text) => {
    using dataset = await openConversations(await file(`broken ${name}.json`, text));
    expect(dataset.length).toBe(rows.length);
    const broken: number[] = [];
    for (let i = 0; i < dataset.length; i++) {
      try {
        expect((await dataset.sample(i)).id).toBe(`r${i}`);
      } catch (error) {
        expect(error).toMatchObject({ name: "DataError", code: "bad-row", row: i });
        broken.push(i);
      }
    }
    expect(broken).toEqual([1234]);
    expect(dataset.lengthOf?.(1234)).toEqual({ length: 1, multimodal: false });
  });
});

test("everything that is wrong with a row, with file and row", async () => {
  const text = JSON.stringify([{ image: 5, conversations: [{ from: "user", value: "a" }, { from: "gpt" }] }, { id: "x" }, 7]);
  using dataset = await openConversations(await file("rows.json", text));
  const problem = (i: number): string => {
    try {
      dataset.sample(i);
    } catch (error) {
      if (error instanceof DataError) return error.message.replace(folder, "");
    }
    return "none";
  };
  expect([0, 1, 2].map(problem)).toMatchInlineSnapshot(`
    [
      "/rows.json, row 0: image: expected a file name, found 5; conversations[0]: expected { "from": "human" | "gpt", "value": text }, found {"from":"user","value":"a"}; conversations[1]: expected { "from": "human" | "gpt", "value": text }, found {"from":"gpt"}.",
      "/rows.json, row 1: conversations: expected a list of turns, found nothing.",
      "/rows.json, row 2: expected a JSON object, found 7.",
    ]
  `);
});

describe("files that are not rows", () => {
  test.each([
    ["empty.json", "", "not-json"],
    ["text.json", "id,image\n1,a.png\n", "not-json"],
    ["cut.json", JSON.stringify(rows, null, 1).slice(0, 5000), "not-json"],
    ["two lists.json", `${JSON.stringify([row(1)])}\n${JSON.stringify([row(2)], null, 1)}`, "not-json"],
    ["closed twice.json", `[{"id": "a"}},{"id": "b"}]`, "not-json"],
    ["unclosed.json", `[${JSON.stringify(row(1))}`, "not-json"],
  ])("%s", async (name, text, code) => {
    const path = await file(name, text);
    await expect(openConversations(path)).rejects.toMatchObject({ code, file: path });
  });

  test("no file, a folder, a misspelt option", async () => {
    await expect(openConversations(join(folder, "nothing.json"))).rejects.toMatchObject({ code: "not-found" });
    await expect(openConversations(folder)).rejects.toMatchObject({ code: "unreadable" });
    const missing = join(folder, "gone");
    await expect(openConversations(join(folder, "few.json"), { images: missing })).rejects.toThrow(
      `${missing}: no such folder of pictures.`,
    );
    const misspelt = { images: "pictures", image: "pictures" };
    await expect(openConversations(join(folder, "few.json"), misspelt)).rejects.toThrow(
      "image: is not an option. There are: images, signal.",
    );
  });

  test("an abort while rows are being found", async () => {
    const path = await file("aborted.json", JSON.stringify(rows));
    await expect(openConversations(path, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });

  test("a data set that was disposed of, and a file that became shorter", async () => {
    const path = await file("short.json", JSON.stringify(rows.slice(0, 9)));
    const dataset = await openConversations(path);
    await writeFile(path, "[]");
    expect(() => dataset.sample(5)).toThrow("shorter");
    dataset[Symbol.dispose]();
    expect(() => dataset.sample(0)).toThrow("disposed");
  });
});
