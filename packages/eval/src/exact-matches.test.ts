/** Against PyTorch's greedy answers on the pictures of golden/waggle-scenes. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Dataset } from "@waggle/data";
import { assemble, image } from "@waggle/mllm";
import { expect, test } from "vitest";
import { exactMatches } from "./exact-matches.ts";

interface Case {
  readonly image: string;
  readonly question: string;
  readonly answer: string;
  /** What the reference implementation generates. */
  readonly text: string;
}
const folder = fileURLToPath(new URL("../../../golden/waggle-scenes/", import.meta.url));
const { cases }: { readonly cases: readonly Case[] } = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));

test("a question counts as right where greedy decoding writes the answer, and only there", async () => {
  const featureCache = mkdtempSync(join(tmpdir(), "waggle-exact-"));
  try {
    const asked = cases.flatMap(({ question, answer, text, ...rest }) => [
      { ...rest, question, text, answer },
      { ...rest, question, text, answer: text }, // right by definition
      { ...rest, question, text, answer: text.slice(0, -1) }, // ends too early
    ]);
    const data: Dataset = {
      name: "golden/waggle-scenes",
      length: asked.length,
      sample(index) {
        const { image: file = "", question = "", answer = "" } = asked[index] ?? {};
        const conversations = [{ from: "human", value: `<image>\n${question}` } as const, { from: "gpt", value: answer } as const];
        return { id: `${index}`, images: [image(join(folder, file))], conversations };
      },
    };
    const digits = await exactMatches(await assemble(folder), data, { featureCache });
    expect(digits).toBe(asked.map(({ text, answer }) => (text === answer ? "1" : "0")).join(""));
    expect(new Set(digits).size).toBe(2);
  } finally {
    rmSync(featureCache, { recursive: true });
  }
}, 120_000);
