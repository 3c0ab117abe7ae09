import type { BoundingBox } from "./scene.ts";

/** A box as Honeybee writes it: `[x1,y1,x2,y2]`, shares of width and height with three decimals, halves to even as in Python. */
export function boxText(box: BoundingBox): string {
  return `[${box.map(threeDecimals).join(",")}]`;
}

function threeDecimals(value: number): string {
  // toFixed rounds exact ties up; a double lies exactly between two thousandths only at odd sixteenths
  const tie = Math.abs((value * 16) % 2) === 1;
  const thousandths = Math.floor(value * 1000);
  return tie ? ((thousandths + (thousandths % 2)) / 1000).toFixed(3) : value.toFixed(3);
}

/** The box that `text` names, or null if there is none in it. */
export function parseBox(text: string): BoundingBox | null {
  const numbers = /\[\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*\]/.exec(text)?.slice(1).map(Number);
  if (numbers === undefined || !numbers.every(Number.isFinite)) return null;
  const [x1 = 0, y1 = 0, x2 = 0, y2 = 0] = numbers;
  return [x1, y1, x2, y2];
}

/** What two boxes share, by what they cover together: 0 to 1. */
export function boxOverlap(a: BoundingBox, b: BoundingBox): number {
  const shared = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const covered = area(a) + area(b) - shared;
  return covered > 0 ? shared / covered : 0;
}

function area([x1, y1, x2, y2]: BoundingBox): number {
  return Math.max(0, x2 - x1) * Math.max(0, y2 - y1);
}
