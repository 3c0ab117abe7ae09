/** A LLaVA from its parts: take out one of them and put in yours. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { llama } from "@waggle/language";
import { compose, image } from "@waggle/mllm";
import { mlp } from "@waggle/projectors";
import { llavaHf } from "@waggle/text";
import { clip } from "@waggle/vision";

const folder = fileURLToPath(new URL("../golden/waggle-scenes/", import.meta.url));
const { vision_config, text_config } = JSON.parse(await readFile(`${folder}config.json`, "utf8"));

const bee = compose({
  vision: clip(vision_config, { layer: -2 }),
  projector: mlp({ depth: 2, act: "gelu" }),
  language: llama(text_config),
  prompt: llavaHf,
});
const model = await bee.load(folder);

const { text } = await model.generate([{ role: "user", content: [image(`${folder}scene-02.png`), "Describe the picture."] }]);
console.log(text);
model.dispose();
