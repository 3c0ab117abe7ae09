import { monitorEventLoopDelay } from "node:perf_hooks";
import { mini } from "@waggle/mini";
import { load } from "@waggle/mllm";

const m = await load(mini);
for (let k = 0; k < 3; k++) {
  const h = monitorEventLoopDelay({ resolution: 5 });
  h.enable();
  const r = await m.generate("USER: Hello. ASSISTANT:", { max_new_tokens: 400, eos_token_id: [] });
  h.disable();
  console.log(r.usage, r.timings.decodeMs / 400, "p99", h.percentile(99) / 1e6, "max", h.max / 1e6);
}
const rs = await Promise.all(
  [1, 2, 3, 4].map((s) => m.generate("USER: Hello. ASSISTANT:", { max_new_tokens: 400, eos_token_id: [], do_sample: true, seed: s })),
);
console.log(rs.map((r) => r.timings.decodeMs / 400));
m.dispose();
