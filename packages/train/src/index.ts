export { type ConversationOptions, conversations } from "./conversation-task.ts";
export { escapeHtml, type HtmlPage, htmlPage } from "./log/html-page.ts";
export { HtmlReport, type HtmlReportOptions } from "./log/html-report.ts";
export { JsonLines, stepLine } from "./log/json-lines.ts";
export { ProgressLine, type ProgressLineOptions, type TextStream } from "./log/progress-line.ts";
export { TensorBoard, type TensorBoardOptions } from "./log/tensorboard.ts";
export type { TrainEvent } from "./log/train-event.ts";
export { logs, type TrainLog } from "./log/train-log.ts";
export { contrastive, crossEntropy, type MicroBatch, type Objective } from "./objective.ts";
export { type AdamWOptions, adamW, type Optimizer, type ParameterGroup, type SgdOptions, sgd } from "./optimizer.ts";
export { type Recipe, readRecipe, trainRecipe } from "./recipe.ts";
export { honeybeeRecipe, llava15Recipe, miniGpt4Recipe, type StageRecipe, tinyLlavaRecipe } from "./recipes.ts";
export {
  constant,
  cosine,
  type FloorOptions,
  linear,
  linearWarmupCosine,
  type MiniGpt4ScheduleOptions,
  type Schedule,
  type WarmupOptions,
} from "./schedule.ts";
export { type ParameterPattern, selectParameters } from "./select.ts";
export { type Stage, type StageOptions, stage, stepsOf } from "./stage.ts";
export type { StepRecord } from "./step-record.ts";
export type { BatchRequest, OpenTask, PreviewText, Task, TaskBatch, TaskContext } from "./task.ts";
export { type TrainOptions, type TrainResult, train } from "./train.ts";
export { type StepResult, Trainer, type TrainerOptions } from "./trainer.ts";
export { TrainingError, type TrainingErrorCode } from "./training-error.ts";
