/**
 * Patterns of a tokenizer.json: a literal string, or a regular expression in Oniguruma's spelling. The latter is
 * translated by oniguruma-to-es. It cannot express a case-insensitive part of an otherwise case-sensitive pattern
 * (`(?i:'s|'t)`, which Llama 3 and Qwen use) without the modifiers of ES2025, so such parts are spelled out first.
 */
import { toRegExp } from "oniguruma-to-es";
import type { JsonEntry } from "../json-entry.ts";
import { characterLength } from "../utf8.ts";

export interface Pattern {
  readonly expression: RegExp;
  /** Start, end, start, end … of every match in `text`; empty matches included. */
  matches(text: string): number[];
}

export function parsePattern(entry: JsonEntry): Pattern {
  const kinds = Object.keys(entry.object());
  if (kinds.length !== 1 || !(entry.has("String") || entry.has("Regex"))) {
    throw entry.error(`expected { "String": … } or { "Regex": … }, got the keys ${kinds.join(", ")}`);
  }
  if (entry.has("String")) return literalPattern(entry.at("String").string());
  const source = entry.at("Regex");
  try {
    const spelled = spellOutCase(source.string());
    return pattern(toRegExp(spelled, { global: true, target: "ES2024", rules: { captureGroup: true } }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw source.error(`cannot translate the pattern ${JSON.stringify(source.value)} (${reason})`, "invalid_pattern");
  }
}

export function literalPattern(text: string): Pattern {
  return pattern(new RegExp(text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "gu"));
}

export function pattern(expression: RegExp): Pattern {
  return { expression, matches: (text) => findMatches(expression, text) };
}

/** As Oniguruma's iterator: an empty match right behind the match before it does not count. */
function findMatches(expression: RegExp, text: string): number[] {
  const found: number[] = [];
  let lastEnd = -1;
  expression.lastIndex = 0;
  for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
    const end = match.index + match[0].length;
    if (match[0] === "" && end === lastEnd) {
      if (end >= text.length) break;
      expression.lastIndex = end + characterLength(text, end);
    } else {
      found.push(match.index, end);
      lastEnd = end;
      expression.lastIndex = end;
    }
  }
  expression.lastIndex = 0;
  return found;
}

/** `(?i:'s|'ll)` → `(?:'[sSſ]|'[lL][lL])`. Only letters, other literals and `|` may stand inside. */
function spellOutCase(source: string): string {
  if (source.startsWith("(?i)")) return source; // the whole pattern: a flag, which the translator knows
  return source.replace(/\(\?i:([^()[\]\\]*)\)/g, (_, inside: string) => `(?:${[...inside].map(bothCases).join("")})`);
}

/** Beyond upper and lower case, folding adds the long s and the Kelvin and Ångström signs. */
const FOLDED: Readonly<Record<string, string>> = { s: "ſ", k: "\u212a", å: "\u212b" };

function bothCases(character: string): string {
  const [lower, upper] = [character.toLowerCase(), character.toUpperCase()];
  if (lower === upper || [...lower].length > 1 || [...upper].length > 1) return character;
  return `[${lower}${upper}${FOLDED[lower] ?? ""}]`;
}
