/** Writes the adapter of testing/saved-adapter.ts into a folder: node --conditions=@waggle/source --import tsx reference/mllm/saved_adapter.ts FOLDER */
import { writeTunedAdapter } from "../../testing/saved-adapter.ts";

await writeTunedAdapter(process.argv[2] ?? "");
