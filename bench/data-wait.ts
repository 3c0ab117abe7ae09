/**
 * How long training waits for its data: LLaVA-like with a frozen 12-layer encoder at 336 pixels, an MLP projector and a
 * 4-layer decoder, on JPEGs. Epoch 1 looks at every picture, later ones take features from the disk.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Dataset } from "@waggle/data";
import { clipProcessor, image } from "@waggle/image";
import { llama } from "@waggle/language";
import { compose, fresh } from "@waggle/mllm";
import { mlp } from "@waggle/projectors";
import { llavaHf, loadTokenizer } from "@waggle/text";
import { adamW, type StepRecord, stage, train } from "@waggle/train";
import { clip } from "@waggle/vision";
import sharp from "sharp";

const [PICTURES, BATCH, EPOCHS] = [64, 8, 4];
const folder = await mkdtemp(join(tmpdir(), "waggle-bench-"));
const files: string[] = [];
for (let i = 0; i < PICTURES; i++) {
  const file = join(folder, `${i}.jpg`);
  const noise = { type: "gaussian" as const, mean: 128, sigma: 40 };
  await sharp({ create: { width: 640, height: 480, channels: 3, background: "white", noise } })
    .jpeg({ quality: 90 })
    .toFile(file);
  files.push(file);
}
const data: Dataset = {
  name: "jpegs",
  length: PICTURES,
  sample: (index) => ({
    ...{ id: `${index}`, images: [image(files[index] ?? "")] },
    conversations: [
      { from: "human", value: "<image>\nDescribe the picture." },
      { from: "gpt", value: "a small pink circle at the top right, a small green square at the bottom left." },
    ],
  }),
};
const tokenizer = await loadTokenizer("golden/waggle-scenes");
const encoder = {
  hidden_size: 192,
  intermediate_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 3,
  image_size: 336,
  patch_size: 14,
};
const decoder = {
  vocab_size: tokenizer.size,
  hidden_size: 192,
  intermediate_size: 512,
  num_hidden_layers: 4,
  num_attention_heads: 6,
  max_position_embeddings: 1024,
};
const composition = compose({
  vision: clip(encoder, { layer: -2 }),
  projector: mlp({ depth: 2, act: "gelu" }),
  language: llama(decoder),
  prompt: llavaHf,
  tokenizer,
  processor: clipProcessor({ size: 336 }),
});
const records: StepRecord[] = [];
const ended: number[] = [];
let began = 0;
try {
  const learn = stage({
    name: "learn",
    trainable: ["projector", "language"],
    data,
    epochs: EPOCHS,
    batchSize: BATCH,
    optimizer: adamW({ lr: 1e-3 }),
  });
  const onEvent = (event: { readonly type: string; readonly record?: StepRecord }): void => {
    if (!event.record) return;
    records.push(event.record);
    ended.push(performance.now());
  };
  const model = fresh(composition, { seed: 0 });
  began = performance.now();
  await train({ model, stages: [learn], out: join(folder, "run"), onEvent });
} finally {
  await rm(folder, { recursive: true, force: true });
}
const perEpoch = PICTURES / BATCH;
for (let epoch = 0; epoch < EPOCHS; epoch++) {
  const steps = records.slice(epoch * perEpoch, (epoch + 1) * perEpoch);
  const waited = steps.reduce((sum, { waitMs }) => sum + waitMs, 0);
  const took = (ended[(epoch + 1) * perEpoch - 1] ?? 0) - (ended[epoch * perEpoch - 1] ?? began) || 1;
  console.log(
    `epoch ${epoch + 1}: ${took.toFixed(0)} ms, of which ${waited.toFixed(0)} ms (${((100 * waited) / took).toFixed(1)} %) waiting for data`,
  );
}
