/** What a scene's parts are called, such that a name means one of them. */
import type { Candidate } from "./question.ts";
import { type BoundingBox, isHeldOut, type Pair, type Scene, type Thing } from "./scene.ts";

export interface Referent {
  /** The shortest name that means nothing else in the scene ("blue square", "small blue square", "sign", "red bar"); null if there is none. */
  readonly name: string | null;
  /** All that is to say about its looks: "small blue square". */
  readonly description: string;
  readonly box: BoundingBox;
  readonly boxVisible: boolean;
  readonly thing: Thing | null;
}

/** A referent that has a name. */
export type Named = Referent & { readonly name: string };

export function pairName({ color, shape }: Pair): string {
  return `${color} ${shape}`;
}

/** Things, sign and bars, in the scene's order. */
export function referents({ things, sign, bars }: Scene): readonly Referent[] {
  return [
    ...things.map((thing): Referent => {
      const name = shortest(things, thing, pairName);
      return { name, description: `${thing.size} ${pairName(thing)}`, box: thing.box, boxVisible: thing.boxVisible, thing };
    }),
    ...(sign === null ? [] : [{ name: "sign", description: "sign", box: sign.box, boxVisible: true, thing: null }]),
    ...bars.map(({ color, box }) => ({ name: `${color} bar`, description: `${color} bar`, box, boxVisible: true, thing: null })),
  ];
}

export function named(scene: Scene): readonly Named[] {
  return referents(scene).filter((referent): referent is Named => referent.name !== null);
}

/** `describe(thing)` if that means no other thing, else with the size before it, else null. */
export function shortest(things: readonly Thing[], thing: Thing, describe: (thing: Thing) => string): string | null {
  const alike = things.filter((other) => describe(other) === describe(thing));
  if (alike.length === 1) return describe(thing);
  return alike.filter(({ size }) => size === thing.size).length === 1 ? `${thing.size} ${describe(thing)}` : null;
}

/** That a colour and a shape are there together: what a name tells, and what color, shape and exist ask for. */
export function pairFact(pair: Pair): string {
  return `pair ${pairName(pair)}`;
}

export function sizeFact({ box }: Pick<Referent, "box">): string {
  return `size ${box}`;
}

/** A question whose words, or whose answer's, name the parts `involved`. */
export function candidate(
  [question, answer]: readonly [string, string],
  involved: readonly Pick<Referent, "thing">[],
  fact: string,
  alsoReveals: readonly string[] = [],
): Candidate {
  const things = involved.flatMap(({ thing }) => (thing === null ? [] : [thing]));
  return { question, answer, fact, reveals: [fact, ...alsoReveals, ...things.map(pairFact)], heldOut: things.some(isHeldOut) };
}

export function middle({ box }: Pick<Referent, "box">): readonly [number, number] {
  return [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
}
