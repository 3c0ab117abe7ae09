/** Gradients of whole modules, equal to the recorded ones. */
import { type GraphDefinition, grad, input, ops, type Target, type Value } from "@waggle/graph";
import { expect } from "vitest";
import { type Feeds, runGraph } from "./run-graph.ts";
import { expectClose, floats, need, type readTensors } from "./tensors.ts";

interface GradientCase {
  readonly io: Awaited<ReturnType<typeof readTensors>>;
  readonly inputs: GraphDefinition["inputs"];
  readonly feeds: Feeds;
  /** What the loss is made of: the sum of output · loss.weight. */
  readonly output: Value;
  /** Recorded name, without `grad.`, and value. */
  readonly by: Iterable<readonly [string, Value]>;
  /** How far the recorded gradients are from float64 ones, as the case says it; of a tensor's largest number. Default 0. */
  readonly noise?: (largest: number) => number;
}

/**
 * Each recorded gradient within 1e-5 + 1e-3·|b| and what the case says its own rounding is, but never more than 5e-6 of the
 * tensor's largest number: sums of many terms that nearly cancel are no more exact than that in float32
 * (reference/projectors/gradient_noise.py). None is left out, on either side.
 */
export async function expectGradients({ io, inputs, feeds, output, by, noise = () => 0 }: GradientCase, target: Target): Promise<void> {
  const named = [...by];
  const recorded = Object.keys(io).flatMap((key) => (key.startsWith("grad.") ? [key.slice("grad.".length)] : []));
  expect(named.map(([name]) => name).sort()).toEqual(recorded.sort());
  const weight = input("loss.weight", "float32", output.shape);
  const loss = ops.reduceSum(ops.mul(output, weight));
  const gradients = grad(
    loss,
    named.map(([, value]) => value),
  );
  const outputs = Object.fromEntries(named.map(([name], i) => [`grad.${name}`, gradients[i] ?? expect.unreachable(name)]));
  const results = await runGraph(
    { inputs: { ...inputs, "loss.weight": weight }, outputs },
    { ...feeds, "loss.weight": need(io, "loss.weight") },
    target,
  );
  const wrong = named.flatMap(([name]) => {
    const wanted = need(io, `grad.${name}`);
    const largest = floats(wanted).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    try {
      expectClose(results[`grad.${name}`], wanted, { abs: 1e-5 + Math.min(noise(largest), 5e-6 * largest), rel: 1e-3 });
      return [];
    } catch (error) {
      return [`${name}: ${error instanceof Error ? error.message : error}`];
    }
  });
  expect(wrong).toEqual([]);
}
