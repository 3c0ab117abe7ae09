import { expect, test } from "vitest";
import { StopStrings } from "./stop-strings.ts";

/** Everything shown for `text` cut into `pieces`, and what stopped it. */
function shown(stops: readonly string[], pieces: readonly string[]): { text: string; found: string | null } {
  const scanner = new StopStrings(stops);
  const text = pieces.map((piece) => scanner.push(piece)).join("") + scanner.end();
  return { text, found: scanner.found };
}

const cases: readonly { stops: readonly string[]; text: string; expected: string; found: string | null }[] = [
  { stops: ["###"], text: "It is red.### Human:", expected: "It is red.", found: "###" },
  { stops: ["###"], text: "a # b ## c", expected: "a # b ## c", found: null },
  { stops: ["###"], text: "ends with ##", expected: "ends with ##", found: null },
  { stops: ["abab"], text: "xababab", expected: "x", found: "abab" },
  { stops: ["aab"], text: "aaab", expected: "a", found: "aab" },
  { stops: ["abc", "b"], text: "xabc", expected: "xa", found: "b" },
  { stops: ["xyz", "z"], text: "wxyz!", expected: "w", found: "xyz" },
  { stops: ["\n\n"], text: "one\ntwo\n\nthree", expected: "one\ntwo", found: "\n\n" },
  { stops: ["。終"], text: "はい。終わり", expected: "はい", found: "。終" },
  { stops: ["😀!"], text: "ok 😀😀!", expected: "ok 😀", found: "😀!" },
  { stops: ["a"], text: "a", expected: "", found: "a" },
  { stops: [], text: "anything", expected: "anything", found: null },
];

test.each(cases)("$stops in $text, however the text is cut", ({ stops, text, expected, found }) => {
  for (let first = 0; first <= text.length; first++) {
    for (let second = first; second <= text.length; second++) {
      const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)];
      expect(shown(stops, pieces)).toEqual({ text: expected, found });
    }
  }
  expect(shown(stops, [...text])).toEqual({ text: expected, found });
});

test("shows text as soon as it can no longer become a stop string, and never a part of one", () => {
  const scanner = new StopStrings(["STOP"]);
  expect(["go ", "ST", "ART", " ", "S", "TO", "P now"].map((piece) => scanner.push(piece))).toEqual(["go ", "", "START", " ", "", "", ""]);
  expect(scanner.found).toBe("STOP");
  expect(scanner.push("more")).toBe("");
});
