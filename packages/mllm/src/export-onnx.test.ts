import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeImage } from "@waggle/image";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { expectClose, float32, int64, readTensors } from "../../../testing/tensors.ts";
import { assemble, exportOnnx, image } from "./index.ts";

const golden = new URL("../../../golden/llava-tiny-hf/", import.meta.url).pathname;

interface Expected {
  readonly cases: readonly {
    readonly name: string;
    readonly promptIds: readonly number[];
    readonly tokenIds: readonly number[];
    readonly images: readonly string[];
  }[];
}

test("plain onnxruntime-node runs the exported graphs to the reference's features and greedy tokens", async () => {
  const folder = await mkdtemp(join(tmpdir(), "waggle-export-"));
  try {
    await exportOnnx(golden, folder);
    expect((await readdir(folder)).sort()).toEqual(
      ["decoder_model_merged", "embed_tokens", "vision_encoder"].flatMap((name) => [`${name}.onnx`, `${name}.onnx_data`]),
    );
    const [vision, embed, decoder] = await Promise.all(
      ["vision_encoder", "embed_tokens", "decoder_model_merged"].map((name) => InferenceSession.create(join(folder, `${name}.onnx`))),
    );
    if (!vision || !embed || !decoder) return expect.unreachable();
    const io = await readTensors(`${golden}io.safetensors`);
    const { cases } = JSON.parse(await readFile(`${golden}expected.json`, "utf8")) as Expected;
    const { promptIds, tokenIds } = cases.find(({ name }) => name === "one-image-scene") ?? expect.unreachable();
    const { image_features } = await vision.run({ pixel_values: io["input.pixel_values.scene.png"] ?? expect.unreachable() });
    const wanted = io["output.projector.scene.png"] ?? expect.unreachable();
    expectClose(image_features as Tensor, float32(wanted.data as Float32Array, wanted.dims.slice(-2)), { abs: 2e-5 });

    const D = wanted.dims.at(-1) ?? 0;
    const { inputs_embeds } = await embed.run({ input_ids: int64(promptIds, [1, promptIds.length]) });
    const embeds = Float32Array.from((inputs_embeds?.data ?? []) as Float32Array);
    embeds.set((image_features?.data ?? new Float32Array()) as Float32Array, promptIds.indexOf(1000) * D);
    let step: Tensor = new Tensor("float32", embeds, [1, promptIds.length, D]);
    let past: Record<string, Tensor> = Object.fromEntries(
      decoder.inputNames.filter((name) => name.startsWith("past_")).map((name) => [name, float32([], [1, 2, 0, 16])]),
    );
    const answer: number[] = [];
    for (let length = promptIds.length; answer.length < tokenIds.length; length++) {
      const S = step.dims[1] ?? 0;
      const position_ids = int64(
        Array.from({ length: S }, (_, i) => length - S + i),
        [1, S],
      );
      const attention_mask = int64(new Array(length).fill(1), [1, length]);
      const result = await decoder.run({ inputs_embeds: step, attention_mask, position_ids, ...past });
      const logits = Array.from((result.logits?.data ?? []) as Float32Array).slice(-1024);
      const best = logits.indexOf(Math.max(...logits));
      answer.push(best);
      past = Object.fromEntries(Object.keys(past).map((name) => [name, result[name.replace("past_key_values", "present")] as Tensor]));
      step = ((await embed.run({ input_ids: int64([best], [1, 1]) })).inputs_embeds ?? expect.unreachable()) as Tensor;
    }
    expect(answer).toEqual(tokenIds);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("tiles: token_rows chooses a picture's tokens, as the authors' code packs them", async () => {
  const anyres = new URL("../../../golden/llava-tiny-anyres/", import.meta.url).pathname;
  const folder = await mkdtemp(join(tmpdir(), "waggle-export-"));
  try {
    await exportOnnx(anyres, folder);
    const vision = await InferenceSession.create(join(folder, "vision_encoder.onnx"));
    const io = await readTensors(`${anyres}io.safetensors`);
    const { sight } = await assemble(anyres);
    for (const name of ["wide.png", "even.png", "small.png"]) {
      const rows = sight?.tiles?.tokenRows(await decodeImage(image(`${anyres}${name}`))) ?? expect.unreachable();
      const pixel_values = io[`input.pixel_values.${name}`] ?? expect.unreachable();
      const { image_features } = await vision.run({ pixel_values, token_rows: int64(rows, [rows.length]) });
      const wanted = io[`output.image_features.${name}`] ?? expect.unreachable();
      expectClose(image_features as Tensor, float32(wanted.data as Float32Array, wanted.dims.slice(-2)), { abs: 2e-5 });
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe("all or nothing", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "waggle-export-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("an abort when the first graph is written", async () => {
    const controller = new AbortController();
    const onProgress = ({ file }: { file?: string | undefined }) => file?.endsWith("embed_tokens.onnx_data") && controller.abort();
    await expect(exportOnnx(golden, join(folder, "graphs"), { signal: controller.signal, onProgress })).rejects.toMatchObject({
      name: "AbortError",
    });
    expect(await readdir(folder)).toEqual([]);
  });

  test("a folder that is not empty, a place that cannot be written", async () => {
    await writeFile(join(folder, "file"), "");
    await expect(exportOnnx(golden, folder)).rejects.toMatchObject({ name: "CheckpointError", code: "unwritable", file: folder });
    await expect(exportOnnx(golden, join(folder, "file", "below"))).rejects.toMatchObject({ name: "CheckpointError", code: "unwritable" });
    expect(await readdir(folder)).toEqual(["file"]);
  });
});
