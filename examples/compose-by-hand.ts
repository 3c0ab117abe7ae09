/** The same model from its parts: take out one of them and put in yours. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { llama } from "@waggle/language";
import { mini, pictures } from "@waggle/mini";
import { compose, image } from "@waggle/mllm";
import { mlp } from "@waggle/projectors";
import { llavaHf } from "@waggle/text";
import { clip } from "@waggle/vision";

const { vision_config, text_config } = JSON.parse(await readFile(join(mini, "config.json"), "utf8"));

const bee = compose({
  vision: clip(vision_config, { layer: -2 }),
  projector: mlp({ depth: 2, act: "gelu" }),
  language: llama(text_config),
  prompt: llavaHf,
});
const model = await bee.load(mini);

const { text } = await model.generate([{ role: "user", content: [image(pictures[1].path), "Describe the picture."] }]);
console.log(text);
model.dispose();
