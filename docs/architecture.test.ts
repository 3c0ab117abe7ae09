import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readPackages, rooms } from "../scripts/rooms.mjs";

const packages = readPackages();
const floorOf = new Map(packages.map(({ folder, floor }) => [folder, floor]));
const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

test("the drawing in architecture.md is the one that the package.json files give", () => {
  expect(read("docs/architecture.md")).toContain(rooms(packages));
});

describe.each(packages)("$folder", ({ folder, floor, below }) => {
  test("has a floor, and its arrows point down", () => {
    expect(floor).toBeGreaterThan(0);
    expect(below.filter((other) => (floorOf.get(other) ?? floor) >= floor)).toEqual([]);
  });

  test("has the same arrows for the compiler", () => {
    const { references = [] } = JSON.parse(read(`packages/${folder}/tsconfig.json`)) as { references?: { path: string }[] };
    expect(references.map(({ path }) => path.replace("../", "")).sort()).toEqual([...below].sort());
  });

  test("says what it is in a README that begins with its name", () => {
    expect(read(`packages/${folder}/README.md`)).toMatch(new RegExp(`^# @waggle/${folder}\n\n\\S`));
  });

  test("is compiled by tsc -b at the root", () => {
    const { references } = JSON.parse(read("tsconfig.json")) as { references: { path: string }[] };
    expect(references.map(({ path }) => path)).toContain(`packages/${folder}`);
  });
});
