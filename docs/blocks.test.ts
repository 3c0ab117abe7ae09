import { expect, test } from "vitest";
import { withOutputs } from "../scripts/blocks.mjs";

const page = (first: string, second: string) => `# A page

\`\`\`ts
console.log(1);
\`\`\`

\`\`\`text
${first}
\`\`\`

\`\`\`ts
console.log("without output");
\`\`\`

\`\`\`ts
console.log(2);
\`\`\`
\`\`\`text
${second}
\`\`\`
`;

test("new outputs take the place of the old ones, whatever their length, and nothing else changes", () => {
  const printed = new Map([
    [3, "one\nand more\n"],
    [11, "never shown"],
    [15, "two"],
  ]);
  expect(withOutputs(page("1", "2\n2"), printed)).toBe(page("one\nand more", "two"));
});
