export { linear, type MlpOptions, MlpProjector, mlp, originalMlpKey } from "./mlp.ts";
export type { Grid, Projector, ProjectorFactory } from "./projector.ts";
