/**
 * Measures a model and writes its card into its folder: README.md, card.json with all numbers, and the training curve.
 *
 *     node --conditions=@waggle/source --import tsx recipes/mini-card.ts <model folder> [--metrics metrics.jsonl]…
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { cardText } from "./card-text.ts";
import { measure, notBetter } from "./model-card.ts";
import { curveSvg, readCurve } from "./training-curve.ts";

/** Of each kind of scene. */
const QUESTIONS = 3000;
const CURVE = "training.svg";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { metrics: { type: "string", multiple: true, default: [] } },
});
const [folder] = positionals;
if (folder === undefined || positionals.length > 1) throw new Error("mini-card: expected one model folder.");

const curve = values.metrics.length > 0 ? curveSvg(await readCurve(values.metrics)) : null; // before the minutes that follow
const featureCache = await mkdtemp(join(tmpdir(), "waggle-card-"));
try {
  const other = fileURLToPath(new URL("../golden/waggle-scenes", import.meta.url));
  const card = await measure(folder, { questions: QUESTIONS, other, featureCache });
  await writeFile(join(folder, "card.json"), `${JSON.stringify(card, null, 1)}\n`);
  if (curve !== null) await writeFile(join(folder, CURVE), curve);
  await writeFile(join(folder, "README.md"), cardText(card, { curve: curve && CURVE }));
  console.log(`test ${card.test.right} / ${card.test.asked}, composition ${card.composition.right} / ${card.composition.asked}`);
  console.log(`plain ${card.plain.right} / ${card.plain.asked}, golden/waggle-scenes ${card.other.right} / ${card.other.asked}`);
  console.log(
    `boxes: mean overlap ${card.test.boxes?.overlap.toFixed(3)}; shared families in which it is not better: ${notBetter(card).join(", ") || "none"}`,
  );
} finally {
  await rm(featureCache, { recursive: true });
}
