import { readJson } from "@waggle/checkpoint";
import { expect, test } from "vitest";
import { fileWith, rejection } from "../test/files.ts";

test("reads what the file says", async () => {
  expect(await readJson(fileWith('{"a": [1, null, "ä"]}', "config.json"))).toEqual({ a: [1, null, "ä"] });
});

test.each([
  ["", /it is empty/],
  ['{"a": 1,\n "b": }', /Unexpected token '}'.*"b": }/s],
  ['{"a": 1,\n "b" 2}', /\(line 2, column 6\)/],
  ['{"a": [1, 2', /in JSON at position 11|Unexpected end/],
  ["<!DOCTYPE html>", /Unexpected token '<'/],
])("%j is no JSON", async (content, reason) => {
  const file = fileWith(content, "config.json");
  const error = await rejection(readJson(file));
  expect(error).toMatchObject({ code: "invalid_json", file, message: expect.stringMatching(reason) as string });
});

test("text in another encoding", async () => {
  expect(await rejection(readJson(fileWith(Buffer.from('{"a": "\xe4"}', "latin1"))))).toMatchObject({ code: "invalid_json" });
});

test("a file beyond the limit is not read", async () => {
  expect(await readJson(fileWith("[1234]"), { limit: 6 })).toEqual([1234]);
  expect(await rejection(readJson(fileWith("[12345]"), { limit: 6 }))).toMatchObject({ code: "too_large" });
});

test("lists without end are refused before they cost memory", async () => {
  expect(await rejection(readJson(fileWith("[".repeat(10_000_000))))).toMatchObject({ code: "too_large" });
  const deep = `${"[".repeat(200)}"\\"[[["${"]".repeat(200)}`;
  expect(JSON.stringify(await readJson(fileWith(deep)))).toBe(deep);
  expect(await readJson(fileWith(JSON.stringify({ a: "[".repeat(1000) })))).toEqual({ a: "[".repeat(1000) });
});

test("a missing file", async () => {
  expect(await rejection(readJson("/nowhere/config.json"))).toMatchObject({ code: "not_found", file: "/nowhere/config.json" });
});
