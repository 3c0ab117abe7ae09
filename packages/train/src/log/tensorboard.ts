/**
 * TensorBoard event files: `tensorboard --logdir` shows the run while it is running. Scalars have the tags of transformers'
 * Trainer, so that two runs can be laid over each other:
 *
 *     train/loss · train/grad_norm · train/learning_rate · train/tokens_per_second · train/wait_ms   each step
 *     eval/loss                                                                    each validation
 *     samples/i/answer (text) · samples/i/picture (image)                          each preview
 *     stages · skipped (text)
 *
 * reference  torch.utils.tensorboard.SummaryWriter, `purge_step` included: what a resumed run computes again replaces the old
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { DataType, SessionLog_SessionStatus, type Summary_ValueSchema } from "../../proto/tensorboard_pb.js";
import { EventFile, type EventInit } from "./event-file.ts";
import { samplePicture } from "./sample-picture.ts";
import type { TrainEvent } from "./train-event.ts";
import type { TrainLog } from "./train-log.ts";

type Value = MessageInitShape<typeof Summary_ValueSchema>;

export interface TensorBoardOptions {
  /** Milliseconds since 1970. Default: the clock's. */
  readonly now?: () => number;
}

export class TensorBoard implements TrainLog {
  readonly #folder: string;
  readonly #now: () => number;
  #file: EventFile | null = null;
  #step = 0;
  /** How many samples were shown, and at which step. */
  #samples = { step: -1, shown: 0 };

  constructor(folder: string, { now = Date.now }: TensorBoardOptions = {}) {
    this.#folder = folder;
    this.#now = now;
  }

  async write(event: TrainEvent): Promise<void> {
    if (event.type === "start") return this.#start(event);
    if (event.type === "skipped") return this.#summary(this.#step, [text("skipped", [[event.id, event.reason]])]);
    if (event.type === "validation") return this.#summary(event.step, [scalar("eval/loss", event.loss)]);
    if (event.type === "sample") return this.#sample(event);
    if (event.type !== "step") return;
    const { step, loss, gradNorm, lr, tokensPerSecond, waitMs } = event.record;
    await this.#summary(step, [
      scalar("train/loss", loss),
      scalar("train/grad_norm", gradNorm),
      scalar("train/learning_rate", lr),
      scalar("train/tokens_per_second", tokensPerSecond),
      scalar("train/wait_ms", waitMs),
    ]);
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
  }

  async #start({ step, stages }: Extract<TrainEvent, { type: "start" }>): Promise<void> {
    await this.close();
    await mkdir(this.#folder, { recursive: true });
    const now = this.#now();
    // TensorBoard reads the files of a folder in the order of their names.
    const name = `events.out.tfevents.${String(Math.floor(now / 1000)).padStart(10, "0")}.${String(now % 1000).padStart(3, "0")}.waggle`;
    this.#file = await EventFile.create(join(this.#folder, name));
    await this.#append({ what: { case: "fileVersion", value: "brain.Event:2" } });
    if (step > 0) {
      const status = SessionLog_SessionStatus.START;
      await this.#append({ step: BigInt(step + 1), what: { case: "sessionLog", value: { status } } });
    }
    const rows = stages.map((stage) => [stage.name, `${stage.steps} steps`]);
    await this.#summary(step, [text("stages", rows)]);
  }

  async #sample({ step, image, prompt, answer, expected }: Extract<TrainEvent, { type: "sample" }>): Promise<void> {
    if (step !== this.#samples.step) this.#samples = { step, shown: 0 };
    const name = `samples/${this.#samples.shown++}`; // the same at every step: TensorBoard slides over the answers
    const rows = Object.entries({ prompt, expected, answer });
    const picture = image && (await samplePicture(image));
    await this.#summary(step, [text(`${name}/answer`, rows), ...(picture ? [imageValue(`${name}/picture`, picture)] : [])]);
  }

  async #summary(step: number, value: Value[]): Promise<void> {
    this.#step = step;
    await this.#append({ step: BigInt(step), what: { case: "summary", value: { value } } });
  }

  async #append(event: EventInit): Promise<void> {
    await this.#file?.append({ wallTime: this.#now() / 1000, ...event });
  }
}

function scalar(tag: string, value: number): Value {
  return { tag, value: { case: "simpleValue", value } };
}

/** A table of two columns. TensorBoard reads cells as Markdown and takes what is dangerous out of them. */
function text(tag: string, rows: readonly (readonly string[])[]): Value {
  const encoder = new TextEncoder();
  const tensor = {
    dtype: DataType.DT_STRING,
    tensorShape: { dim: [{ size: BigInt(rows.length) }, { size: 2n }] },
    stringVal: rows.flat().map((cell) => encoder.encode(cell)),
  };
  return { tag, metadata: { pluginData: { pluginName: "text" } }, value: { case: "tensor", value: tensor } };
}

function imageValue(tag: string, { width, height, bytes }: { width: number; height: number; bytes: Uint8Array }): Value {
  return { tag, value: { case: "image", value: { width, height, colorspace: 3, encodedImageString: bytes } } };
}
