// Another process that converts: `convert-in-child.ts CACHE_FOLDER FILE`. Sends its progress, then what it found.
import { openSafetensors, WeightCache } from "@waggle/checkpoint";

const [, , folder = "", file = ""] = process.argv;
const { tensors } = await openSafetensors(file);
const requests = [...tensors.values()].map((source) => ({ name: source.name, source, dtype: "float32" as const }));
const onProgress = (): void => void process.send?.("progress");
const found = await new WeightCache({ folder }).get(requests, { onProgress });
process.send?.([...found.values()]);
process.disconnect();
