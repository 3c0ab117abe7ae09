import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { progressDisplay } from "./progress-bar.ts";

/** A stream that says it is a terminal, or is none, and what was written to it. */
function terminal(isTTY: boolean) {
  const written: string[] = [];
  const stream = Object.assign(new PassThrough(), {
    isTTY,
    columns: 80,
    cursorTo: () => true,
    moveCursor: () => true,
    clearLine: () => true,
  });
  stream.on("data", (chunk) => written.push(String(chunk)));
  return { stream: stream as unknown as NodeJS.WriteStream, written };
}

test("says what is going on, phase by phase", async () => {
  const { stream, written } = terminal(true);
  const { onProgress, stop } = progressDisplay(stream);
  onProgress({ phase: "download", file: "model.safetensors", loaded: 50, total: 200 });
  onProgress({ phase: "convert", file: "weights", loaded: 200, total: 200 });
  stop();
  await new Promise((resolve) => setImmediate(resolve));
  expect(written.join("")).toMatch(/downloading .* 25% model\.safetensors[\s\S]*converting weights .* 100% weights/);
  expect(written.join("")).not.toMatch(/[{}]/); // the first frame knows its words too
});

test("is silent where nobody looks", async () => {
  const { stream, written } = terminal(false);
  const { onProgress, stop } = progressDisplay(stream);
  onProgress({ phase: "load", file: "decoder", loaded: 1, total: 2 });
  stop();
  await new Promise((resolve) => setImmediate(resolve));
  expect(written).toEqual([]);
});
