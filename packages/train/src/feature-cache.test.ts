/** Features of a frozen encoder on disk: whose they are, and what is not theirs. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { image } from "@waggle/image";
import { type Assembly, assemble } from "@waggle/mllm";
import type { Parameter } from "@waggle/nn";
import { Runtime } from "@waggle/runtime";
import { type ClipVisionEncoder, clip } from "@waggle/vision";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { PreparedPicture } from "./conversation-objective.ts";
import { pictureReader } from "./feature-cache.ts";

const golden = new URL("../../../golden/llava-tiny-hf", import.meta.url).pathname;
const scene = image(join(golden, "scene.png"));
const runtime = new Runtime({ worker: false });
afterAll(() => runtime.dispose());

let model: Assembly;
let features: string;
beforeAll(async () => {
  model = await assemble(golden);
});
beforeEach(async () => {
  features = await mkdtemp(join(tmpdir(), "waggle-features-"));
});
afterAll(() => rm(features, { recursive: true, force: true }));

async function prepared(of: Assembly): Promise<PreparedPicture> {
  const reader = await pictureReader(of, { runtime, features });
  if (reader === null) throw new Error("the model has pictures.");
  try {
    return await reader.prepare(scene);
  } finally {
    reader.dispose();
  }
}

/** The model with another of its parts. */
function withPart(part: object): Assembly {
  return { ...model, composition: { ...model.composition, ...part } } as Assembly;
}

/** The model's encoder, weights and all, but computed otherwise. */
function encoder(change: object, options: { readonly layer?: number }): Assembly {
  const own = model.composition?.modules.vision_tower as ClipVisionEncoder;
  const other = clip({ ...own.config, ...change }, { layer: -2, ...options });
  const sources = new Map<string, Parameter>(own.namedParameters());
  for (const [path, parameter] of other.namedParameters()) {
    parameter.source = sources.get(path)?.source ?? null;
    parameter.label = sources.get(path)?.label ?? null;
  }
  return withPart({ modules: { vision_tower: other } });
}

test("runs whose projectors make other numbers of tokens share features, not the tokens' places", async () => {
  const first = await prepared(model);
  const second = await prepared(withPart({ modules: model.composition?.modules, tokensPerImage: 4 }));
  expect(await readdir(features)).toHaveLength(1);
  expect(second.data).toEqual(first.data);
  expect([first.rows.length, second.rows.length]).toEqual([16, 4]);
});

test("the same weights in an encoder that computes otherwise make features of their own", async () => {
  const here = await prepared(model);
  const there = await prepared(encoder({ hidden_act: "gelu" }, {}));
  expect(there.data).not.toEqual(here.data);
  expect((await prepared(encoder({}, {}))).data).toEqual(here.data);
  expect(await readdir(features)).toHaveLength(2);
});

test.each([
  ["cut off", (bytes: Buffer) => bytes.subarray(0, 100)],
  ["of which a bit has changed", (bytes: Buffer) => Buffer.from(bytes.map((byte, i) => (i === 100 ? byte ^ 1 : byte)))],
  ["of zeros", (bytes: Buffer) => Buffer.alloc(bytes.length)],
  ["that is empty", () => Buffer.alloc(0)],
])("a file %s is made again", async (_, damage) => {
  const before = await prepared(model);
  const [name = ""] = await readdir(features);
  const whole = await readFile(join(features, name));
  await writeFile(join(features, name), damage(whole));
  expect((await prepared(model)).data).toEqual(before.data);
  expect(await readFile(join(features, name))).toEqual(whole);
});

test("a folder that cannot be written is named", async () => {
  await rm(features, { recursive: true });
  await writeFile(features, "in the way");
  await expect(prepared(model)).rejects.toMatchObject({
    name: "CheckpointError",
    code: "unwritable",
    message: /features of a frozen encoder/,
  });
});
