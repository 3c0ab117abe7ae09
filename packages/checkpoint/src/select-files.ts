/**
 * Which files of a repository a model needs: configuration, tokenizer and prompt, and one form of the weights.
 * Repositories often hold several (safetensors and pickles, PyTorch and TensorFlow, fp32 and fp16).
 */
const SETTINGS = ["*.json", "*.txt", "*.jinja", "*.model"];
// What LLaVA trains beside an adapter; it is published with it, in whatever form that is.
const BESIDE = ["non_lora_trainables.bin"];
const WEIGHTS = [
  ["model.safetensors"],
  ["model.safetensors.index.json", "model-*-of-*.safetensors"],
  ["pytorch_model.bin"],
  ["pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"],
  ["*.safetensors"],
  ["*.bin", "*.pt", "*.pth"],
];

/** The files that `include` names (`*` stands for anything), or without it what a model needs of `files`. */
export function selectFiles(files: readonly string[], include?: readonly string[]): readonly string[] {
  if (include !== undefined) return files.filter((file) => include.some((pattern) => matches(pattern, file)));
  const top = files.filter((file) => !file.includes("/")); // folders hold other variants
  const settings = top.filter((file) => [...SETTINGS, ...BESIDE].some((pattern) => matches(pattern, file)));
  const choices = WEIGHTS.map((patterns) => top.filter((file) => patterns.some((pattern) => matches(pattern, file))));
  const weights = choices.find((choice) => choice.some((file) => !file.endsWith(".json"))) ?? [];
  return [...new Set([...settings, ...weights])];
}

function matches(pattern: string, file: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[\\^$.+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(file);
}
