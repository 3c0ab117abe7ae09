/**
 * A model folder's chat template: chat_template.jinja, else chat_template.json, else tokenizer_config.json, which may
 * hold one template or a list of named ones; more named ones lie in additional_chat_templates/. The order is transformers'.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { JsonEntry } from "../json-entry.ts";
import { readJsonEntry, readText } from "../read-files.ts";
import { readTokenizerConfig } from "../tokenizer-config.ts";
import { chatTemplate } from "./chat-template.ts";
import type { PromptTemplate } from "./messages.ts";
import { PromptError } from "./prompt-error.ts";

export interface LoadPromptTemplateOptions {
  /** Which of several named templates. Default "default". */
  readonly name?: string;
  /** Further variables for the template; they go before the special tokens of the folder. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

interface Source {
  readonly file: string;
  readonly text: string;
}

/** Null if the folder has no chat template. */
export async function loadPromptTemplate(folder: string, options: LoadPromptTemplateOptions = {}): Promise<PromptTemplate | null> {
  const unknown = Object.keys(options).filter((key) => key !== "name" && key !== "variables");
  if (unknown.length > 0) {
    throw new PromptError("invalid_option", `loadPromptTemplate: unknown option ${unknown.join(", ")}; known: name, variables.`);
  }
  const [config, specialTokensMap] = await Promise.all([
    readJsonEntry(folder, "tokenizer_config.json"),
    readJsonEntry(folder, "special_tokens_map.json"),
  ]);
  const sources = await readSources(folder, config);
  const wanted = options.name ?? "default";
  const source = sources.get(wanted);
  if (source === undefined) {
    if (sources.size === 0 && options.name === undefined) return null;
    const known = [...sources.keys()].join(", ") || "none";
    throw new PromptError("unknown_template", `${folder}: no chat template named ${JSON.stringify(wanted)}; there: ${known}.`);
  }
  const { roles } = readTokenizerConfig({ config, specialTokensMap, addedTokens: null });
  const tokens = Object.fromEntries(Object.entries(roles).map(([role, { content }]) => [`${role}_token`, content]));
  return chatTemplate(source.text, { variables: { ...tokens, ...options.variables }, name: source.file });
}

async function readSources(folder: string, config: JsonEntry | null): Promise<Map<string, Source>> {
  const sources = config?.has("chat_template") ? namedSources(config.at("chat_template")) : new Map<string, Source>();
  const json = await readJsonEntry(folder, "chat_template.json");
  if (json?.has("chat_template")) for (const [name, source] of namedSources(json.at("chat_template"))) sources.set(name, source);
  const main = await readText(folder, "chat_template.jinja");
  if (main !== null) sources.set("default", { file: join(folder, "chat_template.jinja"), text: main });
  for (const file of await jinjaFiles(join(folder, "additional_chat_templates"))) {
    const text = await readText(join(folder, "additional_chat_templates"), file);
    if (text !== null) sources.set(file.slice(0, -".jinja".length), { file: join(folder, "additional_chat_templates", file), text });
  }
  return sources;
}

/** One template, `{ name: template }`, or a list of `{ name, template }`. */
function namedSources(entry: JsonEntry): Map<string, Source> {
  const file = `${entry.file}: ${entry.path}`;
  if (typeof entry.value === "string") return new Map([["default", { file, text: entry.value }]]);
  if (entry.isObject()) return new Map(Object.keys(entry.object()).map((name) => [name, { file, text: entry.at(name).string() }]));
  return new Map(entry.list().map((item) => [item.at("name").string(), { file, text: item.at("template").string() }]));
}

async function jinjaFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith(".jinja")).sort();
}
