/**
 * Patterns of a tokenizer.json: a literal string, or a regular expression in Oniguruma's spelling, which oniguruma-to-es
 * translates. The classes are those of Node's Unicode version; Oniguruma's is older, so letters added to Unicode since
 * then count as letters here and not there.
 */
import { toRegExp } from "oniguruma-to-es";
import type { JsonEntry } from "../json-entry.ts";
import { characterLength } from "../utf8.ts";

/** Start, end, start, end … of every match in a text; empty matches included. */
export type Pattern = (text: string) => number[];

export function parsePattern(entry: JsonEntry): Pattern {
  const kinds = Object.keys(entry.object());
  if (kinds.length !== 1 || !(entry.has("String") || entry.has("Regex"))) {
    throw entry.error(`expected { "String": … } or { "Regex": … }, got the keys ${kinds.join(", ")}`);
  }
  if (entry.has("String")) return literalPattern(entry.at("String").string());
  const source = entry.at("Regex");
  try {
    return pattern(toRegExp(respell(source.string()), { global: true, target: "ES2024", rules: { captureGroup: true } }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw source.error(`cannot translate the pattern ${JSON.stringify(source.value)} (${reason})`, "invalid_pattern");
  }
}

export function literalPattern(text: string): Pattern {
  return pattern(new RegExp(text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "gu"));
}

export function pattern(expression: RegExp): Pattern {
  return (text) => findMatches(expression, text);
}

/** The text with every match replaced by `content`, which is taken as it stands. */
export function replaceMatches(text: string, matches: readonly number[], content: string): string {
  let [result, done] = ["", 0];
  for (let i = 0; i < matches.length; i += 2) {
    result += text.slice(done, matches[i]) + content;
    done = matches[i + 1] as number;
  }
  return result + text.slice(done);
}

/** As Oniguruma's iterator: an empty match right behind the match before it does not count. */
function findMatches(expression: RegExp, text: string): number[] {
  const found: number[] = [];
  if (text === "") return found; // the reference does not search there
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

const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
/** Outside of brackets Oniguruma counts the Latin-1 fractions and exponents among the word characters. */
const LONE_WORD = `${WORD}²³¹¼½¾`;

/**
 * Spells out two things that the translator does otherwise than Oniguruma: `\\w`, and a case-insensitive part of an
 * otherwise case-sensitive pattern (`(?i:'s|'t)`, in Llama 3's and Qwen's), which needs the modifiers of ES2025.
 */
function respell(source: string): string {
  let result = "";
  let brackets = 0;
  for (let i = 0; i < source.length; i++) {
    const rest = source.slice(i, i + 4);
    if (rest === "(?i:") {
      const end = source.indexOf(")", i);
      const inside = source.slice(i + 4, end === -1 ? source.length : end);
      if (/[([{\\*+?.^$]/.test(inside)) throw new Error("only letters, other literals and | are supported inside (?i: )");
      result += `(?:${[...inside].map(bothCases).join("")}`;
      i += 3 + inside.length;
    } else if (rest.startsWith("\\")) {
      result += wordClass(rest.charAt(1), brackets > 0) ?? rest.slice(0, 2);
      i++;
    } else {
      if (rest.startsWith("[")) brackets++;
      if (rest.startsWith("]") && brackets > 0) brackets--;
      result += rest.charAt(0);
    }
  }
  return result;
}

function wordClass(letter: string, bracketed: boolean): string | null {
  if (letter === "w") return bracketed ? WORD : `[${LONE_WORD}]`;
  if (letter === "W") return `[^${bracketed ? WORD : LONE_WORD}]`;
  return null;
}

/** Beyond upper and lower case, folding adds the long s and the Kelvin and Ångström signs. */
const FOLDED: Readonly<Record<string, string>> = { s: "ſ", k: "\u212a", å: "\u212b" };

function bothCases(character: string): string {
  const [lower, upper] = [character.toLowerCase(), character.toUpperCase()];
  if (lower === upper || [...lower].length > 1 || [...upper].length > 1) return character;
  return `[${lower}${upper}${FOLDED[lower] ?? ""}]`;
}
