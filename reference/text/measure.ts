/**
 * Load time and throughput of a tokenizer, in processor time (the machine may be busy).
 *     node --conditions=@waggle/source --import tsx reference/text/measure.ts <model folder> <text file>
 */
import { readFileSync } from "node:fs";
import { loadTokenizer } from "@waggle/text";

const [folder = "", file = ""] = process.argv.slice(2);
const text = readFileSync(file, "utf8");
const megabytes = Buffer.byteLength(text) / 1e6;

async function measure(name: string, unit: (seconds: number) => string, work: () => unknown): Promise<void> {
  const seconds: number[] = [];
  for (let i = 0; i < 5; i++) {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    seconds.push((user + system) / 1e6);
  }
  const median = seconds.sort((a, b) => a - b)[2] ?? 0;
  console.log(`${name.padEnd(28)} ${unit(median)}   (first and slowest ${Math.max(...seconds).toFixed(3)} s)`);
}

const milliseconds = (seconds: number): string => `${(seconds * 1000).toFixed(0)} ms`;
const rate = (seconds: number): string => `${(megabytes / seconds).toFixed(1)} MB/s`;
await measure("load", milliseconds, () => loadTokenizer(folder));
const tokenizer = await loadTokenizer(folder);
const ids = tokenizer.encode(text);
await measure(`encode ${megabytes.toFixed(1)} MB`, rate, () => tokenizer.encode(text));
await measure("decode", rate, () => tokenizer.decode(ids));
await measure("stream", (seconds) => `${((seconds * 1e6) / ids.length).toFixed(2)} µs a token`, () => {
  const stream = tokenizer.stream();
  for (const id of ids) stream.push(id);
  stream.end();
});
await measure("a word of 100,000 letters", milliseconds, () => tokenizer.encode("abcdefghij".repeat(10_000)));
