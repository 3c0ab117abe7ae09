// Draws the charts of a lab's page. Runs in the browser, behind uPlot; what is drawn stands in the page as JSON.
(() => {
  const { projectors, charts } = JSON.parse(document.getElementById("lab").textContent);
  const place = document.getElementById("charts");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = (value) => (value == null ? "–" : String(Number(value.toPrecision(4))));
  const percent = (value) => (value == null ? "–" : `${(100 * value).toFixed(1)} %`);

  /** Points at the same number of tokens stand side by side. */
  const apart = (x, index) => x * 2 ** ((index - (projectors.length - 1) / 2) * 0.05);

  const columnsOf = ({ x, series, lines }) => {
    const shifted = series.map(({ projector, points }) =>
      points.map((point) => ({ ...point, x: x === "tokens" ? apart(point.x, projector) : point.x })).sort((a, b) => a.x - b.x),
    );
    const xs = [...new Set(shifted.flat().map((point) => point.x))].sort((a, b) => a - b);
    const columns = shifted.map((points) => {
      const at = new Map(points.map((point) => [point.x, point.y]));
      return xs.map((value) => at.get(value) ?? null);
    });
    return { shifted, data: [xs, ...columns, ...lines.map(({ y }) => xs.map(() => y))] };
  };

  /** A bar from low to high for every point that has them. */
  const bars = (chart, shifted) => (plot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([]); // the baselines' is still set
    for (const [i, points] of shifted.entries()) {
      if (!plot.series[i + 1].show) continue;
      ctx.strokeStyle = colour(`--series${chart.series[i].projector % 8}`);
      for (const { x, low, high } of points) {
        if (low === undefined) continue;
        const at = plot.valToPos(x, "x", true);
        ctx.beginPath();
        ctx.moveTo(at, plot.valToPos(low, "y", true));
        ctx.lineTo(at, plot.valToPos(high, "y", true));
        ctx.stroke();
      }
    }
    ctx.restore();
  };

  const draw = (chart, box) => {
    const { shifted, data } = columnsOf(chart);
    const tokens =
      chart.x === "tokens" ? [...new Set(chart.series.flatMap(({ points }) => points.map((point) => point.x)))].sort((a, b) => a - b) : [];
    const accuracy = chart.x !== "steps";
    const ends = shifted
      .flat()
      .flatMap(({ y, low, high }) => [y, low ?? y, high ?? y])
      .concat(chart.lines.map(({ y }) => y));
    const [least, most] = [Math.min(...ends), Math.max(...ends)];
    const room = 0.06 * (most - least || 1);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const edges = [data[0][0], data[0].at(-1)];
    const options = {
      width: box.clientWidth,
      height: 260,
      scales: {
        x: {
          time: false,
          ...(chart.x === "tokens" && { distr: 3, log: 2, range: [edges[0] / 1.2, edges[1] * 1.2] }),
          ...(chart.x === "seconds" && { range: [0, edges[1] * 1.1] }),
        },
        y: { range: [least - room, most + room] },
      },
      axes: [
        {
          ...axis,
          ...(chart.x === "tokens" ? { splits: () => tokens, values: (_, ticks) => ticks.map(String), filter: (_, ticks) => ticks } : {}),
        },
        { ...axis, size: 58, values: (_, ticks) => ticks.map((tick) => (accuracy ? `${Math.round(100 * tick)} %` : short(tick))) },
      ],
      series: [
        { label: chart.x, value: (_, value) => short(value) },
        ...chart.series.map(({ projector }) => ({
          label: projectors[projector],
          stroke: colour(`--series${projector % 8}`),
          width: 1.5,
          spanGaps: true,
          points: { show: accuracy, size: 7, fill: colour(`--series${projector % 8}`) },
          value: (_, value) => (accuracy ? percent(value) : short(value)),
        })),
        ...chart.lines.map(({ label }, i) => ({
          label,
          stroke: colour("--soft"),
          width: 1,
          dash: i === 0 ? [6, 4] : [2, 4],
          points: { show: false },
          value: (_, value) => percent(value),
        })),
      ],
      hooks: { draw: [bars(chart, shifted)] },
    };
    return new uPlot(options, data, box);
  };

  const boxes = charts.map(({ title, of }) => {
    const figure = document.createElement("figure");
    const heading = document.createElement("h3");
    const small = document.createElement("small");
    const box = document.createElement("div");
    small.textContent = of;
    heading.append(`${title} `, small);
    box.className = "plot";
    box.role = "img";
    box.ariaLabel = `${title}: ${of}`;
    figure.append(heading, box);
    place.append(figure);
    return box;
  });
  let plots = [];
  const drawAll = () => {
    for (const plot of plots) plot.destroy();
    plots = charts.map((chart, i) => draw(chart, boxes[i]));
  };
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  new ResizeObserver(() => {
    for (const [i, box] of boxes.entries())
      if (plots[i].width !== box.clientWidth) plots[i].setSize({ width: box.clientWidth, height: 260 });
  }).observe(document.querySelector("main"));
})();
