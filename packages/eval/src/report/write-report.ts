import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readResults, resultsCsv, writeWhole } from "../results.ts";
import { labReport } from "./lab-report.ts";

/** Writes `results.csv` and `report.html` of a lab's folder, from its `results.json` and drawings. Returns the report's path. */
export async function writeLabReport(folder: string): Promise<string> {
  const results = await readResults(join(folder, "results.json"));
  const drawings = new Map<string, Uint8Array>();
  for (const { file } of results.maps) {
    const png = await readFile(join(folder, file)).catch(() => null);
    if (png !== null) drawings.set(file, png);
  }
  const report = join(folder, "report.html");
  await writeWhole(join(folder, "results.csv"), resultsCsv(results));
  await writeWhole(report, await labReport(results, drawings));
  return report;
}
