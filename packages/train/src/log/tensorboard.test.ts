/** Event files against TensorBoard's own writer, byte for byte (reference/train/tensorboard_vectors.py). */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Event, EventSchema } from "../../proto/tensorboard_pb.js";
import type { StepRecord } from "../step-record.ts";
import { crc32c } from "./event-file.ts";
import { TensorBoard } from "./tensorboard.ts";
import type { TrainEvent } from "./train-event.ts";

interface Vectors {
  readonly now: number;
  readonly stages: Extract<TrainEvent, { type: "start" }>["stages"];
  readonly steps: readonly StepRecord[];
  readonly sample: { readonly step: number; readonly prompt: string; readonly answer: string; readonly expected: string };
  readonly file: string;
}
const vectors: Vectors = JSON.parse(await readFile(new URL("./__vectors__/tensorboard.json", import.meta.url), "utf8"));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "waggle-tensorboard-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function written(name: string, events: readonly TrainEvent[]): Promise<Buffer> {
  const path = join(folder, name);
  const log = new TensorBoard(path, { now: () => vectors.now });
  for (const event of events) await log.write(event);
  await log.close();
  const [file = "", ...others] = await readdir(path);
  expect(others).toEqual([]);
  expect(file).toBe("events.out.tfevents.1700000000.125.waggle");
  return readFile(join(path, file));
}

test("crc32c of the digits is the published one", () => {
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
});

test("a resumed run is written as TensorBoard would write it", async () => {
  const { stages, sample } = vectors;
  const steps = vectors.steps.map((record): TrainEvent => ({ type: "step", record, of: 4 }));
  const file = await written("resumed", [
    { type: "start", stages, totalSteps: 4, step: 2 },
    ...steps.slice(0, 1),
    { type: "skipped", id: "s7", reason: "cannot be read" },
    ...steps.slice(1),
    { type: "sample", ...sample, image: null },
    { type: "sample", ...sample, image: null },
    { type: "validation", step: 4, loss: 1.5 },
    { type: "checkpoint", step: 4, path: "out/step-4" },
    { type: "end", step: 4, loss: 2.25, path: "out" },
  ]);
  expect(file.toString("base64")).toBe(vectors.file);
});

/** The messages of a file, without a look at the checksums. */
function* eventsOf(file: Buffer): Iterable<Event> {
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    yield fromBinary(EventSchema, file.subarray(at + 12, at + 12 + length));
    at += 16 + length;
  }
}

test.each([
  ["a drawing stays exact", 30, 20, "png", [30, 20]],
  ["a large picture shrinks", 900, 600, "jpeg", [448, 299]],
] as const)("pictures stand beside answers: %s", async (name, width, height, format, size) => {
  const background = { r: 200, g: 100, b: 50 };
  const image = await sharp({ create: { width, height, channels: 3, background } })
    .webp({ lossless: true })
    .toBuffer();
  const file = await written(name, [
    { type: "start", stages: [], totalSteps: 1, step: 0 },
    { type: "sample", step: 1, image, prompt: "?", answer: "!", expected: "." },
  ]);
  const last = [...eventsOf(file)].at(-1);
  const values = last?.what.case === "summary" ? last.what.value.value : [];
  expect(values.map(({ tag }) => tag)).toEqual(["samples/0/answer", "samples/0/picture"]);
  const picture = values[1]?.value.case === "image" ? values[1].value.value : undefined;
  expect([picture?.width, picture?.height]).toEqual(size);
  const decoded = sharp(picture?.encodedImageString);
  expect(await decoded.metadata()).toMatchObject({ format, width: size[0], height: size[1] });
  const [red, green, blue] = await decoded.raw().toBuffer();
  expect(Math.max(Math.abs((red ?? 0) - 200), Math.abs((green ?? 0) - 100), Math.abs((blue ?? 0) - 50))).toBeLessThan(4);
});

test("a picture that cannot be decoded leaves the text", async () => {
  const image = new TextEncoder().encode("no picture");
  const file = await written("broken", [
    { type: "start", stages: [], totalSteps: 1, step: 0 },
    { type: "sample", step: 1, image, prompt: "?", answer: "!", expected: "." },
  ]);
  expect([...eventsOf(file)].at(-1)?.what.value).toMatchObject({ value: [{ tag: "samples/0/answer" }] });
});

test("a sample has the same tag at every step", async () => {
  const at = (step: number): readonly TrainEvent[] => {
    const record = { step, stage: "a", loss: 1, gradNorm: 1, lr: 1, tokensPerSecond: 1, waitMs: 0 };
    const sample = { type: "sample", step, image: null, prompt: "?", answer: "!", expected: "." } as const;
    return [{ type: "step", record, of: 2 }, sample, sample, { type: "validation", step, loss: 1 }];
  };
  const file = await written("two steps", [{ type: "start", stages: [], totalSteps: 2, step: 0 }, ...at(1), ...at(2)]);
  const tags = [...eventsOf(file)].flatMap(({ what }) => (what.case === "summary" ? what.value.value.map(({ tag }) => tag) : []));
  const samples = ["samples/0/answer", "samples/1/answer"];
  expect(tags.filter((tag) => tag.startsWith("samples/"))).toEqual([...samples, ...samples]);
});
