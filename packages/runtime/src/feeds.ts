/** What goes into a session is compared with what its graph declares, before anything is sent anywhere. */
import type { Value } from "@waggle/graph";
import type { Tensor } from "onnxruntime-common";
import type { Resident, ResidentView } from "./resident.ts";

export type Feed = Tensor | Resident | ResidentView;

/** Everything that is wrong with `feeds`. An open dimension may have any size, but the same one wherever it occurs. */
export function feedProblems(inputs: Readonly<Record<string, Value>>, feeds: Readonly<Record<string, Feed>>): readonly string[] {
  const problems: string[] = [];
  const sizes = new Map<string, { readonly size: number; readonly input: string }>();
  for (const [name, { dtype, shape }] of Object.entries(inputs)) {
    const feed = feeds[name];
    if (feed === undefined) {
      problems.push(`input ${name} is missing: ${dtype} [${shape.join(", ")}].`);
      continue;
    }
    const [type, dims] = "dims" in feed ? [feed.type, feed.dims] : [feed.dtype, feed.shape];
    const fits = dims.length === shape.length && shape.every((dim, i) => typeof dim !== "number" || dim === dims[i]);
    if (type !== dtype || !fits) {
      problems.push(`input ${name}: expected ${dtype} [${shape.join(", ")}], got ${type} [${dims.join(", ")}].`);
      continue;
    }
    shape.forEach((dim, i) => {
      if (typeof dim === "number") return;
      const [key, size] = [String(dim), dims[i] ?? 0];
      const known = sizes.get(key);
      if (known === undefined) sizes.set(key, { size, input: name });
      else if (known.size !== size) problems.push(`input ${name}: ${key} is ${size} here, but ${known.size} in input ${known.input}.`);
    });
  }
  const unknown = Object.keys(feeds).filter((name) => !Object.hasOwn(inputs, name));
  if (unknown.length > 0) problems.push(`there is no input ${unknown.join(", ")}. Inputs: ${Object.keys(inputs).join(", ")}.`);
  return problems;
}

/** Everything that is wrong with the outputs asked for. */
export function outputProblems(
  outputs: readonly string[],
  fetch: readonly string[],
  keep: readonly string[],
  write: readonly string[],
): readonly string[] {
  const problems: string[] = [];
  const unknown = [...new Set([...fetch, ...keep, ...write])].filter((name) => !outputs.includes(name));
  if (unknown.length > 0) problems.push(`there is no output ${unknown.join(", ")}. Outputs: ${outputs.join(", ")}.`);
  const both = keep.filter((name) => fetch.includes(name));
  if (both.length > 0) problems.push(`output ${both.join(", ")} is both kept and fetched. Keep it, then read() it.`);
  return problems;
}
