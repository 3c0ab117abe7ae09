import type { JsonEntry } from "../json-entry.ts";

/** Published files nest two deep; a hostile one could nest until the stack is gone. */
const MAX_DEPTH = 16;

/** The parts of a `Sequence` component, below `key`. */
export function parseSequence<Part>(
  entry: JsonEntry,
  key: string,
  depth: number,
  parse: (entry: JsonEntry, depth: number) => Part,
): Part[] {
  if (depth >= MAX_DEPTH) throw entry.error(`sequences are nested deeper than ${MAX_DEPTH}`, "too_large");
  return entry
    .at(key)
    .list()
    .map((part) => parse(part, depth + 1));
}
