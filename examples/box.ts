/** `npm run demo -- --box "green square"`: asks where something is, in Honeybee's words, and draws the answer on the picture. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { parseBox } from "@waggle/data";
import { mini, pictures } from "@waggle/mini";
import { image, load } from "@waggle/mllm";
import { drawBox } from "./draw-box.ts";

try {
  const { values } = parseArgs({
    options: {
      box: { type: "string", default: "green square" },
      image: { type: "string", default: pictures[1].path },
      model: { type: "string", default: mini },
      out: { type: "string", default: "box.png" },
    },
  });
  const question = `Provide the bounding box coordinate of the region this sentence describes. ${values.box}`;
  console.log(`picture   ${values.image}\nquestion  ${question}`);
  using model = await load(values.model);
  const { text } = await model.generate([{ role: "user", content: [image(values.image), question] }]);
  console.log(`answer    ${text}`);
  const box = parseBox(text);
  if (box === null) throw new Error("the answer holds no box, so nothing was drawn: this model has not learnt to say where things are.");
  await drawBox(values.image, box, values.out);
  console.log(`drawn     ${resolve(values.out)}`);
} catch (error) {
  const { name, message, code = "" } = error as Error & { code?: string };
  const usage = code.startsWith("ERR_PARSE_ARGS") ? ". Options: --box TEXT, --image FILE, --model FOLDER|HUB_ID, --out FILE" : "";
  console.error(`\n${name}: ${message}${usage}`);
  process.exitCode = 1;
}
