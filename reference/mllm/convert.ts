// Converts golden models and writes down what Waggle answers; see convert_transformers.py.
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { convert, image, load } from "@waggle/mllm";

const [, , out = ""] = process.argv;
const golden = new URL("../../golden/", import.meta.url).pathname;
const cases = [
  { name: "llava-tiny-hf", picture: "scene.png", prompt: "USER: <image>\nWhat is shown in this picture? ASSISTANT:" },
  { name: "llava-next-tiny", picture: "even.png", prompt: "USER: <image>\nWhat is shown in this picture? ASSISTANT:" },
  { name: "blip2-opt-tiny", picture: "picture_a.png", prompt: "Question: what is it? Answer:" },
  { name: "llama-tiny", picture: null, prompt: "What is it?" },
];
const answers: Record<string, unknown> = {};
for (const { name, picture, prompt } of cases) {
  await convert(join(golden, name), join(out, name));
  using model = await load(join(out, name));
  const path = picture && join(golden, name, picture);
  const { tokenIds } = await model.generate(prompt, { max_new_tokens: 16, ...(path && { images: [image(path)] }) });
  answers[name] = { prompt, picture: path, tokenIds };
}
writeFileSync(join(out, "answers.json"), JSON.stringify(answers));

// The authors' own answers are in the golden file: vicuna_v1's, which the folder's name does not say.
const original = join(out, "original");
cpSync(join(golden, "llava-tiny-original"), original, { recursive: true });
const config = JSON.parse(readFileSync(join(original, "config.json"), "utf8"));
writeFileSync(join(original, "config.json"), JSON.stringify({ ...config, conv_mode: "vicuna_v1" }));
await convert(original, join(out, "llava-tiny-original"));
const lora = join(original, "lora");
writeFileSync(join(lora, "config.json"), JSON.stringify({ ...JSON.parse(readFileSync(join(lora, "config.json"), "utf8")), conv_mode: "vicuna_v1" }));
await convert(lora, join(out, "llava-tiny-original-lora"), { base: original });
