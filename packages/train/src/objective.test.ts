/** Losses against PyTorch (reference/train/losses.py), values and gradients. */
import { readFileSync } from "node:fs";
import { grad, input, ops, symbol, type Value } from "@waggle/graph";
import { expect, test } from "vitest";
import { runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, int64 } from "../../../testing/tensors.ts";
import { contrastive, crossEntropy } from "./objective.ts";

const vectors = JSON.parse(readFileSync(new URL("./__vectors__/losses.json", import.meta.url), "utf8"));

test("crossEntropy", async () => {
  const { logits, targets, loss, gradient } = vectors.crossEntropy;
  const x = input("x", "float32", [symbol("R"), 11]);
  const y = input("y", "int64", [symbol("R")]);
  const value = crossEntropy(x, y);
  const [dx] = grad(value, [x]) as [Value];
  const found = await runGraph({ inputs: { x, y }, outputs: { value, dx } }, { x: float32(logits, [6, 11]), y: int64(targets) });
  expectClose(found.value, float32([loss], []));
  expectClose(found.dx, float32(gradient, [6, 11]));
});

test("contrastive, both ways, with the temperature", async () => {
  const { images, texts, logit_scale, loss, gradients } = vectors.contrastive;
  const [a, b] = [input("a", "float32", [symbol("B"), 7]), input("b", "float32", [symbol("B"), 7])];
  const scale = input("scale", "float32", []);
  const value = ops.div(contrastive(a, b, ops.exp(scale)), 5);
  const [da, db, ds] = grad(value, [a, b, scale]) as [Value, Value, Value];
  const feeds = { a: float32(images, [5, 7]), b: float32(texts, [5, 7]), scale: float32([logit_scale], []) };
  const found = await runGraph({ inputs: { a, b, scale }, outputs: { value, da, db, ds } }, feeds);
  expectClose(found.value, float32([loss], []));
  expectClose(found.da, float32(gradients.images, [5, 7]));
  expectClose(found.db, float32(gradients.texts, [5, 7]));
  expectClose(found.ds, float32(gradients.logit_scale, []));
  expect(() => contrastive(a, input("c", "float32", [symbol("B"), 6]), scale)).toThrow("expected images and texts of one shape");
});
