/** A conversation about one picture, streamed: the second question reuses the cached first turn. */
import { mini, pictures } from "@waggle/mini";
import { image, load, type Message } from "@waggle/mllm";

const model = await load(mini);
const messages: Message[] = [];
for (const question of ["Is the white square large or small?", "In which corner is the white square?"]) {
  const first = messages.length === 0;
  messages.push({ role: "user", content: first ? [image(pictures[0].path), question] : [question] });
  process.stdout.write(`${question} `);
  let answer = "";
  for await (const piece of model.chat(messages)) {
    answer += piece;
    process.stdout.write(piece);
  }
  process.stdout.write("\n");
  messages.push({ role: "assistant", content: answer });
}
model.dispose();
