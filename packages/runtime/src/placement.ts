/**
 * Where a graph's weights are for ONNX Runtime.
 *
 *     in a file, in the type that the graph wants   mapped where they lie: no copy, no reading
 *     in another type                               converted by the caller's `convert`; without one handed over as
 *                                                   they are stored, for ONNX Runtime to cast when it loads
 *     in memory, together ≤ 64 MiB                  inside the model's bytes
 *     in memory, more                               by `convert` too, as far as they are float32; else through a temporary
 *                                                   file, one weight in memory at a time (a protobuf message ends at 2 GB)
 *
 * ONNX Runtime takes external data from below one folder only, and refuses links out of it. That folder is the
 * deepest one that holds all files, so checkpoints in several places are no special case.
 */
import { realpath, stat } from "node:fs/promises";
import { dirname, relative, sep } from "node:path";
import type { DataType, ExternalData, WeightSource } from "@waggle/graph";
import type { OnProgress } from "./progress.ts";
import { RuntimeError, throwIfAny, unknownOptions } from "./runtime-error.ts";
import { spool } from "./spool.ts";
import { byteLengthOf, bytesOf } from "./weight-bytes.ts";

export interface WeightToPlace {
  readonly name: string;
  readonly source: WeightSource;
  /** What the graph expects. */
  readonly dtype: DataType;
  readonly shape: readonly number[];
}

export interface WeightLocation {
  readonly path: string;
  readonly offset: number;
  readonly byteLength: number;
}

export interface PlacementContext {
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

export interface WeightPlacement {
  /** The folder that `location`s are relative to; `null` if nothing lies in a file. */
  readonly folder: string | null;
  readonly place: ReadonlyMap<string, ExternalData | Uint8Array>;
  /** Frees what only this placement needs; called when the session exists, and again when it is disposed. */
  dispose?(): void;
}

export type WeightPlacer = (weights: readonly WeightToPlace[], context: PlacementContext) => Promise<WeightPlacement>;

/** Says where each weight lies in the wanted type; `WeightCache.get` of @waggle/checkpoint is one. */
export type ConvertWeights = (
  requests: readonly { readonly name: string; readonly source: WeightSource; readonly dtype: DataType }[],
  context: PlacementContext,
) => Promise<ReadonlyMap<string, WeightLocation>>;

export interface PlaceWeightsOptions {
  readonly convert?: ConvertWeights;
}

const INSIDE_MODEL = 64 * 2 ** 20;

/** The placer that `compile` uses, for one that converts. */
export function placeWeights(options: PlaceWeightsOptions = {}): WeightPlacer {
  throwIfAny("options", "placeWeights", unknownOptions(options, ["convert"]));
  const { convert } = options;
  return async (weights, context) => {
    const inside = fitInside(weights.filter(({ source, dtype }) => source.location === undefined && source.dtype === dtype));
    const toConvert = convert ? weights.filter((weight) => isConverted(weight) && !inside.includes(weight)) : [];
    const asStored = weights.filter((weight) => !toConvert.includes(weight));
    const computed = asStored.filter(({ source }) => source.location === undefined);
    const spooled = await spool(
      computed.filter((weight) => !inside.includes(weight)),
      context,
    );
    try {
      const converted = await convertAll(toConvert, convert, context);
      const external: Located[] = asStored.flatMap((weight) => {
        const location = weight.source.location ?? spooled.locations.get(weight.name);
        return location ? [{ weight, location, dtype: weight.source.dtype }] : [];
      });
      const { folder, place } = await locate([...converted, ...external]);
      for (const weight of inside) place.set(weight.name, await bytesOf(weight));
      return { folder, place, dispose: () => spooled.remove() };
    } catch (error) {
      spooled.remove();
      throw error;
    }
  };
}

/** What lies nowhere in the wanted type; what is computed as float32 is kept like what is converted to it. */
function isConverted({ source, dtype }: WeightToPlace): boolean {
  return source.dtype !== dtype || (source.location === undefined && dtype === "float32");
}

interface Located {
  readonly weight: WeightToPlace;
  readonly location: WeightLocation;
  /** The type in which it lies there. */
  readonly dtype: DataType;
}

/** The computed weights that the model's bytes can take; those to be cast need a place that names their type. */
function fitInside(computed: readonly WeightToPlace[]): readonly WeightToPlace[] {
  const plain = computed.filter(({ source, dtype }) => source.dtype === dtype);
  const total = plain.reduce((sum, { dtype, shape }) => sum + byteLengthOf(dtype, shape), 0);
  return total <= INSIDE_MODEL ? plain : [];
}

async function convertAll(
  weights: readonly WeightToPlace[],
  convert: ConvertWeights | undefined,
  context: PlacementContext,
): Promise<readonly Located[]> {
  if (!convert || weights.length === 0) return [];
  const locations = await convert(
    weights.map(({ name, source, dtype }) => ({ name, source, dtype })),
    context,
  );
  return weights.map((weight) => {
    const location = locations.get(weight.name);
    if (!location) throw new RuntimeError("weights", `${weight.name}: convert() returned no location for it.`);
    return { weight, location, dtype: weight.dtype };
  });
}

/** Checks that every file holds what is expected of it, and names all places from one folder. */
async function locate(located: readonly Located[]): Promise<{ folder: string | null; place: Map<string, ExternalData | Uint8Array> }> {
  const paths = new Map<string, { real: string; size: number }>();
  for (const path of new Set(located.map(({ location }) => location.path))) {
    paths.set(path, await realFile(path));
  }
  throwIfAny(
    "weights",
    "Weights are not where they should be",
    located.flatMap((entry) => locationProblems(entry, paths)),
  );
  const folder = commonFolder([...paths.values()].map(({ real }) => real));
  const place = new Map<string, ExternalData | Uint8Array>();
  for (const { weight, location, dtype } of located) {
    const file = relative(folder ?? "", paths.get(location.path)?.real ?? location.path)
      .split(sep)
      .join("/");
    const { offset, byteLength } = location;
    place.set(weight.name, { location: file, offset, byteLength, ...(dtype === weight.dtype ? {} : { dtype }) });
  }
  return { folder, place };
}

async function realFile(path: string): Promise<{ real: string; size: number }> {
  try {
    const real = await realpath(path);
    return { real, size: (await stat(real)).size };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RuntimeError("weights", `${path}: cannot be read: ${why}`, { path }, { cause: error });
  }
}

/** A place beyond the end of its file would kill the process when the mapped page is touched. */
function locationProblems({ weight, location, dtype }: Located, files: ReadonlyMap<string, { readonly size: number }>): readonly string[] {
  const problems: string[] = [];
  const { path, offset, byteLength } = location;
  const size = files.get(path)?.size ?? 0;
  const expected = byteLengthOf(dtype, weight.shape);
  if (byteLength !== expected)
    problems.push(`${weight.name}: ${dtype} [${weight.shape}] has ${expected} bytes, its place in ${path} has ${byteLength}.`);
  if (offset + byteLength > size) problems.push(`${weight.name}: ends at byte ${offset + byteLength} of ${path}, which has ${size}.`);
  return problems;
}

/** The deepest folder that holds all files. */
export function commonFolder(paths: readonly string[]): string | null {
  const [first, ...others] = paths;
  if (first === undefined) return null;
  const holds = (folder: string): boolean => others.every((path) => path.startsWith(folder.endsWith(sep) ? folder : folder + sep));
  let folder = dirname(first);
  while (!holds(folder)) {
    const parent = dirname(folder);
    if (parent === folder) {
      throw new RuntimeError("weights", `Weights on several drives cannot be used together: ${paths.join(", ")}. Copy them to one.`);
    }
    folder = parent;
  }
  return folder;
}
