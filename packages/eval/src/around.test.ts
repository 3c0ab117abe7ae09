import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { llama } from "@waggle/language";
import { compose } from "@waggle/mllm";
import { linear } from "@waggle/projectors";
import { llavaHf } from "@waggle/text";
import { clip } from "@waggle/vision";
import { expect, test } from "vitest";
import { around } from "./around.ts";
import { compositionOf } from "./plan.ts";

const golden = (name: string): string => fileURLToPath(new URL(`../../../golden/${name}`, import.meta.url));

test("is the model composed by hand: the same weights, the same prompt, the projector by its seed", async () => {
  const folder = golden("llava-tiny-hf");
  const { vision_config, text_config } = JSON.parse(readFileSync(`${folder}/config.json`, "utf8"));
  const found = await around(folder)(linear(), 3);
  const parts = compose({ vision: clip(vision_config, { layer: -2 }), projector: linear(), language: llama(text_config), prompt: llavaHf });
  const byHand = await parts.assemble(folder, { initialize: ["projector"], seed: 3 });
  const weights = (model: typeof found) =>
    Array.from(compositionOf(model).modules.namedParameters(), ([path, { shape, source }]) => [path, shape, source?.fingerprint]);
  expect(weights(found)).toEqual(weights(byHand));
  expect(weights(await around(folder)(linear(), 4))).not.toEqual(weights(byHand));
  expect(found.sight?.tokensPerImage).toBe(16);
  const messages = [{ role: "user", content: "<image>\nWhat colour is it?" }] as const;
  expect(found.template?.render(messages)).toBe(byHand.template?.render(messages));
});

test("refuses a language model alone", async () => {
  await expect(around(golden("llama-tiny"))(linear(), 0)).rejects.toThrow(/llama-tiny: is a language model alone/);
});
