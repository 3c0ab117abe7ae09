import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { clipProcessor, decodeImage, image, padProcessor, picture } from "./index.ts";
import type { Pass } from "./pass.ts";
import { resample } from "./resampler.ts";

const processor = clipProcessor({ size: 16 });
const small = picture(
  20,
  30,
  Uint8Array.from({ length: 1800 }, (_, i) => i % 256),
);
const large = picture(
  4000,
  3000,
  Uint8Array.from({ length: 36_000_000 }, (_, i) => i % 251),
);

describe("abort", () => {
  const reason = new Error("enough");

  test("before", async () => {
    const signal = AbortSignal.abort(reason);
    await expect(processor.process([small], { signal })).rejects.toBe(reason);
    await expect(decodeImage(image("nowhere.png"), { signal })).rejects.toBe(reason);
  });

  test("during: rejects at once, and the next picture is right", async () => {
    const alone = await processor.process([small]);
    for (const turns of [0, 1, 3, 10]) {
      const controller = new AbortController();
      const pending = processor.process([large, large], { signal: controller.signal });
      pending.catch(() => undefined);
      const next = processor.process([small]);
      for (let i = 0; i < turns; i++) await setImmediate();
      controller.abort(reason);
      await expect(pending).rejects.toBe(reason);
      expect(await next).toEqual(alone);
    }
  });

  test("one signal for many pictures: Node has nothing to warn of", async () => {
    const warnings: Error[] = [];
    const heard = (warning: Error): void => void warnings.push(warning);
    process.on("warning", heard);
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 20 }, () => processor.process([small], { signal })));
    await setImmediate();
    process.off("warning", heard);
    expect(warnings).toEqual([]);
  });

  test("after: nothing happens", async () => {
    const controller = new AbortController();
    const { pixel_values } = await processor.process([small], { signal: controller.signal });
    controller.abort(reason);
    expect(pixel_values).toEqual((await processor.process([small])).pixel_values);
  });
});

test("the event loop turns while a picture of 36 MB is resampled", async () => {
  let turns = 0;
  let done = false;
  const pending = processor.process([large]).finally(() => {
    done = true;
  });
  while (!done) {
    await setImmediate();
    turns++;
  }
  await pending;
  expect(turns).toBeGreaterThan(30);
});

test("pictures processed at the same time do not mix, and the caller's bytes stay", async () => {
  const before = small.data.slice();
  const pad = padProcessor({ size: 16 });
  const alone = [await processor.process([small]), await pad.process([small])];
  const together = await Promise.all([processor.process([small]), processor.process([large]), pad.process([small])]);
  expect([together[0], together[2]]).toEqual(alone);
  expect(small.data).toEqual(before);
});

test("a failure in the thread is an ImageError, and the thread goes on", async () => {
  const broken = { rows: 1, firstRow: 0, canvas: { top: 0 } } as unknown as Pass;
  await expect(resample(small, [[broken]], new Float32Array(768), undefined)).rejects.toMatchObject({ name: "ImageError", code: "worker" });
  expect((await processor.process([small])).shape).toEqual([1, 3, 16, 16]);
});
