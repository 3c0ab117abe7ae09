import { WeightCache } from "@waggle/checkpoint";
import { Command } from "commander";
import { bytes, counted, table } from "./table.ts";

export function cacheCommand(): Command {
  const list = new Command("list")
    .description("what is there, most recently used first (the default)")
    .option("--json", "print one JSON object")
    .action(listCache);
  const clear = new Command("clear")
    .description("delete all of it; models convert their weights again when they are next loaded")
    .option("--json", "print one JSON object")
    .action(clearCache);
  return new Command("cache")
    .description("the weights that were converted to run here: list or clear them")
    .addCommand(list.exitOverride(), { isDefault: true })
    .addCommand(clear.exitOverride());
}

async function listCache({ json }: { readonly json?: true }): Promise<void> {
  const cache = new WeightCache();
  const files = await cache.list();
  const total = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (json) {
    process.stdout.write(`${JSON.stringify({ folder: cache.folder, maxBytes: cache.maxBytes, byteLength: total, files })}\n`);
    return;
  }
  const rows = files.map(({ byteLength, tensors, lastUsed, sources }) => [
    bytes(byteLength),
    counted(tensors, "tensor"),
    lastUsed.toISOString().slice(0, 16).replace("T", " "),
    sources.join(", "),
  ]);
  process.stdout.write(`${cache.folder}: ${bytes(total)} of ${bytes(cache.maxBytes)}\n${table(rows)}`);
}

async function clearCache({ json }: { readonly json?: true }): Promise<void> {
  const cache = new WeightCache();
  const { files, byteLength } = await cache.clear();
  process.stdout.write(
    json
      ? `${JSON.stringify({ folder: cache.folder, files, byteLength })}\n`
      : `${cache.folder}: deleted ${counted(files, "file")}, ${bytes(byteLength)}\n`,
  );
}
