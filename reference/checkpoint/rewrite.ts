// Reads one safetensors file and writes it anew; see interoperation.py.
import { openSafetensors, writeSafetensors } from "@waggle/checkpoint";

const [, , from = "", to = ""] = process.argv;
const { tensors, metadata } = await openSafetensors(from);
await writeSafetensors(to, tensors.values(), { metadata });
