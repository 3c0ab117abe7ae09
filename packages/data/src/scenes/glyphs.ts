/**
 * Capitals and digits of 5 by 7 dots, as in matrix displays. Drawn by ourselves: the fonts of a machine would make other
 * pictures on every machine, and librsvg takes milliseconds to look for them. A row is a number, its highest of 5 bits the left dot.
 */
export const GLYPH_WIDTH = 5;
export const GLYPH_HEIGHT = 7;

const glyphs: Readonly<Record<string, readonly number[]>> = {
  "0": [14, 17, 19, 21, 25, 17, 14],
  "1": [4, 12, 4, 4, 4, 4, 14],
  "2": [14, 17, 1, 2, 4, 8, 31],
  "3": [31, 2, 4, 2, 1, 17, 14],
  "4": [2, 6, 10, 18, 31, 2, 2],
  "5": [31, 16, 30, 1, 1, 17, 14],
  "6": [6, 8, 16, 30, 17, 17, 14],
  "7": [31, 1, 2, 4, 8, 8, 8],
  "8": [14, 17, 17, 14, 17, 17, 14],
  "9": [14, 17, 17, 15, 1, 2, 12],
  A: [14, 17, 17, 31, 17, 17, 17],
  B: [30, 17, 17, 30, 17, 17, 30],
  C: [14, 17, 16, 16, 16, 17, 14],
  D: [28, 18, 17, 17, 17, 18, 28],
  E: [31, 16, 16, 30, 16, 16, 31],
  F: [31, 16, 16, 30, 16, 16, 16],
  G: [14, 17, 16, 23, 17, 17, 15],
  H: [17, 17, 17, 31, 17, 17, 17],
  I: [14, 4, 4, 4, 4, 4, 14],
  J: [7, 2, 2, 2, 2, 18, 12],
  K: [17, 18, 20, 24, 20, 18, 17],
  L: [16, 16, 16, 16, 16, 16, 31],
  M: [17, 27, 21, 21, 17, 17, 17],
  N: [17, 17, 25, 21, 19, 17, 17],
  O: [14, 17, 17, 17, 17, 17, 14],
  P: [30, 17, 17, 30, 16, 16, 16],
  Q: [14, 17, 17, 17, 21, 18, 13],
  R: [30, 17, 17, 30, 20, 18, 17],
  S: [15, 16, 16, 14, 1, 1, 30],
  T: [31, 4, 4, 4, 4, 4, 4],
  U: [17, 17, 17, 17, 17, 17, 14],
  V: [17, 17, 17, 17, 17, 10, 4],
  W: [17, 17, 17, 21, 21, 21, 10],
  X: [17, 17, 10, 4, 10, 17, 17],
  Y: [17, 17, 17, 10, 4, 4, 4],
  Z: [31, 1, 2, 4, 8, 16, 31],
};

/** How many dots `text` is wide, one dot free between letters. */
export function dotWidth(text: string): number {
  return text.length * (GLYPH_WIDTH + 1) - 1;
}

/** The lit dots of `text` as an SVG path, the upper left dot at (x, y); a row's neighbours are one rectangle. */
export function lettering(text: string, x: number, y: number, dot: number): string {
  const runs: string[] = [];
  [...text.toUpperCase()].forEach((letter, place) => {
    glyphs[letter]?.forEach((bits, row) => {
      const dots = bits.toString(2).padStart(GLYPH_WIDTH, "0");
      for (const run of dots.matchAll(/1+/g)) {
        const [left, width] = [x + (place * (GLYPH_WIDTH + 1) + run.index) * dot, run[0].length * dot];
        runs.push(`M${left.toFixed(2)} ${(y + row * dot).toFixed(2)}h${width.toFixed(2)}v${dot.toFixed(2)}h${(-width).toFixed(2)}z`);
      }
    });
  });
  return runs.join("");
}
