// @ts-check
/** `npm run demo [-- --image FILE --prompt TEXT]`: installs what is missing, then runs examples/demo.ts from source. */
import { install } from "./install.mjs";
import { runSource } from "./run-source.mjs";

install();
process.exitCode = runSource("examples/demo.ts", process.argv.slice(2));
