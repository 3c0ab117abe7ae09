import { scenes } from "@waggle/data";
import { input, symbol } from "@waggle/graph";
import { llama } from "@waggle/language";
import { weightPlacer } from "@waggle/mllm";
import { initialize } from "@waggle/nn";
import { Runtime } from "@waggle/runtime";
import { Tensor } from "onnxruntime-common";
import { expect, test } from "vitest";
import { atOnce, summing } from "./at-once.ts";
import { tokenizer } from "./base-parts.ts";
import { telling } from "./scene-words.ts";

const idOf = (word: string): number => tokenizer.encode(word, { addSpecialTokens: false })[0] ?? 0;

test("a token in braces has the sum of its words' embeddings, the others their own", async () => {
  const language = llama({
    vocab_size: tokenizer.size,
    hidden_size: 8,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 1,
  });
  initialize(language, { seed: 0 });
  const ids = atOnce.encode("What{small red star <0x82> <0x91>}{blue}color", { addSpecialTokens: false });
  expect(ids).toHaveLength(4);
  expect([ids[0], ids[2], ids[3]]).toEqual([idOf("What"), idOf("blue"), idOf("color")]);

  using runtime = new Runtime({ threads: 1 });
  const input_ids = input("input_ids", "int64", [1, symbol("S")]);
  const outputs = { plain: language.embed(input_ids), sums: summing(language).embed(input_ids) };
  const run = async (name: "plain" | "sums", tokens: readonly number[]): Promise<number[][]> => {
    const graph = { name, inputs: { input_ids }, outputs: { [name]: outputs[name] } };
    const session = await runtime.compile(graph, { weights: weightPlacer() });
    const feeds = { input_ids: new Tensor("int64", BigInt64Array.from(tokens, BigInt), [1, tokens.length]) };
    const data = (await session.run(feeds))[name]?.data as Float32Array;
    return tokens.map((_, i) => [...data.subarray(8 * i, 8 * i + 8)]);
  };
  const words = [...["What", "small", "red", "star"].map(idOf), tokenizer.tokenId("<0x82>") ?? 0, tokenizer.tokenId("<0x91>") ?? 0];
  const [what = [], ...parts] = await run("plain", [...words, idOf("blue"), idOf("color")]);
  const [first, sum = [], blue, color] = await run("sums", ids);
  expect([first, blue, color]).toEqual([what, ...parts.slice(5)]);
  for (const [d, value] of sum.entries())
    expect(value).toBeCloseTo(
      parts.slice(0, 5).reduce((total, part) => total + (part[d] ?? 0), 0),
      6,
    );
});

test("every thing of a telling is one token, and more words than a number holds are refused", () => {
  const { id, scene } = scenes({ split: "test", seed: 0, length: 1, kinds: { varied: 1 } }).describe(0);
  expect(atOnce.encode(telling(scene, id), { addSpecialTokens: false })).toHaveLength(scene.things.length);
  expect(() => atOnce.encode("{a small red star at 2 1}")).toThrow("expected at most 5 words in one place");
});
