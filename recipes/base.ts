/**
 * Puts encoder and language model together as the base of the lab, in float16, and says how well the language model answers when a
 * scene is told to it: what a projector that loses nothing could reach.
 *
 *     node --conditions=@waggle/source --import tsx recipes/base.ts [--encoder DIR] [--language DIR]
 *
 *     base/model.safetensors   vision_tower.* · language_model.*
 */
import { mkdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { castTensor, openCheckpoint, writeSafetensors } from "@waggle/checkpoint";
import { scenes } from "@waggle/data";
import { exactMatches } from "@waggle/eval";
import { linear } from "@waggle/projectors";
import { atOnce, summing } from "./at-once.ts";
import { BASE, composed, runs } from "./base-parts.ts";
import { FAMILIES, KINDS, toldScenes } from "./scene-words.ts";

const { values } = parseArgs({
  options: {
    encoder: { type: "string", default: runs("base-encoder/model") },
    language: { type: "string", default: runs("base-language/model") },
  },
});
const parts = [
  { folder: values.encoder, prefix: "vision_tower.", name: (key: string) => key },
  { folder: values.language, prefix: "model.", name: (key: string) => `language_model.${key}` },
];
const weights = await Promise.all(
  parts.map(async ({ folder, prefix, name }) => {
    const { tensors } = await openCheckpoint(folder);
    return [...tensors].flatMap(([key, tensor]) => (key.startsWith(prefix) ? [{ ...castTensor(tensor, "float16"), name: name(key) }] : []));
  }),
);
mkdirSync(BASE, { recursive: true });
await writeSafetensors(join(BASE, "model.safetensors"), weights.flat(), { metadata: { format: "pt" } });
console.log(`${weights.flat().length} tensors in ${BASE}`);

const asked = scenes({ split: "test", seed: 0, length: 1200, questions: 1, families: FAMILIES, kinds: KINDS });
const features = await mkdtemp(join(tmpdir(), "base-"));
const told = await composed(linear(), atOnce).assemble(BASE, { initialize: ["projector"], seed: 0 });
const right = await exactMatches({ ...told, language: summing(told.language) }, toldScenes(asked), {
  featureCache: features,
});
await rm(features, { recursive: true });
const families = Array.from({ length: asked.length }, (_, i) => asked.describe(i).questions[0]?.family ?? "");
for (const family of Object.keys(FAMILIES)) {
  const digits = [...right].filter((_, i) => families[i] === family);
  const hits = digits.filter((digit) => digit === "1").length;
  console.log(`${family.padEnd(8)} ${((100 * hits) / digits.length).toFixed(1).padStart(5)} % of ${digits.length}`);
}
