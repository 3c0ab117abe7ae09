import { createInterface, type Interface } from "node:readline/promises";
import { type ChatStream, ImageError, type ImageInput, image, type Message } from "@waggle/mllm";

const help =
  "/image FILE adds a picture to the next message, /adapter NAME answers with it (without a name: with none), /reset begins anew, /exit leaves.";

/**
 * A conversation in a terminal. The messages are kept here and handed over whole each time; the model's cache sees
 * that they begin like the last ones, so that only what is new is computed.
 *
 * Ctrl-C while an answer is made stops the answer, at the prompt it leaves (as Ctrl-D and /exit do).
 */
export class Conversation {
  readonly #answer: (messages: readonly Message[], adapter: string | null) => ChatStream;
  readonly #input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly #output: NodeJS.WritableStream;
  #messages: readonly Message[] = [];
  #images: readonly ImageInput[];
  readonly #adapters: readonly string[];
  #adapter: string | null;
  #running: ChatStream | null = null;

  constructor(options: {
    readonly answer: (messages: readonly Message[], adapter: string | null) => ChatStream;
    readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
    readonly output: NodeJS.WritableStream;
    readonly images: readonly ImageInput[];
    /** Of the model; the first answers until another is asked for. */
    readonly adapters?: readonly string[];
  }) {
    this.#answer = options.answer;
    this.#input = options.input;
    this.#output = options.output;
    this.#images = options.images;
    this.#adapters = options.adapters ?? [];
    this.#adapter = this.#adapters[0] ?? null;
  }

  /** Until the user leaves or the input ends. */
  async run(): Promise<void> {
    const terminal = this.#input.isTTY === true;
    const lines = createInterface({ input: this.#input, output: this.#output, terminal, prompt: terminal ? "> " : "" });
    const interrupt = () => (this.#running ? this.#running.stop() : lines.close());
    lines.on("SIGINT", interrupt);
    process.on("SIGINT", interrupt); // without a terminal the signal comes to the process
    if (terminal) this.#output.write(`${help}\n`);
    try {
      await this.#talk(lines);
    } finally {
      process.off("SIGINT", interrupt);
      lines.close();
    }
  }

  async #talk(lines: Interface): Promise<void> {
    lines.prompt();
    for await (const line of lines) {
      if (line.trim() === "/exit") return;
      try {
        await this.#take(line.trim());
      } catch (error) {
        this.#output.write(`${error instanceof Error ? error.message : String(error)}\n`); // the conversation goes on
      }
      lines.prompt();
    }
  }

  async #take(line: string): Promise<void> {
    const [, command, rest = ""] = /^\/(\S+)\s*(.*)$/s.exec(line) ?? [];
    if (command === undefined) return line === "" ? undefined : this.#ask(line);
    if (command === "image" && rest !== "") this.#images = [...this.#images, image(withoutQuotes(rest))];
    else if (command === "adapter" && (rest === "" || this.#adapters.includes(rest))) this.#adapter = rest || null;
    else if (command === "adapter") this.#output.write(`There is no adapter ${rest}, but: ${this.#adapters.join(", ") || "none"}.\n`);
    else if (command === "reset") {
      this.#messages = [];
      this.#images = [];
    } else this.#output.write(`${help}\n`);
  }

  /** A question that fails leaves no trace: it can be asked again. Pictures that cannot be read are let go. */
  async #ask(question: string): Promise<void> {
    const messages: readonly Message[] = [...this.#messages, { role: "user", content: [...this.#images, question] }];
    const answer = this.#answer(messages, this.#adapter);
    this.#running = answer;
    let said = false;
    try {
      for await (const piece of answer) said = this.#output.write(piece) || true;
      const { text } = await answer.result;
      this.#messages = [...messages, { role: "assistant", content: text }];
      this.#images = [];
      said = true;
    } catch (error) {
      if (error instanceof ImageError) this.#images = [];
      throw error;
    } finally {
      this.#running = null;
      if (said) this.#output.write("\n");
    }
  }
}

/** Terminals put quotes around the path of a file that is dropped on them. */
function withoutQuotes(text: string): string {
  return /^(["'])(.+)\1$/.exec(text)?.[2] ?? text;
}
