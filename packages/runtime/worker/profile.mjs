/**
 * ONNX Runtime writes a profile as a trace file when profiling ends; this turns it into time by operator.
 *
 * @import { OperatorProfile } from "../src/protocol.ts"
 * @typedef {{ cat: string, name: string, dur: number, args?: { op_name?: string, provider?: string } }} TraceEvent
 * @typedef {ReturnType<typeof createProfile>} Profile
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function createProfile() {
  const folder = mkdtempSync(join(tmpdir(), "waggle-profile-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  /** @type {readonly OperatorProfile[] | null} */
  let report = null;
  return {
    prefix: join(folder, "trace"),
    remove,
    /** Ends the profile, the first time; later calls give the same report. @param {() => void} end */
    report(end) {
      if (report === null) {
        end();
        report = byOperator(readdirSync(folder).flatMap((file) => readTrace(join(folder, file))));
        remove();
      }
      return report;
    },
    /** @param {() => void} end */
    close(end) {
      if (report === null) end(); // otherwise the session would write the file when it goes
      remove();
    },
  };
}

/**
 * @param {string} path
 * @returns {TraceEvent[]}
 */
function readTrace(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}

/**
 * @param {readonly TraceEvent[]} events
 * @returns {readonly OperatorProfile[]}
 */
function byOperator(events) {
  /** @type {Map<string, { operator: string, provider: string, calls: number, microseconds: number }>} */
  const found = new Map();
  for (const { cat, name, dur, args } of events) {
    if (cat !== "Node" || !name.endsWith("_kernel_time")) continue;
    const { op_name: operator = name, provider = "" } = args ?? {};
    const key = `${operator} ${provider}`;
    const entry = found.get(key) ?? { operator, provider, calls: 0, microseconds: 0 };
    entry.calls++;
    entry.microseconds += dur;
    found.set(key, entry);
  }
  const entries = [...found.values()].sort((a, b) => b.microseconds - a.microseconds);
  const total = entries.reduce((sum, { microseconds }) => sum + microseconds, 0);
  return entries.map(({ microseconds, ...entry }) => ({
    ...entry,
    milliseconds: microseconds / 1000,
    share: total > 0 ? microseconds / total : 0,
  }));
}
