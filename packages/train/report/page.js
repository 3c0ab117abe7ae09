// Draws the curves of a run's page. Runs in the browser, behind uPlot; the numbers stand in the page as JSON.
(() => {
  const { stages, steps, validation } = JSON.parse(document.getElementById("run").textContent);
  const present = [...new Set(steps.stage)];
  const sync = uPlot.sync("steps");
  let plots = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const stageColour = (name) => colour(`--series${stages.findIndex((stage) => stage.name === name) % 6}`);

  /** Four digits at most. */
  const short = (value) => {
    if (value == null) return "–";
    const [size, rounded] = [Math.abs(value), Number(value.toPrecision(4))];
    return size !== 0 && (size < 0.01 || size >= 1e6) ? rounded.toExponential() : String(rounded);
  };

  /** The mean over about a fiftieth of the stage around each step, so that the line does not lag behind. */
  const smooth = (values) => {
    const first = values.findIndex((value) => value != null);
    const count = values.filter((value) => value != null).length;
    const reach = Math.round(count / 100);
    const sums = [0];
    for (const value of values) sums.push(sums.at(-1) + (value ?? 0));
    return values.map((value, i) => {
      if (value == null) return null;
      const near = Math.min(reach, i - first, first + count - 1 - i);
      return (sums[i + near + 1] - sums[i - near]) / (2 * near + 1);
    });
  };

  /** Every stage has its own line, so the curve breaks where the stage changes. */
  const linesOf = (column) => {
    return present.flatMap((name) => {
      const values = steps[column].map((value, i) => (steps.stage[i] === name ? value : null));
      const count = values.filter((value) => value != null).length;
      const line = { label: name, stroke: stageColour(name), width: 1.75, value: (_, value) => short(value), points: { show: count < 30 } };
      if (column === "lr" || count < 100) return [{ line, values }];
      return [
        { line: { ...line, alpha: 0.35, width: 1, points: { show: false } }, values },
        { line: { ...line, class: "smoothed" }, values: smooth(values) },
      ];
    });
  };

  const validationOf = () => {
    const at = new Map(validation.map(({ step, loss }) => [step, loss]));
    const points = { show: true, size: 8, width: 2, stroke: colour("--text"), fill: colour("--card") };
    const line = { label: "validation", stroke: colour("--text"), width: 0, paths: () => null, points, value: (_, value) => short(value) };
    return { line, values: steps.step.map((step) => at.get(step) ?? null) };
  };

  const draw = (box) => {
    const { column } = box.dataset;
    const lines = linesOf(column);
    if (column === "loss" && validation.length > 0) lines.push(validationOf());
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const options = {
      width: box.clientWidth,
      height: 240,
      cursor: { sync: { key: sync.key }, focus: { prox: 16 } },
      scales: { x: { time: false }, y: column === "tokensPerSecond" ? { range: (_, __, most) => [0, most * 1.05] } : {} },
      axes: [
        { ...axis, space: 44, size: 36, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick : "")) },
        { ...axis, size: 64, values: (_, ticks) => ticks.map(short) },
      ],
      series: [{ label: "step" }, ...lines.map(({ line }) => line)],
    };
    return new uPlot(options, [steps.step, ...lines.map(({ values }) => values)], box);
  };

  const boxes = [...document.querySelectorAll(".plot")];
  const drawAll = () => {
    for (const plot of plots) plot.destroy();
    plots = boxes.map(draw);
  };
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  new ResizeObserver(() => {
    for (const [i, box] of boxes.entries()) {
      if (plots[i].width !== box.clientWidth) plots[i].setSize({ width: box.clientWidth, height: 240 });
    }
  }).observe(document.querySelector("main"));
})();
