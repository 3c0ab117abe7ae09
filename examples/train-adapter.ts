/** Teaches the embedded model something new in a minute: what a traffic light says. First the projector learns, then LoRA with it. */
import type { Dataset } from "@waggle/data";
import { mini } from "@waggle/mini";
import { assemble, image, start } from "@waggle/mllm";
import { adamW, cosine, stage, train } from "@waggle/train";
import sharp from "sharp";

const lamps = Object.entries({ red: "stop", yellow: "wait", green: "go" });
const question = "What does the light say?";

/** A light of three lamps, somewhere in a picture of 96 × 96; lamp number `index` mod 3 is lit. */
async function light(index: number) {
  const [color, says] = lamps[index % 3] ?? ["", ""];
  const [x, y] = [10 + ((index * 37) % 50), 5 + ((index * 23) % 20)];
  const circles = lamps.map(([c], i) => `<circle cx="12" cy="${12 + 22 * i}" r="9" fill="${c === color ? c : "#222"}"/>`);
  const box = `<g transform="translate(${x} ${y})"><rect width="24" height="68" fill="#444"/>${circles.join("")}</g>`;
  const svg = `<svg width="96" height="96"><rect width="96" height="96" fill="#ddd"/>${box}</svg>`;
  return { picture: image(await sharp(Buffer.from(svg)).png().toBuffer()), color, says };
}
const sample: Dataset["sample"] = async (index) => {
  const { picture, says } = await light(index);
  const asked = { from: "human", value: `<image>\n${question}` } as const;
  return { id: `light ${index}`, images: [picture], conversations: [asked, { from: "gpt", value: says }] };
};
const common = { data: { name: "lights", length: 60, sample }, batchSize: 12, optimizer: adamW({ lr: 5e-3 }), clip: 1 };
const schedule = cosine({ warmup_ratio: 0.05 });
const lora = { target_modules: "language_model.*_proj", r: 16, lora_alpha: 32 };
const stages = [
  stage({ ...common, name: "projector", trainable: ["projector"], steps: 40, schedule }),
  stage({ ...common, name: "lora", trainable: ["projector"], lora, steps: 150, schedule }),
];
const model = await assemble(mini);
for (const when of ["before", "after"]) {
  if (when === "after") await train({ model, stages, out: process.argv[2] ?? "lights" });
  using running = await start(model);
  for (const { picture, color } of await Promise.all([60, 61, 62].map(light))) {
    const { text } = await running.generate([{ role: "user", content: [picture, question] }], { max_new_tokens: 12 });
    console.log(`${when}  ${color}: ${text}`);
  }
}
