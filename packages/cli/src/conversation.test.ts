import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import { type ChatStream, image, load, type Message, type MultimodalModel } from "@waggle/mllm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Conversation } from "./conversation.ts";

const folder = fileURLToPath(new URL("../../../golden/waggle-scenes/", import.meta.url));

let model: MultimodalModel;
beforeAll(async () => {
  model = await load(folder);
});
afterAll(() => model.dispose());

/** A conversation over pipes; `said` collects what it prints, `until` waits for it. */
function start(answer: (messages: readonly Message[]) => ChatStream) {
  const input = new PassThrough();
  const output = new PassThrough();
  let said = "";
  output.on("data", (chunk) => (said += chunk));
  const images = [image(`${folder}scene-01.png`)];
  const done = new Conversation({ answer, input, output, images }).run();
  const until = async (wanted: (said: string) => boolean) => {
    while (!wanted(said)) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return { input, done, until, said: () => said };
}

test("Ctrl-C stops the answer, not the program; what was said so far stays in the conversation", async () => {
  const asked: (readonly Message[])[] = [];
  const answers: ChatStream[] = [];
  const { input, done, until, said } = start((messages) => {
    asked.push(messages);
    const answer = model.chat(messages, asked.length === 1 ? { max_new_tokens: 700, eos_token_id: [] } : { max_new_tokens: 20 });
    answers.push(answer);
    return answer;
  });
  input.write("Describe the picture.\n");
  await until((text) => text.length > 40);
  process.emit("SIGINT");
  const stopped = await answers[0]?.result;
  expect(stopped?.finishReason).toBe("abort");
  input.write("Is the white square large or small?\n");
  await until(() => answers.length === 2);
  const second = await answers[1]?.result;
  expect(second?.finishReason).not.toBe("abort");
  await until((text) => text.endsWith(`${second?.text}\n`));
  process.emit("SIGINT"); // nothing is being said: it leaves
  await done;
  expect(asked[1]?.slice(0, 2)).toEqual([...(asked[0] ?? []), { role: "assistant", content: stopped?.text }]);
  expect(said().startsWith((stopped?.text ?? "").slice(0, 40))).toBe(true);
});

test("a question that fails can be asked again", async () => {
  let fail = true;
  const lengths: number[] = [];
  const { input, done, said } = start((messages) => {
    lengths.push(messages.length);
    const signal = fail ? AbortSignal.abort(new Error("out of honey")) : undefined;
    fail = false;
    return model.chat(messages, { signal });
  });
  input.end("In which corner is the white square?\nIn which corner is the white square?\n");
  await done;
  expect(said()).toContain("out of honey");
  expect(said()).toContain("bottom right");
  expect(lengths).toEqual([1, 1]);
});

test("a picture that cannot be read is let go, and the conversation stays; a path may be in quotes", async () => {
  const asked: (readonly Message[])[] = [];
  const { input, done, said } = start((messages) => {
    asked.push(messages);
    return model.chat(messages);
  });
  input.end(
    `How many things are in the picture?\n/image none.png\nAnd this?\n/image "${folder}scene-02.png"\nHow many things are in the picture?\n`,
  );
  await done;
  expect(said().trimEnd().split("\n")).toEqual(["one", "none.png: there is no such file.", expect.stringMatching(/^\w+$/)]);
  expect(asked.map((messages) => messages.length)).toEqual([1, 3, 3]);
  expect(asked[2]?.[2]?.content).toHaveLength(2);
});
