import { lower } from "@waggle/graph";
import { addLora } from "@waggle/nn";
import { expect, test } from "vitest";
import { promptGraph } from "../../../testing/multimodal.ts";
import { assemble } from "./index.ts";

const golden = new URL("../../../golden/", import.meta.url).pathname;

test.each([
  "llava-tiny-hf",
  "llava-tiny-original",
  "llava-next-tiny",
  "honeybee-tiny-c-abs",
  "honeybee-tiny-d-abs",
  "minigpt4-tiny",
  "blip2-opt-tiny",
  "waggle-scenes",
])("%s: a LoRA pair in the place of any Linear is in the graphs", async (name) => {
  const { composition, language } = await assemble(`${golden}${name}`);
  if (!composition) expect.unreachable();
  const pairs = addLora(composition.modules, { target_modules: ".*", r: 1, lora_alpha: 1, seed: 0 });
  const graphs = [composition.visionGraph(), promptGraph(language)];
  const used = new Set(graphs.flatMap((graph) => lower(graph, "onnxruntime").weights.map(({ weight }) => weight)));
  const lost = [...pairs].filter(([, { lora_A, lora_B }]) => !used.has(lora_A.weight) || !used.has(lora_B.weight)).map(([path]) => path);
  expect(pairs.size).toBeGreaterThan(10);
  expect(lost).toEqual([]);
});
