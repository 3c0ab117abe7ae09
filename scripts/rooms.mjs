// @ts-check
/** The packages as their package.json files describe them, and the floor plan they have to fit in. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { root } from "./install.mjs";

/**
 * @typedef {object} Room
 * @property {string} folder
 * @property {string} name
 * @property {string} description
 * @property {number} floor
 * @property {readonly string[]} below folders of the packages it depends on
 */

/** The plan: arrows point to a lower floor only. @type {readonly (readonly string[])[]} */
const floors = [
  [],
  ["graph", "checkpoint", "image", "text"],
  ["nn", "runtime", "data"],
  ["vision", "projectors", "language", "generation"],
  ["mllm"],
  ["train", "tasks", "mini"],
  ["eval"],
  ["cli", "server"],
];

/** All packages, ground floor first. @returns {Room[]} */
export function readPackages() {
  return readdirSync(`${root}/packages`)
    .filter((folder) => existsSync(`${root}/packages/${folder}/package.json`))
    .map((folder) => {
      const { name, description, dependencies = {} } = JSON.parse(readFileSync(`${root}/packages/${folder}/package.json`, "utf8"));
      const below = Object.keys(dependencies).flatMap((dependency) => (dependency.startsWith("@waggle/") ? dependency.slice(8) : []));
      return { folder, name, description, floor: floors.findIndex((rooms) => rooms.includes(folder)), below };
    })
    .sort((a, b) => a.floor - b.floor || (floors[a.floor] ?? []).indexOf(a.folder) - (floors[b.floor] ?? []).indexOf(b.folder));
}

/** The drawing: one line per package, top floor first. @param {readonly Room[]} packages */
export function rooms(packages) {
  const order = packages.map(({ folder }) => folder);
  return [...packages]
    .sort((a, b) => b.floor - a.floor)
    .map(({ floor, folder, below }) => {
      const arrows = [...below].sort((a, b) => order.indexOf(b) - order.indexOf(a)).join(" ");
      return `floor ${floor}   ${folder.padEnd(11)} ${arrows && `→ ${arrows}`}`.trimEnd();
    })
    .join("\n");
}
