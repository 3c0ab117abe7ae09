/**
 * Holds ONNX Runtime sessions and resident tensors and serves the requests of src/protocol.ts, one at a time. It knows
 * nothing of threads: worker.mjs puts it behind a message port, and a Runtime with `worker: false` calls it directly.
 *
 * @import { CompileRequest, KernelRequest, PlainTensor, Requests, RowsOf, RunRequest, TensorType } from "../src/protocol.ts"
 */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { checkBlock, copyRows, sizeOf, writeBlock } from "./blocks.mjs";
import { checkDevice } from "./devices.mjs";
import { Failure, messageOf } from "./failure.mjs";
import { createProfile } from "./profile.mjs";
import { sessionOptions } from "./session-options.mjs";

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

/**
 * @typedef {{ name: string, session: InferenceSession, profile: import("./profile.mjs").Profile | null }} Compiled
 * @implements {Requests}
 */
export class Executor {
  /** @type {Map<number, Compiled>} */
  #sessions = new Map();
  /** @type {Map<number, PlainTensor>} */
  #residents = new Map();

  /** @param {CompileRequest} request */
  async compile({ session: id, name, model, folder, ...options }) {
    await checkDevice(options.device);
    const profile = options.profile ? createProfile() : null;
    try {
      const session = await InferenceSession.create(model, sessionOptions({ ...options, folder, profileAt: profile?.prefix }));
      this.#sessions.set(id, { name, session, profile });
    } catch (error) {
      profile?.remove();
      throw new Failure("compile", `${name}: ONNX Runtime refused the graph: ${messageOf(error)}`);
    }
    return null;
  }

  /** @param {RunRequest} request */
  async run({ session: id, feeds, fetch, keep, write }) {
    const { name, session } = this.#session(id);
    const tensors = mapValues(feeds, (feed) => this.#feed(feed));
    const wanted = new Set([...fetch, ...Object.keys(keep), ...write.map(({ output }) => output)]);
    const results = await run(name, session, tensors, [...wanted]);
    const result = (/** @type {string} */ output) => /** @type {PlainTensor} */ (results[output]);
    // All writes are checked before the first: a run writes everything or nothing.
    const places = write.map(({ into }) => this.#place(into));
    write.forEach((block, i) => {
      checkBlock(`${name}: output ${block.output}`, result(block.output), /** @type {never} */ (places[i]), block);
    });
    write.forEach((block, i) => {
      writeBlock(result(block.output), /** @type {never} */ (places[i]), block);
    });
    for (const [output, resident] of Object.entries(keep)) this.#residents.set(resident, result(output));
    return {
      outputs: Object.fromEntries(fetch.map((output) => [output, result(output)])),
      kept: mapValues(keep, (_, output) => ({ type: result(output).type, dims: result(output).dims })),
    };
  }

  /** @param {{ session: number }} request */
  async profile({ session: id }) {
    const { name, session, profile } = this.#session(id);
    if (!profile) throw new Failure("options", `${name}: was not compiled with { profile: true }, so there is nothing to report.`);
    return profile.report(() => session.endProfiling());
  }

  /** @param {{ resident: number, type: TensorType, dims: readonly number[] }} request */
  async allocate({ resident, type, dims }) {
    try {
      this.#residents.set(resident, { type, dims, data: new ARRAYS[type](sizeOf(dims)) });
    } catch (error) {
      throw new Failure("memory", `cannot allocate ${type} [${dims}]: ${messageOf(error)}`, { type, dims });
    }
    return null;
  }

  /** @param {RowsOf} request */
  async read(request) {
    const { type, dims, data } = this.#feed(request);
    return { type, dims, data: data.slice() };
  }

  /** @param {Parameters<Requests["write"]>[0]} request */
  async write({ tensor, into, ...block }) {
    const place = this.#place(into);
    checkBlock("write", tensor, place, block);
    writeBlock(tensor, place, block);
    return null;
  }

  /** @param {Parameters<Requests["copy"]>[0]} request */
  async copy({ from, into, rows, part }) {
    copyRows(this.#resident(from), this.#resident(into), rows, part);
    return null;
  }

  /** @param {KernelRequest} request */
  async kernel({ module, name, tensors, options }) {
    const kernel = /** @type {Record<string, unknown>} */ (await import(module))[name];
    if (typeof kernel !== "function") throw new Failure("options", `kernel: ${module} exports no function ${name}.`);
    const found = mapValues(tensors, (list) => list.map((rows) => this.#feed(rows)));
    try {
      return { result: await kernel(found, options) };
    } catch (error) {
      throw new Failure("run", `${name}: ${messageOf(error)}`);
    }
  }

  /** @param {Parameters<Requests["release"]>[0]} request */
  async release({ sessions, residents }) {
    for (const id of residents) this.#residents.delete(id);
    for (const id of sessions) {
      const compiled = this.#sessions.get(id);
      this.#sessions.delete(id);
      if (compiled?.profile) compiled.profile.close(() => compiled.session.endProfiling());
      await compiled?.session.release();
    }
    return null;
  }

  async close() {
    return this.release({ sessions: [...this.#sessions.keys()], residents: [...this.#residents.keys()] });
  }

  /** @param {number} id */
  #session(id) {
    const compiled = this.#sessions.get(id);
    if (!compiled) throw new Failure("disposed", "the session is disposed.");
    return compiled;
  }

  /** @param {number} id */
  #resident(id) {
    const tensor = this.#residents.get(id);
    if (!tensor) throw new Failure("disposed", "the resident tensor is disposed.");
    return tensor;
  }

  /** @param {RowsOf} rows */
  #place({ resident, first, rows }) {
    return { target: this.#resident(resident), first, rows };
  }

  /**
   * @param {PlainTensor | RowsOf} feed
   * @returns {PlainTensor}
   */
  #feed(feed) {
    if (!("resident" in feed)) return feed;
    const { type, dims, data } = this.#resident(feed.resident);
    if (dims.length === 0) return { type, dims, data };
    const row = sizeOf(dims.slice(1));
    // A view: the native binding reads through it, nothing is copied.
    return { type, dims: [feed.rows, ...dims.slice(1)], data: data.subarray(feed.first * row, (feed.first + feed.rows) * row) };
  }
}

/**
 * @param {string} name
 * @param {InferenceSession} session
 * @param {Readonly<Record<string, PlainTensor>>} feeds
 * @param {readonly string[]} fetch
 * @returns {Promise<Readonly<Record<string, PlainTensor>>>}
 */
async function run(name, session, feeds, fetch) {
  if (fetch.length === 0) return {};
  try {
    const tensors = mapValues(feeds, ({ type, data, dims }) => new Tensor(type, data, dims));
    // A Tensor's data is behind a getter, and would be lost on the way into another thread.
    return mapValues(await session.run(tensors, fetch), ({ type, dims, data }) => /** @type {PlainTensor} */ ({ type, dims, data }));
  } catch (error) {
    throw new Failure("run", `${name}: ${messageOf(error)}`);
  }
}

/**
 * @template V, W
 * @param {Readonly<Record<string, V>>} record
 * @param {(value: V, key: string) => W} change
 * @returns {Record<string, W>}
 */
function mapValues(record, change) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]));
}
