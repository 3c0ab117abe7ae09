/** Questions about where things are: every one that a scene allows with room to spare, each with its one answer. */
import { boxText } from "./box-text.ts";
import { CORNER_MARGIN } from "./place-things.ts";
import { type Candidate, numberWord } from "./question.ts";
import { candidate, middle, named, type Referent, referents, sizeFact } from "./referent.ts";
import type { Bar, BoundingBox, Scene } from "./scene.ts";

/** How much further one middle must be than another before we say so. */
export const RELATION_MARGIN = 0.1;
/** How much nearer the nearest thing must be than the next, between middles and between edges. */
export const NEAREST_MARGIN = 0.06;
/** How far from the line between two middles a third may be to be between them, and how near no other may be. */
export const BETWEEN_INSIDE = 0.07;
export const BETWEEN_OUTSIDE = 0.2;
/** Between the middles of neighbours in a caption, which goes from left to right. */
export const ORDER_MARGIN = 0.03;
/** In units of the picture: the smallest difference between two bars that are compared. */
export const BAR_MARGIN = 0.06;

/** "top left" and so on, or null near the lines that part the corners. */
export function corner(part: Pick<Referent, "box">): string | null {
  const [x, y] = middle(part);
  if (Math.min(Math.abs(x - 0.5), Math.abs(y - 0.5)) < CORNER_MARGIN - 1e-9) return null;
  return `${y < 0.5 ? "top" : "bottom"} ${x < 0.5 ? "left" : "right"}`;
}

export function whereQuestions(scene: Scene): Candidate[] {
  if (scene.kind === "chart") return [];
  return named(scene).flatMap((part) => {
    const answer = corner(part);
    if (answer === null) return [];
    return [`In which corner is the ${part.name}?`, `Where is the ${part.name}?`].map((question) =>
      candidate([question, answer], [part], `where ${part.box}`),
    );
  });
}

export function relationQuestions(scene: Scene): Candidate[] {
  return pairs(named(scene)).flatMap(([a, b]) => {
    const [dx, dy] = difference(a, b);
    const ask = (relation: string, ahead: number, axis: string): Candidate[] => {
      if (Math.abs(ahead) < RELATION_MARGIN) return [];
      const texts = [`Is the ${a.name} ${relation} the ${b.name}?`, ahead > 0 ? "yes" : "no"] as const;
      return [candidate(texts, [a, b], `${axis} ${[a.name, b.name].sort()}`)];
    };
    const sideways = [...ask("left of", dx, "x"), ...ask("right of", -dx, "x")];
    // the middles of bars have heights too, but nobody would say that a bar is above another
    return scene.kind === "chart" ? sideways : [...sideways, ...ask("above", dy, "y"), ...ask("below", -dy, "y")];
  });
}

export function nearestQuestions(scene: Scene): Candidate[] {
  if (scene.kind === "chart" || scene.sign !== null) return [];
  const parts = referents(scene);
  return named(scene).flatMap((part) => {
    const others = parts.filter(({ box }) => box !== part.box);
    const byMiddle = nearest(others, (other) => Math.hypot(...difference(part, other)));
    const byEdge = nearest(others, (other) => gap(part.box, other.box));
    if (others.length < 2 || byMiddle === null || byMiddle !== byEdge || byMiddle.name === null) return [];
    return [candidate([`What is closest to the ${part.name}?`, byMiddle.name], [part, byMiddle], `near ${part.box}`)];
  });
}

function nearest(others: readonly Referent[], distance: (other: Referent) => number): Referent | null {
  const [first, second] = others.map((other) => ({ other, away: distance(other) })).sort((a, b) => a.away - b.away);
  return first !== undefined && second !== undefined && second.away - first.away >= NEAREST_MARGIN ? first.other : null;
}

export function betweenQuestions(scene: Scene): Candidate[] {
  if (scene.kind === "chart" || scene.sign !== null) return [];
  const parts = referents(scene);
  return pairs(named(scene)).flatMap(([a, b]) => {
    const others = parts.filter(({ box }) => box !== a.box && box !== b.box).map((part) => ({ part, ...position(a, b, part) }));
    const inside = others.filter(({ along, aside }) => along > 0.3 && along < 0.7 && aside < BETWEEN_INSIDE);
    const near = others.filter(({ along, aside }) => along > 0 && along < 1 && aside < BETWEEN_OUTSIDE);
    const [found] = inside;
    if (found === undefined || near.length > 1 || found.part.name === null) return [];
    const texts = [`What is between the ${a.name} and the ${b.name}?`, found.part.name] as const;
    return [candidate(texts, [a, b, found.part], `between ${[a.name, b.name].sort()}`)];
  });
}

/** Where `part` is on the way from a to b (0 at a, 1 at b), and how far aside. */
function position(a: Referent, b: Referent, part: Referent): { readonly along: number; readonly aside: number } {
  const [x, y] = difference(a, b);
  const [px, py] = difference(a, part);
  const length = Math.hypot(x, y);
  return { along: (px * x + py * y) / length ** 2, aside: Math.abs(px * y - py * x) / length };
}

/** Honeybee's words for finding a region (RefCOCO as it was trained on). */
export function boxQuestions(scene: Scene): Candidate[] {
  return named(scene)
    .filter(({ boxVisible }) => boxVisible)
    .map((part) => {
      const question = `Provide the bounding box coordinate of the region this sentence describes. ${part.name}`;
      return candidate([question, boxText(part.box)], [part], `region ${part.box}`, [`where ${part.box}`]);
    });
}

/** Honeybee's words for describing a region (Visual Genome as it was trained on). */
export function phraseQuestions(scene: Scene): Candidate[] {
  return referents(scene)
    .filter(({ boxVisible }) => boxVisible)
    .map((part) => {
      const question = `Provide a short description for this region. ${boxText(part.box)}`;
      return candidate([question, part.description], [part], `region ${part.box}`, [`where ${part.box}`, sizeFact(part)]);
    });
}

export function tallestQuestions({ bars }: Scene): Candidate[] {
  const byHeight = bars.map(({ color, box }) => ({ color, height: box[3] - box[1] })).sort((a, b) => b.height - a.height);
  const [tallest, shortest] = [byHeight[0], byHeight.at(-1)];
  if (tallest === undefined || shortest === undefined) return [];
  const extreme = (which: string, { color }: Pick<Bar, "color">): Candidate[] =>
    [`Which bar is the ${which}?`, `What color is the ${which} bar?`].map((question) => candidate([question, color], [], which));
  const comparisons = pairs(byHeight)
    .filter(([a, b]) => Math.abs(a.height - b.height) >= BAR_MARGIN)
    .map(([a, b]) => {
      const texts = [`Is the ${a.color} bar taller than the ${b.color} bar?`, a.height > b.height ? "yes" : "no"] as const;
      return candidate(texts, [], `taller ${[a.color, b.color].sort()}`);
    });
  return [...extreme("tallest", tallest), ...extreme("shortest", shortest), ...comparisons];
}

/** From top to bottom by halves, in each from left to right. */
export function captionQuestions(scene: Scene): Candidate[] {
  const text = scene.kind === "chart" ? chartCaption(scene) : sceneCaption(scene);
  return text === null ? [] : [candidate(["Describe the picture.", text], referents(scene), "caption")];
}

function chartCaption({ bars }: Scene): string {
  return `a bar chart with ${numberWord(bars.length)} bars, from left to right ${bars.map(({ color }) => color).join(", ")}.`;
}

function sceneCaption(scene: Scene): string | null {
  const parts = referents(scene).toSorted((a, b) => row(a) - row(b) || middle(a)[0] - middle(b)[0]);
  const ordered = parts.every((part, i) => {
    const next = parts[i + 1];
    return next === undefined || row(next) !== row(part) || middle(next)[0] - middle(part)[0] >= ORDER_MARGIN;
  });
  const places = parts.map(corner);
  if (!ordered || places.includes(null)) return null;
  const says = scene.sign === null ? "" : ` that says ${scene.sign.text}`;
  return `${parts.map(({ description, thing }, i) => `a ${description}${thing === null ? says : ""} at the ${places[i]}`).join(", ")}.`;
}

function row(part: Referent): number {
  return middle(part)[1] < 0.5 ? 0 : 1;
}

/** From a's middle to b's. */
function difference(a: Referent, b: Referent): readonly [number, number] {
  const [[ax, ay], [bx, by]] = [middle(a), middle(b)];
  return [bx - ax, by - ay];
}

function gap(a: BoundingBox, b: BoundingBox): number {
  return Math.hypot(Math.max(0, a[0] - b[2], b[0] - a[2]), Math.max(0, a[1] - b[3], b[1] - a[3]));
}

/** Every two of `items`, in both orders. */
function pairs<T>(items: readonly T[]): [T, T][] {
  return items.flatMap((a) => items.filter((b) => b !== a).map((b): [T, T] => [a, b]));
}
