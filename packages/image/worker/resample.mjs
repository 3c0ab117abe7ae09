// @ts-check
/**
 * The resampling thread: picture rows in, normalised pixel values out.
 *
 *     start   { id, outputs, table, bandRows }   outputs: for every result, the passes that make it (src/pass.ts)
 *     band    { id, firstRow, rows }             rows of the source picture, top to bottom, in any number of bands
 *     finish  { id }                             → { id, values: Float32Array [outputs, 3, H, W] } or { id, error }
 *     cancel  { id }                             forgets the job
 *
 * One job at a time; the main thread queues.
 */
import { readFileSync } from "node:fs";
import { parentPort } from "node:worker_threads";

/** @typedef {import("../src/pass.ts").Pass} Pass */
/** @typedef {import("../src/pass.ts").Taps} Taps */
/** @typedef {import("../src/resampler.ts").Request} Request */
/**
 * @typedef {object} Kernel
 * @property {WebAssembly.Memory} memory
 * @property {(source: number, stride: number, target: number, rows: number, columns: number, spans: number, weights: number, taps: number) => void} horizontal
 * @property {(source: number, stride: number, target: number, rows: number, spans: number, weights: number, taps: number) => void} vertical
 * @property {(source: number, pixels: number, table: number, target: number) => void} normalise
 */

const PAGE = 65536;
const SLACK = 32; // the vector loops touch up to 16 bytes past the end
const KEEP = 64 * 1024 * 1024; // a larger memory is given back after the job

const module = new WebAssembly.Module(readFileSync(new URL("./resample.wasm", import.meta.url)));

/** One WebAssembly memory that is filled from the bottom and emptied as a whole. */
class Engine {
  #top = 16;
  kernel = /** @type {Kernel} */ (new WebAssembly.Instance(module).exports);

  /** The memory as it is now; growing it makes earlier views unusable. */
  get bytes() {
    return new Uint8Array(this.kernel.memory.buffer);
  }

  /** @param {number} length */
  reserve(length) {
    const address = this.#top;
    this.#top += (length + SLACK + 15) & ~15;
    const missing = this.#top - this.kernel.memory.buffer.byteLength;
    if (missing > 0) this.kernel.memory.grow(Math.ceil(missing / PAGE));
    return address;
  }

  /** A copy of `array`. @param {Int32Array | Float32Array | Uint8Array} array */
  place(array) {
    const address = this.reserve(array.byteLength);
    this.bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), address);
    return address;
  }

  /** @param {Taps} taps */
  placeTaps({ spans, weights, taps }) {
    return { spans: this.place(spans), weights: this.place(weights), taps };
  }

  empty() {
    this.#top = 16;
  }
}

/**
 * One pass over one picture: rows are pushed, then `finish` returns the bytes of the result. Rows go through the horizontal loop
 * as they come; if the vertical one is first, they are held until all are there.
 */
class Resampling {
  /** @param {Engine} engine @param {Pass} pass @param {number} bandRows most rows of one push */
  constructor(engine, pass, bandRows) {
    const { canvas, window, rows, verticalFirst } = pass;
    this.engine = engine;
    this.pass = pass;
    this.stride = canvas.width * 3;
    this.width = window.width * 3 + 1; // bytes per row of the horizontal loop's results
    if (rows === 0) return;
    const held = verticalFirst ? rows : bandRows;
    this.tables = { horizontal: engine.placeTaps(pass.horizontal), vertical: engine.placeTaps(pass.vertical) };
    this.band = engine.reserve(held * this.stride);
    this.between = engine.reserve(verticalFirst ? window.height * this.stride : rows * this.width);
    this.target = engine.reserve(window.height * this.width);
    if (canvas.width !== pass.source.width || canvas.height !== pass.source.height) this.#paint(held);
  }

  /** The canvas' colour: all over the rows that are held, and in the rows above and below the picture. @param {number} held */
  #paint(held) {
    const { canvas, source, firstRow, rows, verticalFirst } = this.pass;
    const { bytes } = this.engine;
    const { band = 0, between = 0, stride, width } = this;
    for (let x = 0; x < canvas.width; x++) bytes.set(canvas.colour, band + 3 * x);
    for (let y = 1; y < held; y++) bytes.copyWithin(band + y * stride, band, band + stride);
    if (verticalFirst) return;
    const above = Math.min(rows, Math.max(0, canvas.top - firstRow));
    const below = Math.min(rows, Math.max(0, firstRow + rows - (canvas.top + source.height)));
    for (const [first, count] of /** @type {const} */ ([
      [0, above],
      [rows - below, below],
    ])) {
      if (count === 0) continue;
      this.#horizontal(band, between + first * width, 1);
      for (let y = first + 1; y < first + count; y++) {
        bytes.copyWithin(between + y * width, between + first * width, between + (first + 1) * width);
      }
    }
  }

  /** Rows `first`… of the source picture; those that the result does not need are left out. @param {Uint8Array} pixels @param {number} first */
  push(pixels, first) {
    const { canvas, source, firstRow, rows, verticalFirst } = this.pass;
    const bytesPerRow = source.width * 3;
    const from = Math.max(first, firstRow - canvas.top);
    const to = Math.min(first + pixels.length / bytesPerRow, firstRow + rows - canvas.top);
    if (to <= from || this.band === undefined) return;
    const row = from + canvas.top - firstRow;
    const target = this.band + (verticalFirst ? row * this.stride : 0) + canvas.left * 3;
    const { bytes } = this.engine;
    if (canvas.width === source.width) bytes.set(pixels.subarray((from - first) * bytesPerRow, (to - first) * bytesPerRow), target);
    else {
      for (let y = from; y < to; y++) {
        bytes.set(pixels.subarray((y - first) * bytesPerRow, (y - first + 1) * bytesPerRow), target + (y - from) * this.stride);
      }
    }
    if (!verticalFirst) this.#horizontal(this.band, (this.between ?? 0) + row * this.width, to - from);
  }

  /** The result as RGB rows; what the window leaves free is black. */
  finish() {
    const { output, window, verticalFirst } = this.pass;
    const result = new Uint8Array(output.width * output.height * 3);
    const { band = 0, between = 0, target = 0, width, stride } = this;
    if (this.tables === undefined) return result;
    if (verticalFirst) {
      this.#vertical(band, stride, between);
      this.#horizontal(between, target, window.height);
    } else this.#vertical(between, width, target);
    const { bytes } = this.engine;
    for (let y = 0; y < window.height; y++) {
      const at = ((window.top + y) * output.width + window.left) * 3;
      result.set(bytes.subarray(target + y * width, target + y * width + window.width * 3), at);
    }
    return result;
  }

  /** @param {number} from @param {number} to @param {number} rows */
  #horizontal(from, to, rows) {
    if (this.tables === undefined) return;
    const { spans, weights, taps } = this.tables.horizontal;
    this.engine.kernel.horizontal(from, this.stride, to, rows, this.pass.window.width, spans, weights, taps);
  }

  /** @param {number} from @param {number} stride @param {number} to */
  #vertical(from, stride, to) {
    if (this.tables === undefined) return;
    const { spans, weights, taps } = this.tables.vertical;
    this.engine.kernel.vertical(from, stride, to, this.pass.window.height, spans, weights, taps);
  }
}

/** @type {Engine | undefined} */
let engine;
/** @type {{ id: number; table: Float32Array; outputs: { first: Resampling; rest: readonly Pass[] }[] } | undefined} */
let job;

parentPort?.on("message", (/** @type {Request} */ request) => {
  try {
    answer(request);
  } catch (error) {
    clear();
    parentPort?.postMessage({ id: request.id, error: error instanceof Error ? error.message : String(error) });
  }
});

/** @param {Request} request */
function answer(request) {
  if (request.kind === "start") {
    engine ??= new Engine();
    const running = engine;
    const outputs = request.outputs.map(([first, ...rest]) => ({ first: new Resampling(running, first, request.bandRows), rest }));
    job = { id: request.id, table: request.table, outputs };
    return;
  }
  if (engine === undefined || job === undefined || job.id !== request.id) return;
  if (request.kind === "band") for (const { first } of job.outputs) first.push(request.rows, request.firstRow);
  else if (request.kind === "finish") {
    const values = valuesOf(job.outputs.map(complete), job.table, engine);
    clear();
    parentPort?.postMessage({ id: request.id, values }, [values.buffer]);
  } else clear();
}

/** @param {{ first: Resampling; rest: readonly Pass[] }} output */
function complete({ first, rest }) {
  let bytes = first.finish();
  for (const pass of rest) {
    const resampling = new Resampling(first.engine, pass, pass.source.height);
    resampling.push(bytes, 0);
    bytes = resampling.finish();
  }
  return bytes;
}

/** RGB rows → planes, one picture behind the other. @param {readonly Uint8Array[]} pictures @param {Float32Array} table @param {Engine} on */
function valuesOf(pictures, table, on) {
  const values = new Float32Array(pictures.reduce((sum, { length }) => sum + length, 0));
  const tableAt = on.place(table);
  let done = 0;
  for (const pixels of pictures) {
    const from = on.place(pixels);
    const to = on.reserve(pixels.length * 4);
    on.kernel.normalise(from, pixels.length / 3, tableAt, to);
    values.set(new Float32Array(on.kernel.memory.buffer, to, pixels.length), done);
    done += pixels.length;
  }
  return values;
}

function clear() {
  job = undefined;
  engine?.empty();
  if ((engine?.kernel.memory.buffer.byteLength ?? 0) > KEEP) engine = undefined;
}
