/** A run in a process of its own, to be killed: train-tiny.ts <model> <data.json> <out> [every] */
import { openConversations } from "@waggle/data";
import { assemble } from "@waggle/mllm";
import { adamW, stage, train } from "../index.ts";

const [model = "", data = "", out = "", every = "1"] = process.argv.slice(2);
const align = stage({
  name: "align",
  trainable: ["projector"],
  data: await openConversations(data),
  steps: 30,
  batchSize: 2,
  optimizer: adamW({ lr: 0.01 }),
});
await train({
  model: await assemble(model),
  stages: [align],
  out,
  resume: true,
  checkpointEvery: Number(every),
  onEvent: (event) => {
    if (event.type === "step") process.stdout.write(`${event.record.step}\n`);
  },
});
