// @ts-check
/** @typedef {{ line: number, name: string | null, code: string, run: boolean, output: string | null, outputAt: number }} Block */

/**
 * The fenced `ts` blocks of a Markdown text: each is a program. A `text` block right after it is what the program prints.
 * A block marked "ts no-run" needs the network or a large model: it is type-checked only. One marked with a file name
 * ("ts pool.ts") is a file that the other blocks of its text may import.
 * @param {string} markdown
 * @returns {Block[]}
 */
export function blocksOf(markdown) {
  const fences = [...markdown.matchAll(/^```(\S*)([^\n]*)\n([\s\S]*?)^```$/gm)];
  return fences.flatMap((fence, index) => {
    const [whole, language, mark = "", code = ""] = fence;
    if (language !== "ts") return [];
    const next = fences[index + 1];
    const between = next ? markdown.slice(fence.index + whole.length, next.index) : "";
    const output = next?.[1] === "text" && between.trim() === "" ? (next[3] ?? "") : null;
    const outputAt = next === undefined ? markdown.length : next.index + next[0].indexOf("\n") + 1;
    const name = mark.trim().endsWith(".ts") ? mark.trim() : null;
    return [{ line: markdown.slice(0, fence.index).split("\n").length, name, code, run: mark.trim() !== "no-run", output, outputAt }];
  });
}

/**
 * The text with other outputs behind its programs, which `printed` has by their lines.
 * @param {string} markdown @param {ReadonlyMap<number, string>} printed
 */
export function withOutputs(markdown, printed) {
  let text = markdown;
  for (const { line, output, outputAt } of blocksOf(markdown).reverse()) {
    const said = printed.get(line);
    if (said === undefined || output === null) continue;
    text = `${text.slice(0, outputAt)}${said.trimEnd()}\n${text.slice(outputAt + output.length)}`;
  }
  return text;
}
