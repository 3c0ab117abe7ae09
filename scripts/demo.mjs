// @ts-check
/**
 * `npm run demo [-- --image FILE --prompt TEXT]`: installs what is missing, then runs examples/demo.ts from source;
 * with `--box TEXT`, examples/box.ts.
 */
import { install } from "./install.mjs";
import { runSource } from "./run-source.mjs";

install();
const options = process.argv.slice(2);
const program = options.some((option) => /^--box(=|$)/.test(option)) ? "box" : "demo";
process.exitCode = runSource(`examples/${program}.ts`, options);
