/**
 * A run as one HTML page: curves, settings, answers, skipped samples. It needs no other file and asks nobody for anything.
 * It is written at every checkpoint, so it can be looked at while the run goes on, and a resumed run finds there what came before.
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { checkOptions } from "@waggle/nn";
import { TrainingError } from "../training-error.ts";
import { addSample, addSkipped, addStep, emptyReport, type ReportData, reportUntil } from "./report-data.ts";
import { dataOfReport, reportPage } from "./report-page.ts";
import { samplePicture } from "./sample-picture.ts";
import type { TrainEvent } from "./train-event.ts";
import type { TrainLog } from "./train-log.ts";

export interface HtmlReportOptions {
  /** Default "Training". */
  readonly title?: string;
  /** Stands in the page as a table; what is nested is named `outer.inner`. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Milliseconds. Default: the clock's. */
  readonly now?: () => number;
}

export class HtmlReport implements TrainLog {
  readonly #path: string;
  readonly #title: string;
  readonly #settings: Readonly<Record<string, unknown>>;
  readonly #now: () => number;
  /** Null as long as no run has begun here. */
  #data: ReportData | null = null;
  /** Time 0 of `elapsed`. */
  #began = 0;
  #changed = false;

  constructor(path: string, options: HtmlReportOptions = {}) {
    checkOptions("HtmlReport", options, ["title", "settings", "now"]);
    this.#path = path;
    this.#title = options.title ?? "Training";
    this.#settings = options.settings ?? {};
    this.#now = options.now ?? Date.now;
  }

  async write(event: TrainEvent): Promise<void> {
    if (event.type === "start") this.#data = await this.#start(event);
    const data = this.#data;
    if (data === null) return;
    if (event.type === "step") addStep(data, event.record);
    else if (event.type === "validation") data.validation.push({ step: event.step, loss: event.loss });
    else if (event.type === "sample") addSample(data, event, await pictureUri(event.image));
    else if (event.type === "skipped") this.#data = addSkipped(data, event);
    else if (event.type === "end") this.#data = { ...data, ended: true };
    this.#changed = true;
    if (event.type === "checkpoint" || event.type === "end") await this.close();
  }

  async close(): Promise<void> {
    if (this.#changed && this.#data) await this.#save({ ...this.#data, elapsed: this.#now() - this.#began });
    this.#changed = false;
  }

  async #start({ stages, step }: Extract<TrainEvent, { type: "start" }>): Promise<ReportData> {
    const before = await this.#before();
    const data = before && step > 0 ? { ...reportUntil(before, step), stages } : emptyReport(stages);
    this.#began = this.#now() - data.elapsed;
    return data;
  }

  /** The page that is there; a file that is something else stays as it is. */
  async #before(): Promise<ReportData | null> {
    const page = await readFile(this.#path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw error;
    });
    const data = page === null ? null : dataOfReport(page);
    if (page !== null && data === null) {
      const message = `${this.#path}: is not the page of a run. Nothing was changed; give another file.`;
      throw new TrainingError("folder", message, { path: this.#path });
    }
    return data;
  }

  async #save(data: ReportData): Promise<void> {
    const page = await reportPage(data, this.#title, this.#settings);
    await mkdir(dirname(this.#path), { recursive: true });
    const temporary = `${this.#path}.${process.pid}.tmp`;
    await writeFile(temporary, page);
    await rename(temporary, this.#path);
  }
}

async function pictureUri(file: Uint8Array | null): Promise<string | null> {
  const picture = file && (await samplePicture(file));
  return picture && `data:${picture.type};base64,${Buffer.from(picture.bytes).toString("base64")}`;
}
