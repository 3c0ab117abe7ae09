/** A scene as a picture file: an SVG drawing that sharp turns into a PNG of RGB pixels. */
import sharp from "sharp";
import { lettering } from "./glyphs.ts";
import type { Bar, BoundingBox, Rgb, Scene, Sign, Thing } from "./scene.ts";
import { outline } from "./shapes.ts";

/** `scene` as a PNG file of `side` × `side` pixels. */
export async function drawScene(scene: Scene, side: number): Promise<Uint8Array> {
  const drawing = sharp(Buffer.from(sceneSvg(scene, side))).removeAlpha();
  return new Uint8Array(await drawing.png({ compressionLevel: 4 }).toBuffer());
}

/** The same as SVG text. */
export function sceneSvg({ background: [top, bottom], things, sign, bars }: Scene, side: number): string {
  const even = top.every((value, i) => value === bottom[i]);
  const parts = [
    even
      ? ""
      : `<linearGradient id="g" x2="0" y2="1"><stop stop-color="${css(top)}"/><stop offset="1" stop-color="${css(bottom)}"/></linearGradient>`,
    `<path d="M0 0h${side}v${side}h${-side}z" fill="${even ? css(top) : "url(#g)"}"/>`,
    ...things.map((thing, i) => thingSvg(thing, i, side)),
    sign === null ? "" : signSvg(sign, side),
    bars.length === 0 ? "" : chartSvg(bars, side),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}">${parts.join("")}</svg>`;
}

function thingSvg(thing: Thing, index: number, side: number): string {
  const path = outline(thing, side);
  const flat = `<path d="${path}" fill="${css(thing.fill)}"/>`;
  if (thing.texture === "flat") return flat;
  // a darker tone of the same colour, so that the colour keeps its name
  const dark = css([thing.fill[0] * 0.58, thing.fill[1] * 0.58, thing.fill[2] * 0.58]);
  const pitch = side * (thing.texture === "striped" ? 0.045 : 0.056);
  const tile =
    thing.texture === "striped"
      ? `<path d="M0 0h${pitch}v${pitch * 0.45}h${-pitch}z" fill="${dark}"/>`
      : `<circle cx="${pitch / 2}" cy="${pitch / 2}" r="${pitch * 0.29}" fill="${dark}"/>`;
  const [x, y] = [thing.center[0] * side, thing.center[1] * side];
  const pattern = `<pattern id="t${index}" patternUnits="userSpaceOnUse" x="${x}" y="${y}" width="${pitch}" height="${pitch}">${tile}</pattern>`;
  return `${pattern}${flat}<path d="${path}" fill="url(#t${index})"/>`;
}

function signSvg({ text, box, dot, board, ink }: Sign, side: number): string {
  const [x1, y1] = box;
  const margin = dot * 2;
  const letters = lettering(text, (x1 + margin) * side, (y1 + margin) * side, dot * side);
  return `${rectangle(box, board, side)}<path d="${letters}" fill="${css(ink)}"/>`;
}

function chartSvg(bars: readonly Bar[], side: number): string {
  const base = bars[0]?.box[3] ?? 1;
  const line: BoundingBox = [0.06, base, 0.94, base + 0.012];
  return bars.map(({ box, fill }) => rectangle(box, fill, side)).join("") + rectangle(line, [150, 150, 150], side);
}

function rectangle(box: BoundingBox, fill: Rgb, side: number): string {
  const [x1, y1, x2, y2] = box.map((value) => value * side) as [number, number, number, number];
  return `<rect x="${x1.toFixed(2)}" y="${y1.toFixed(2)}" width="${(x2 - x1).toFixed(2)}" height="${(y2 - y1).toFixed(2)}" fill="${css(fill)}"/>`;
}

function css(color: Rgb): string {
  return `rgb(${color.map(Math.round).join(",")})`;
}
