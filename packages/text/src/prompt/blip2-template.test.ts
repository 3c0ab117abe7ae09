import { describe, expect, test } from "vitest";
import { blip2 } from "./blip2-template.ts";
import type { Message } from "./messages.ts";

const picture = { type: "image" } as const;
const user = (...content: Message["content"] & readonly unknown[]): Message => ({ role: "user", content });

describe("BLIP-2", () => {
  test.each([
    [[picture], "<image>"],
    [[picture, ""], "<image>"],
    [[picture, "what is it?"], "<image>Question: what is it? Answer:"],
    [["what is it? ", picture], "<image>Question: what is it? Answer:"],
    [[picture, "a photo of"], "<image>a photo of"],
    [[picture, "Question: what is it? Answer:"], "<image>Question: what is it? Answer:"],
    [[picture, "Question: what is it?"], "<image>Question: what is it?"],
  ])("%j", (content, text) => {
    expect(blip2.render([user(...(content as Message["content"] & readonly unknown[]))])).toBe(text);
  });

  test("what was said before stands in front, as in the authors' demonstration", () => {
    const messages: Message[] = [
      user(picture, "which city is this?"),
      { role: "assistant", content: "singapore" },
      user("why?"),
      { role: "assistant", content: "it has a statue of a merlion" },
      user("where is it?"),
    ];
    expect(blip2.render(messages)).toBe(
      "<image>Question: which city is this? Answer: singapore. Question: why? Answer: it has a statue of a merlion. Question: where is it? Answer:",
    );
    expect(blip2.render([user(picture), { role: "assistant", content: "a city" }, user("which?")])).toBe(
      "<image>a city. Question: which? Answer:",
    );
  });

  test("has no system messages, and the user begins", () => {
    expect(() => blip2.render([{ role: "system", content: "Be brief." }, user("what is it?")])).toThrow(
      /message 0: BLIP-2 knows no system messages/,
    );
    expect(() => blip2.render([{ role: "assistant", content: "a cat" }])).toThrowError(expect.objectContaining({ code: "role_order" }));
  });
});
