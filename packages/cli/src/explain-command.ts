import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { addModelFlags, type ModelFlags, withModel } from "./open-model.ts";

interface Flags extends ModelFlags {
  readonly image: string;
  readonly out: string;
  readonly size?: number;
}

export function explainCommand(): Command {
  return addModelFlags(new Command("explain"))
    .description("draw what every visual token of a picture was made from")
    .argument("<model>", "folder, Hugging Face id, or `mini`")
    .requiredOption("--image <file>", "the picture: file, http(s) URL, or - for stdin")
    .requiredOption("--out <dir>", "folder for overview.png, token-*.png and maps.json; made if missing")
    .option("--size <pixels>", "side of a token's drawing (default 224)", wholeNumber)
    .action(async (name: string, { image: source, out, size, base }: Flags) => {
      const { image } = await import("@waggle/mllm");
      await withModel(name, { ...(base !== undefined && { base }) }, async (model) => {
        const { kind, tokens, draw } = await model.explain(image(source));
        await mkdir(out, { recursive: true });
        await write(join(out, "overview.png"), await draw({ size: Math.min(size ?? 224, 112) }));
        const digits = String(tokens.length - 1).length;
        for (const index of tokens.keys()) {
          await write(
            join(out, `token-${String(index).padStart(digits, "0")}.png`),
            await draw({ tokens: [index], ...(size && { size }) }),
          );
        }
        const plain = tokens.map((map) => (map.kind === "cells" ? { ...map, weights: Array.from(map.weights) } : map));
        await write(join(out, "maps.json"), `${JSON.stringify({ kind, tokens: plain })}\n`);
        process.stdout.write(`${out}: overview.png, ${tokens.length} drawings (${kind}) and maps.json\n`);
      });
    });
}

/** Under another name first, so that no half-written file is ever there. */
async function write(path: string, content: string | Uint8Array): Promise<void> {
  await writeFile(`${path}.tmp`, content);
  await rename(`${path}.tmp`, path);
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 16 || value > 4096) throw new InvalidArgumentError("expected a whole number from 16 to 4096.");
  return value;
}
