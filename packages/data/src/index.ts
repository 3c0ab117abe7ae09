export { type EncodedSample, IGNORE, IMAGE, type Sample, type SampleEncoder, type Turn } from "./sample.ts";
