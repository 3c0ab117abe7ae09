export type { StepRecord } from "./step-record.ts";
