/** Against PyTorch's greedy answers on the embedded model's pictures. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Dataset } from "@waggle/data";
import { mini, pictures } from "@waggle/mini";
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
const { cases }: { readonly cases: readonly Case[] } = JSON.parse(
  readFileSync(new URL("../../mini/src/__vectors__/expected.json", import.meta.url), "utf8"),
);

test("a question counts as right where greedy decoding writes the answer, and only there", async () => {
  const featureCache = mkdtempSync(join(tmpdir(), "waggle-exact-"));
  try {
    const asked = cases.flatMap(({ question, answer, text, ...rest }) => [
      { ...rest, question, text, answer },
      { ...rest, question, text, answer: text }, // right by definition
      { ...rest, question, text, answer: text.slice(0, -1) }, // ends too early
    ]);
    const data: Dataset = {
      name: "pictures of the embedded model",
      length: asked.length,
      sample(index) {
        const { image: file = "", question = "", answer = "" } = asked[index] ?? {};
        const path = pictures.find(({ name }) => file === `${name}.png`)?.path ?? "";
        const conversations = [{ from: "human", value: `<image>\n${question}` } as const, { from: "gpt", value: answer } as const];
        return { id: `${index}`, images: [image(path)], conversations };
      },
    };
    const digits = await exactMatches(await assemble(mini), data, { featureCache });
    expect(digits).toBe(asked.map(({ text, answer }) => (text === answer ? "1" : "0")).join(""));
    expect(new Set(digits).size).toBe(2);
  } finally {
    rmSync(featureCache, { recursive: true });
  }
}, 120_000);
