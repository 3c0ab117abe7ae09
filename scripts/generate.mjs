// @ts-check
/**
 * `npm run generate` writes what follows from the code: the rooms and arrows of docs/architecture.md and the packages
 * of README.md from the package.json files, the operators of COMPATIBILITY.md from the rule tables, and each package's
 * copy of the licence. CI fails when the committed files differ.
 */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { describeOps, OPSET } from "@waggle/graph";
import { root } from "./install.mjs";
import { readPackages, rooms } from "./rooms.mjs";

const packages = readPackages();
replaceSection("docs/architecture.md", "rooms", `\`\`\`text\n${rooms(packages)}\n\`\`\``);
replaceSection(
  "README.md",
  "packages",
  [
    "| package | |",
    "|---|---|",
    ...packages.map(({ folder, name, description }) => `| [\`${name}\`](packages/${folder}) | ${description} |`),
  ].join("\n"),
);
const gradient = { yes: "✓", none: "– not differentiable" };
const lowering = { direct: "as it is", composite: "its definition", fused: "fused" };
replaceSection(
  "COMPATIBILITY.md",
  "operators",
  [
    `| operator | portable (opset ${OPSET}) | ONNX Runtime | gradient |`,
    "|---|---|---|---|",
    ...describeOps().map((op) => `| \`${op.op}\` | ✓ | ${lowering[op.lowering]} | ${gradient[op.gradient]} |`),
  ].join("\n"),
);
for (const { folder } of packages) copyFileSync(`${root}/LICENSE`, `${root}/packages/${folder}/LICENSE`);

/**
 * Replaces what stands between `<!-- name: generated -->` and `<!-- /name -->`.
 * @param {string} file @param {string} name @param {string} text
 */
function replaceSection(file, name, text) {
  const before = readFileSync(`${root}/${file}`, "utf8");
  const [open, close] = [`<!-- ${name}: generated -->`, `<!-- /${name} -->`];
  const [start, end] = [before.indexOf(open), before.indexOf(close)];
  if (start < 0 || end < start) throw new Error(`${file}: expected the marks ${open} and ${close}`);
  writeFileSync(`${root}/${file}`, `${before.slice(0, start)}${open}\n${text}\n${before.slice(end)}`);
}
