import type { ZodType } from "zod";
import { ImageError, type ImageErrorCode } from "./image-error.ts";

/** `value` as `schema` wants it, or one ImageError that lists everything wrong with it. */
export function checked<T>(schema: ZodType<T>, value: unknown, code: ImageErrorCode, where: string, known: readonly string[]): T {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const problems = error.issues.map((issue) => {
    if (issue.code === "unrecognized_keys") return `unknown: ${issue.keys.join(", ")}. Known: ${known.join(", ")}`;
    return `${issue.path.length === 0 ? "" : `${issue.path.join(".")}: `}${issue.message}`;
  });
  throw new ImageError(code, `${where}:\n${problems.map((problem) => `  ${problem}`).join("\n")}`, { problems });
}
