// @ts-check
/** `npm run bench -- NAME [arguments]` runs bench/NAME.ts from source; without a name it lists them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { install, root } from "./install.mjs";
import { runSource } from "./run-source.mjs";

const [name, ...rest] = process.argv.slice(2);
const names = readdirSync(`${root}/bench`)
  .filter((file) => file.endsWith(".ts") && /^\/\*\*/.test(readFileSync(`${root}/bench/${file}`, "utf8")))
  .map((file) => file.slice(0, -3));

if (name === undefined || !existsSync(`${root}/bench/${name}.ts`)) {
  if (name !== undefined) console.error(`No benchmark "${name}". There are:`);
  for (const known of names) console.log(`npm run bench -- ${known.padEnd(24)} ${headOf(known)}`);
  process.exit(name === undefined ? 0 : 1);
}
install();
process.exitCode = runSource(`bench/${name}.ts`, rest);

/** The first sentence of the file's head comment. @param {string} file */
function headOf(file) {
  const head = /^\/\*\*([\s\S]*?)\*\//.exec(readFileSync(`${root}/bench/${file}.ts`, "utf8"))?.[1] ?? "";
  return (
    head
      .replace(/\n\s*\* ?/g, " ")
      .trim()
      .split(/(?<=[.:])\s/)[0] ?? ""
  );
}
