/** `npm run demo`: answers a question about a picture, streaming, and says what it did. */
import { parseArgs } from "node:util";
import { mini, pictures } from "@waggle/mini";
import { image, inspect, load } from "@waggle/mllm";

try {
  const { values } = parseArgs({
    options: {
      model: { type: "string", default: mini },
      image: { type: "string", default: pictures[1].path },
      prompt: { type: "string", default: "Describe the picture." },
    },
  });
  const { model_type, parameters } = await inspect(values.model);
  console.log(`model     ${model_type}, ${(parameters / 1e6).toFixed(1)} M parameters in use, ${values.model}`);
  console.log(`picture   ${values.image}\nquestion  ${values.prompt}`);
  const model = await load(values.model);
  process.stdout.write("answer    ");
  const answer = model.chat([{ role: "user", content: [image(values.image), values.prompt] }]);
  for await (const piece of answer) process.stdout.write(piece);
  const { usage, timings } = await answer.result;
  const rate = (usage.completionTokens / timings.decodeMs) * 1000;
  console.log(`\nimage     ${usage.imageTokens} tokens, encoded in ${timings.encodeMs.toFixed(0)} ms`);
  console.log(`speed     ${usage.completionTokens} tokens, ${rate.toFixed(0)} tokens/s`);
  model.dispose();
} catch (error) {
  const { name, message, code = "" } = error as Error & { code?: string };
  const usage = code.startsWith("ERR_PARSE_ARGS")
    ? ". Options: --image FILE|URL|-, --prompt TEXT, --model FOLDER|HUB_ID; or --box TEXT"
    : "";
  console.error(`\n${name}: ${message}${usage}`);
  process.exitCode = 1;
}
