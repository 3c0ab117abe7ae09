/** Captions every picture of a folder: `tsx examples/caption-folder.ts [FOLDER] [MODEL]`. */
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { mini, pictures } from "@waggle/mini";
import { image, load } from "@waggle/mllm";

const [folder = dirname(pictures[0].path), id = mini] = process.argv.slice(2);
const model = await load(id);
for (const file of (await readdir(folder)).sort()) {
  if (!/\.(png|jpe?g|webp)$/i.test(file)) continue;
  const { text } = await model.generate([{ role: "user", content: [image(join(folder, file)), "Describe the picture."] }]);
  console.log(`${file}: ${text}`);
}
model.dispose();
