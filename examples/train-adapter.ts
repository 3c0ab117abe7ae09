/** Teaches the embedded model something new in a minute: what a traffic light says. */
import type { Dataset } from "@waggle/data";
import { mini } from "@waggle/mini";
import { assemble, image, start } from "@waggle/mllm";
import { adamW, cosine, stage, train } from "@waggle/train";
import sharp from "sharp";

const says = { red: "stop", yellow: "wait", green: "go" };
const colors = Object.keys(says) as (keyof typeof says)[];

/** A light of three lamps, somewhere in the picture; one is lit. */
const light = (index: number): Promise<Buffer> => {
  const [x, y, lit] = [10 + ((index * 37) % 50), 5 + ((index * 23) % 20), index % 3];
  const lamps = colors.map((color, i) => `<circle cx="${x + 12}" cy="${y + 12 + 22 * i}" r="9" fill="${i === lit ? color : "#222"}"/>`);
  const svg = `<svg width="96" height="96"><rect width="96" height="96" fill="#ddd"/><rect x="${x}" y="${y}" width="24" height="68" fill="#444"/>${lamps}</svg>`;
  return sharp(Buffer.from(svg)).png().toBuffer();
};
const question = "What does the light say?";
const lights: Dataset = {
  name: "lights",
  length: 60,
  sample: async (index) => ({
    ...{ id: `light ${index}`, images: [image(await light(index))] },
    conversations: [{ from: "human", value: `<image>\n${question}` }, { from: "gpt", value: says[colors[index % 3] ?? "red"] }],
  }),
};

const recipe = { data: lights, batchSize: 12, optimizer: adamW({ lr: 5e-3 }), schedule: cosine({ warmup_ratio: 0.05 }), clip: 1 };
const model = await assemble(mini);
const ask = async (): Promise<void> => {
  using running = await start(model);
  for (const index of [60, 61, 62]) {
    const { text } = await running.generate([{ role: "user", content: [image(await light(index)), question] }], { max_new_tokens: 12 });
    console.log(`${colors[index % 3]}: ${text}`);
  }
};
await ask();
const projector = stage({ ...recipe, name: "projector", trainable: ["projector"], steps: 40 });
const lora = { target_modules: "language_model.*_proj", r: 16, lora_alpha: 32 };
await train({ model, stages: [projector, stage({ ...recipe, name: "lora", trainable: ["projector"], lora, steps: 150 })], out: process.argv[2] ?? "lights" });
await ask();
