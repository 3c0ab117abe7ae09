/** Samples as a page to look at: pictures, questions, answers, and what could be guessed. One HTML file that needs no other. */
import { decodeImage } from "@waggle/image";
import sharp from "sharp";
import type { Sample } from "../sample.ts";
import { parseBox } from "./box-text.ts";
import type { SceneFamily, SceneQuestion } from "./question.ts";
import { type BaselineScore, textOnlyBaseline } from "./text-only-baseline.ts";
import { script, style } from "./viewer-page.ts";

/** Any dataset's samples; those of {@link scenes} also say what kind of question each is. */
export type ViewedSample = Sample & { readonly questions?: readonly SceneQuestion[] };

/** Larger pictures are shrunk to this before they go into the page. */
const LARGEST_SIDE = 448;

/**
 * The page's HTML. Pictures are inside it. A box in a question or answer is drawn over the picture while the pointer is on it.
 * @throws {ImageError} for a picture that cannot be read.
 */
export async function sceneViewer(samples: readonly ViewedSample[], title = "Samples"): Promise<string> {
  const cards: string[] = [];
  for (const sample of samples) cards.push(await card(sample));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<style>${style}</style>
<header>
<h1>${escaped(title)}</h1>
${summary(samples)}
</header>
<main>
${cards.join("\n")}
</main>
<script>${script}</script>
</html>
`;
}

async function card(sample: ViewedSample): Promise<string> {
  const pictures: string[] = [];
  for (const input of sample.images) {
    const { width, height, data } = await decodeImage(input);
    const png = await sharp(data, { raw: { width, height, channels: 3 } })
      .resize(LARGEST_SIDE, LARGEST_SIDE, { fit: "inside", withoutEnlargement: true })
      .png()
      .toBuffer();
    const source = `data:image/png;base64,${png.toString("base64")}`;
    pictures.push(`<div class="picture"><img src="${source}" alt="" title="${width} × ${height}"><i></i></div>`);
  }
  const families = (sample.questions ?? []).map(({ family }) => family);
  return `<article data-families="${families.join(" ")}">${pictures.join("")}<h2>${escaped(sample.id)}</h2>${turns(sample)}</article>`;
}

function turns({ conversations, questions }: ViewedSample): string {
  const rows: string[] = [];
  for (let i = 0; i < conversations.length; i += 2) {
    const [question = "", answer = ""] = [conversations[i]?.value.replace("<image>", "").trim(), conversations[i + 1]?.value];
    const tag = questions?.[i / 2];
    const box = parseBox(answer) ?? parseBox(question);
    const kind = tag === undefined ? "" : `<b class="${tag.spatial ? "spatial" : "other"}">${tag.family}</b> `;
    const where = box === null ? "" : ` data-box="${box.join(" ")}" tabindex="0"`;
    rows.push(`<dt${where}>${kind}${escaped(question)}</dt><dd${where}>${escaped(answer)}</dd>`);
  }
  return `<dl>${rows.join("")}</dl>`;
}

/** How often each family is asked, and how far one gets without the pictures. */
function summary(samples: readonly ViewedSample[]): string {
  const tagged = samples.map(({ questions = [] }) => ({ questions }));
  const all = tagged.flatMap(({ questions }) => questions);
  const size = `${samples.length} samples, ${samples.reduce((sum, { conversations }) => sum + conversations.filter(({ from }) => from === "human").length, 0)} questions`;
  if (all.length === 0) return `<p>${size}.</p>`;
  const baseline = textOnlyBaseline(tagged);
  const families = [...new Map(all.map((question) => [question.family, question])).values()]
    .sort((a, b) => Number(a.spatial) - Number(b.spatial) || a.family.localeCompare(b.family))
    .map(({ family, spatial }) => chip(family, spatial ? "spatial" : "other", baseline.families[family]));
  return `<p>${size}. Beside each family: how many of its questions are here, and how many of them can be guessed from the question alone
(every other sample is guessed from the rest; with few samples that means little). <span class="spatial">Spatial</span> families ask where things are.</p>
<p class="families">${chip("", "", baseline.all)}${families.join("")}</p>`;
}

/** A button that shows only the samples with questions of a family. */
function chip(family: SceneFamily | "", kind: string, score: BaselineScore | undefined): string {
  const { asked, share } = score ?? { asked: 0, share: 0 };
  return `<button class="${kind}" data-family="${family}"><b>${family === "" ? "all" : family}</b> ${asked}, guessed ${percent(share)}</button>`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
