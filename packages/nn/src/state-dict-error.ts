import type { KeyTrouble } from "./module.ts";

/** A tensor of the file that does not fit the parameter it is meant for. */
export interface Mismatch {
  readonly key: string;
  readonly expected: { readonly dtype: string; readonly shape: readonly number[] };
  readonly got: { readonly dtype: string; readonly shape: readonly number[] };
}

/** Everything that keeps a file from being a module's state_dict. */
export interface StateDictDifferences {
  /** Keys of the module that the file has not. */
  readonly missing: readonly string[];
  /** Keys of the file that the module has not, as the file spells them. */
  readonly unexpected: readonly string[];
  readonly mismatched: readonly Mismatch[];
  /** Keys of the module that more than one key of the file leads to. */
  readonly ambiguous: readonly { readonly key: string; readonly from: readonly string[] }[];
}

interface Line {
  readonly kind: KeyTrouble;
  readonly key: string;
  readonly detail: string;
}

/** No error message names more kinds of keys than this; the fields of the error have them all. */
const LINES = 24;

export class StateDictError extends Error implements StateDictDifferences {
  override readonly name = "StateDictError";
  readonly code = "state_dict";
  /** The module's class. */
  readonly module: string;
  /** The file or folder. */
  readonly source: string;
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly mismatched: readonly Mismatch[];
  readonly ambiguous: readonly { readonly key: string; readonly from: readonly string[] }[];

  constructor(
    where: { readonly module: string; readonly source: string; readonly keys: number },
    differences: StateDictDifferences,
    cureFor: (key: string, kind: KeyTrouble) => string | undefined,
  ) {
    super(describe(where, differences, cureFor));
    this.module = where.module;
    this.source = where.source;
    this.missing = differences.missing;
    this.unexpected = differences.unexpected;
    this.mismatched = differences.mismatched;
    this.ambiguous = differences.ambiguous;
  }
}

function describe(
  { module, source, keys }: { readonly module: string; readonly source: string; readonly keys: number },
  { missing, unexpected, mismatched, ambiguous }: StateDictDifferences,
  cureFor: (key: string, kind: KeyTrouble) => string | undefined,
): string {
  const counts = Object.entries({ missing, unexpected, mismatched, ambiguous })
    .filter(([, list]) => list.length > 0)
    .map(([kind, list]) => `${list.length} ${kind}`);
  const groups = group([
    ...missing.map((key): Line => ({ kind: "missing", key, detail: "not in the file." })),
    ...unexpected.map((key): Line => ({ kind: "unexpected", key, detail: "the module has no such key." })),
    ...mismatched.map(
      ({ key, expected, got }): Line => ({ kind: "mismatch", key, detail: `module ${tensor(expected)}, file ${tensor(got)}.` }),
    ),
    ...ambiguous.map(({ key, from }): Line => ({ kind: "ambiguous", key, detail: `the file has it as ${from.join(" and as ")}.` })),
  ]);
  const lines = groups.slice(0, LINES).map(([first, pattern, count]) => {
    const name = count === 1 ? first.key : `${pattern} (${count} keys)`;
    return `  ${first.kind.padEnd(10)}  ${name}  ${[first.detail, cureFor(first.key, first.kind)].filter(Boolean).join(" ")}`;
  });
  if (groups.length > LINES) lines.push(`  … and ${groups.length - LINES} more kinds of keys; the error's fields have them all.`);
  return [`${module} ← ${source}: ${counts.join(", ")} of ${keys} keys; nothing was loaded`, ...lines].join("\n");
}

function tensor({ dtype, shape }: Mismatch["got"]): string {
  return dtype === "float32" ? `[${shape.join(", ")}]` : `${dtype} [${shape.join(", ")}]`;
}

/** Lines that differ in layer numbers only become one. */
function group(lines: readonly Line[]): readonly (readonly [first: Line, pattern: string, count: number])[] {
  const groups = new Map<string, [Line, string, number]>();
  for (const line of lines) {
    const pattern = line.key.replace(/(?<=^|\.)\d+(?=\.|$)/g, "*");
    const name = `${line.kind} ${pattern} ${line.detail}`;
    const found = groups.get(name);
    if (found === undefined) groups.set(name, [line, pattern, 1]);
    else found[2]++;
  }
  return [...groups.values()];
}
