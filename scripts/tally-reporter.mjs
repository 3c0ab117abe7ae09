// @ts-check
import { writeFileSync } from "node:fs";

/** Counts the outcomes of a vitest run into the file named by WAGGLE_TALLY, for scripts/test.mjs. */
export default class TallyReporter {
  /**
   * @param {readonly import("vitest/node").TestModule[]} modules
   * @param {readonly unknown[]} unhandled
   */
  onTestRunEnd(modules, unhandled) {
    const tally = { passed: 0, failed: unhandled.length, skipped: 0 };
    for (const module of modules) {
      tally.failed += module.errors().length; // the file did not load, or a hook at its top failed
      for (const suite of module.children.allSuites()) tally.failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed") tally.passed += 1;
        else if (state === "skipped") tally.skipped += 1;
        else tally.failed += 1;
      }
    }
    const file = process.env.WAGGLE_TALLY;
    if (file) writeFileSync(file, JSON.stringify(tally));
  }
}
