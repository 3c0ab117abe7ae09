import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chatTemplate } from "./chat-template.ts";
import { loadPromptTemplate } from "./load-prompt-template.ts";
import type { Message } from "./messages.ts";

const GOLDEN = fileURLToPath(new URL("../../../../golden/", import.meta.url));
const TEMPLATES = `${GOLDEN}text-tokenizers/chat-templates/`;

interface Case {
  readonly conversation: string;
  readonly messages: Message[];
  readonly add_generation_prompt: boolean;
  readonly rendered?: string;
  readonly error?: string;
  readonly variables?: Readonly<Record<string, unknown>>;
}

const { cases } = JSON.parse(readFileSync(`${TEMPLATES}expected.json`, "utf8")) as { cases: Readonly<Record<string, readonly Case[]>> };

describe.each(Object.entries(cases))("%s, as transformers renders it", (name, rows) => {
  test.each(
    rows.map((row) => ({
      ...row,
      title: `${row.conversation}, prompt ${row.add_generation_prompt}, ${JSON.stringify(row.variables ?? {})}`,
    })),
  )("$title", async (row) => {
    const template = await loadPromptTemplate(`${TEMPLATES}${name}`, row.variables === undefined ? {} : { variables: row.variables });
    const render = (): string | undefined => template?.render(row.messages, { addGenerationPrompt: row.add_generation_prompt });
    if (row.error === undefined) expect(render()).toBe(row.rendered);
    else {
      expect(render).toThrowError(expect.objectContaining({ name: "PromptError", code: "template" }));
      expect(render).toThrowError(row.error.replace("TemplateError: ", ""));
    }
  });
});

describe("Jinja, feature by feature", () => {
  // reference/text/chat_templates.py
  const { rows } = JSON.parse(readFileSync(new URL("../__vectors__/jinja.json", import.meta.url), "utf8")) as {
    readonly rows: readonly {
      readonly name: string;
      readonly template: string;
      readonly messages: Message[];
      readonly variables: Readonly<Record<string, unknown>>;
      readonly rendered?: string;
      readonly error?: string;
    }[];
  };

  /** What @huggingface/jinja 0.5 does otherwise than Jinja2. The README lists it; when one of these comes to agree, take it out. */
  const OTHERWISE: readonly string[] = [
    "whitespace control", // `+%}` is not read
    "loop variables", // booleans print as true and false, none as nothing
    "namespace",
    "tests",
    "dict access",
    "python bools printed", // and lists as JSON
    "string methods", // strip() takes no characters
    "filters", // rejectattr("role", "in", list)
    "operators", // "a" * 3
  ];

  const render = ({ template, variables, messages }: (typeof rows)[number]): string =>
    chatTemplate(template, { variables }).render(messages);
  const outcome = (row: (typeof rows)[number]): string => {
    try {
      return render(row);
    } catch (error) {
      expect(error).toMatchObject({ name: "PromptError", code: "template" });
      return "refused";
    }
  };

  test.each(rows.map((row, i) => ({ row, title: `${row.name} ${i}` })))("$title", ({ row }) => {
    if (row.error !== undefined) expect(() => render(row)).toThrowError(expect.objectContaining({ code: "template" }));
    else if (OTHERWISE.includes(row.name)) expect(outcome(row)).not.toBe(row.rendered);
    else expect(render(row)).toBe(row.rendered);
  });

  test("an unreadable construct fails when the template is read, or when it is used, but never silently", () => {
    expect(() => chatTemplate("{% for m in messages +%}x{% endfor %}")).toThrowError(expect.objectContaining({ code: "template" }));
  });

  test("strftime_now", () => {
    const year = String(new Date().getFullYear());
    expect(chatTemplate("{{ strftime_now('%Y') }}{{ messages[0]['content'] }}").render([{ role: "user", content: "" }])).toBe(year);
  });
});

describe("contents in the form a template wants", () => {
  const asString = chatTemplate("{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}");
  const asList = chatTemplate(
    "{% for m in messages %}{% for p in m['content'] %}{% if p['type'] == 'image' %}[pic]{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endfor %}",
  );

  test("strings", () => {
    expect(asString.render([{ role: "user", content: ["Look: ", { type: "image" }, { type: "text", text: "nice" }] }])).toBe(
      "user: <image>\nLook: nice\n",
    );
    expect(asString.render([{ role: "user", content: "plain" }])).toBe("user: plain\n");
  });

  test("lists", () => {
    expect(asList.render([{ role: "user", content: "plain" }])).toBe("plain");
    expect(asList.render([{ role: "user", content: ["Look: ", { type: "image" }] }])).toBe("Look: [pic]");
  });

  test("a picture part keeps what it carries, so that templates which ask `'image' in part` find it", () => {
    const template = chatTemplate(
      "{% for p in messages[0]['content'] %}{% if 'image' in p %}[pic]{% else %}{{ p['text'] }}{% endif %}{% endfor %}",
    );
    expect(template.render([{ role: "user", content: [{ type: "image", image: "cat.jpg" } as { type: "image" }, "what?"] }])).toBe(
      "[pic]what?",
    );
  });
});

describe("errors", () => {
  test("a template that cannot be read", () => {
    expect(() => chatTemplate("{% if %}", { name: "broken.jinja" })).toThrowError(
      expect.objectContaining({ code: "template", message: expect.stringMatching(/^broken\.jinja: /) }),
    );
  });
  test("an unknown option", () => {
    expect(() => chatTemplate("", { vars: {} } as object)).toThrowErrorMatchingInlineSnapshot(
      `[PromptError: chatTemplate: unknown option vars; known: variables, stop, name.]`,
    );
  });
});

describe("loadPromptTemplate", () => {
  let root = "";
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "waggle-text-"));
  });
  afterAll(() => rm(root, { recursive: true }));

  const hello: Message[] = [{ role: "user", content: "hello" }];
  const template = (word: string): string => `${word} {{ messages[0]['content'] }}`;
  async function folder(name: string, files: Readonly<Record<string, string>>): Promise<string> {
    const path = join(root, name);
    for (const [file, text] of Object.entries(files)) {
      await mkdir(join(path, file, ".."), { recursive: true });
      await writeFile(join(path, file), text);
    }
    return path;
  }

  test("none", async () => expect(await loadPromptTemplate(await folder("none", { "tokenizer_config.json": "{}" }))).toBeNull());

  test("chat_template.jinja before chat_template.json before tokenizer_config.json", async () => {
    const config = { "tokenizer_config.json": JSON.stringify({ chat_template: template("config") }) };
    const json = { ...config, "chat_template.json": JSON.stringify({ chat_template: template("json") }) };
    const jinja = { ...json, "chat_template.jinja": template("jinja") };
    const rendered = await Promise.all(
      [config, json, jinja].map(async (files, i) => (await loadPromptTemplate(await folder(`order-${i}`, files)))?.render(hello)),
    );
    expect(rendered).toEqual(["config hello", "json hello", "jinja hello"]);
  });

  test("named templates", async () => {
    const path = await folder("named", {
      "tokenizer_config.json": JSON.stringify({
        chat_template: [
          { name: "default", template: template("one") },
          { name: "rag", template: template("two") },
        ],
      }),
      "additional_chat_templates/tool_use.jinja": template("three"),
    });
    const rendered = await Promise.all(
      ["default", "rag", "tool_use"].map(async (name) => (await loadPromptTemplate(path, { name }))?.render(hello)),
    );
    expect(rendered).toEqual(["one hello", "two hello", "three hello"]);
    await expect(loadPromptTemplate(path, { name: "tools" })).rejects.toThrowError(
      'no chat template named "tools"; there: default, rag, tool_use.',
    );
  });

  test("special tokens become variables, and the end token a stop text", async () => {
    const loaded = await loadPromptTemplate(
      await folder("tokens", {
        "tokenizer_config.json": JSON.stringify({
          bos_token: "<s>",
          chat_template: "{{ bos_token + messages[0]['content'] + eos_token }}",
        }),
        "special_tokens_map.json": JSON.stringify({ eos_token: { content: "</s>" } }),
      }),
    );
    expect(loaded?.render(hello)).toBe("<s>hello</s>");
    expect(loaded?.stop).toEqual(["</s>"]);
  });

  test("the published folders of the golden cases", async () => {
    const loaded = await loadPromptTemplate(`${GOLDEN}llava-tiny-hf`);
    expect(loaded?.render([{ role: "user", content: [{ type: "image" }, "What?"] }])).toBe("USER: <image>\nWhat? ASSISTANT:");
  });

  test("broken files", async () => {
    await expect(loadPromptTemplate(await folder("bad-json", { "chat_template.json": "{" }))).rejects.toThrowError(
      expect.objectContaining({ code: "invalid_json" }),
    );
    await expect(loadPromptTemplate(await folder("bad-type", { "tokenizer_config.json": '{"chat_template": 3}' }))).rejects.toThrowError(
      "chat_template: expected a list, got 3",
    );
  });
});
