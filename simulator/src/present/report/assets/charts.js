// The charts of a run, as options of ECharts. The page draws them, and so does `murmurate-sim plot`.
"use strict";

// `run` is what `murmurate-sim run --json` prints. `look` says how things look: `ink`, `faint`,
// `rule`, `fault` and a `palette` of colours.
function charts(run, look) {
  const all = [reliability, redundancy, latency, regions, healing, traffic, degrees, load];
  return all.map((chart) => chart(run, look)).filter((chart) => chart !== null);
}

function reliability(run, look) {
  const points = run.series.map((p) => [p.at, p.reliability]);
  if (!points.some(([, y]) => y !== null)) return null;
  const least = Math.min(...points.filter(([, y]) => y !== null).map(([, y]) => y));
  return {
    id: "reliability",
    title: "Reliability",
    note: "Mean share of the running nodes that broadcasts reached in the end, by when they were published.",
    option: {
      ...overTime(run, look, 1),
      yAxis: [axis(look, { min: Math.max(0, Math.floor((least - 0.01) * 20) / 20), max: 1, axisLabel: { formatter: percent } })],
      series: [line("reliability", points, { markLine: faults(run, look), markArea: lasting(run, look) })],
    },
  };
}

function redundancy(run, look) {
  const points = run.series.map((p) => [p.at, p.rmr]);
  if (!points.some(([, y]) => y !== null)) return null;
  return {
    id: "redundancy",
    title: "Redundancy and hops",
    note: "Payload messages beyond those a tree would need (RMR), and the last delivery hop, by when broadcasts were published.",
    option: {
      ...overTime(run, look, 2),
      yAxis: [axis(look, { name: "RMR", min: 0 }), axis(look, { name: "hops", min: 0, splitLine: { show: false } })],
      series: [
        line("RMR", points, { markLine: faults(run, look), markArea: lasting(run, look) }),
        line("last delivery hop", run.series.map((p) => [p.at, p.ldh]), { yAxisIndex: 1, lineStyle: { width: 1, type: "dashed" } }),
      ],
    },
  };
}

function latency(run, look) {
  const phases = run.phases.filter((phase) => phase.latency_curve.length > 0);
  if (phases.length === 0) return null;
  const most = Math.max(...phases.map((phase) => phase.latency_seconds.max));
  const middle = Math.min(...phases.map((phase) => phase.latency_seconds.p50));
  const wide = most > 30 * middle;
  const curve = (phase) => {
    const points = phase.latency_curve.map(([seconds, share]) => [1e3 * seconds, share]);
    return [[points[0][0], 0], ...points];
  };
  return {
    id: "latency",
    title: "Delivery latency",
    note: "Share of the deliveries that took at most so long, from publish to delivery.",
    option: {
      ...frame(look),
      legend: legend(look, phases.length),
      xAxis: axis(look, { name: "ms", nameLocation: "middle", nameGap: 24, type: wide ? "log" : "value", min: wide ? undefined : 0, splitLine: { show: false } }),
      yAxis: axis(look, { min: 0, max: 1, axisLabel: { formatter: percent } }),
      series: phases.map((phase) => line(phase.phase, curve(phase), { step: "end", showSymbol: false })),
    },
  };
}

function regions(run, look) {
  const phase = run.phases.filter((p) => p.regions.length > 1 && p.regions.some((r) => r.deliveries > 0)).pop();
  if (phase === undefined) return null;
  const ms = (of) => phase.regions.map((region) => (of(region) === undefined ? null : 1e3 * of(region)));
  const bars = [
    ["best possible, median", (r) => r.best_seconds?.p50],
    ["median", (r) => r.latency_seconds.p50],
    ["best possible, p99", (r) => r.best_seconds?.p99],
    ["p99", (r) => r.latency_seconds.p99],
  ];
  const [best, taken] = [look.faint, look.palette[0]];
  const colors = [best, taken, best, taken];
  const known = bars.map(([name, of], at) => ({ name, data: ms(of), at })).filter((bar) => bar.data.some((y) => y !== null));
  return {
    id: "regions",
    title: "Delivery latency per region",
    note: `Of the phase ${phase.phase}, beside the best possible for the same deliveries: the shortest path over the matrix.`,
    option: {
      ...frame(look),
      legend: legend(look, known.length),
      xAxis: axis(look, { type: "category", data: phase.regions.map((region) => region.region), axisLabel: { interval: 0, rotate: phase.regions.length > 4 ? 20 : 0 } }),
      yAxis: axis(look, { name: "ms", min: 0 }),
      series: known.map(({ name, data, at }) => ({
        name, type: "bar", data, itemStyle: { color: colors[at], opacity: at < 2 ? 1 : 0.6, decal: undefined },
      })),
    },
  };
}

function healing(run, look) {
  const points = run.overlay_series;
  if (points.length < 2) return null;
  const share = (of) => points.map((p) => [p.at, p.running_nodes ? of(p) / p.running_nodes : null]);
  return {
    id: "healing",
    title: "The overlay as it breaks and heals",
    note: "Share of the running nodes in the largest component and without a neighbour, and the number of components.",
    option: {
      ...overTime(run, look, 3),
      yAxis: [
        axis(look, { min: 0, max: 1, axisLabel: { formatter: percent } }),
        axis(look, { name: "components", min: 0, minInterval: 1, splitLine: { show: false } }),
      ],
      series: [
        line("in the largest component", share((p) => p.largest_component), { markLine: faults(run, look), markArea: lasting(run, look) }),
        line("without a neighbour", share((p) => p.isolated)),
        line("components", points.map((p) => [p.at, p.components]), { yAxisIndex: 1, lineStyle: { width: 1, type: "dashed" } }),
      ],
    },
  };
}

function traffic(run, look) {
  const starts = [0, ...run.series.map((p) => p.at)];
  const rate = (of) => run.series.map((p, at) => [p.at, of(p) / (p.at - starts[at])]);
  return {
    id: "traffic",
    title: "Traffic",
    note: "Messages sent and neighbours gained and lost in a second of virtual time, and the nodes that run.",
    option: {
      ...overTime(run, look, 3),
      yAxis: [axis(look, { name: "a second", min: 0, axisLabel: { formatter: short } }), axis(look, { name: "nodes", min: 0, splitLine: { show: false }, axisLabel: { formatter: short } })],
      series: [
        line("messages", rate((p) => p.messages), { markLine: faults(run, look), markArea: lasting(run, look) }),
        line("neighbours gained and lost", rate((p) => p.neighbor_ups + p.neighbor_downs)),
        line("running nodes", run.series.map((p) => [p.at, p.running_nodes]), { yAxisIndex: 1, lineStyle: { width: 1, type: "dashed" } }),
      ],
    },
  };
}

function degrees(run, look) {
  const phases = run.phases.filter((phase) => phase.running_nodes > 0);
  if (phases.length === 0) return null;
  const most = Math.max(...phases.map((phase) => phase.degrees.length));
  const filled = (degree) => phases.some((phase) => (phase.degrees[degree] ?? 0) > 0);
  const least = Math.max(0, [...Array(most).keys()].find(filled) - 1);
  const names = [...Array(most - least).keys()].map((at) => String(at + least));
  return {
    id: "degrees",
    title: "Degrees",
    note: "Share of the running nodes that have so many neighbours, at the end of each phase.",
    option: {
      ...frame(look),
      legend: legend(look, phases.length),
      xAxis: axis(look, { type: "category", data: names, name: "neighbours", nameLocation: "middle", nameGap: 24, splitLine: { show: false } }),
      yAxis: axis(look, { min: 0, axisLabel: { formatter: percent } }),
      series: phases.map((phase) => ({
        name: phase.phase, type: "bar", barMaxWidth: 40,
        data: names.map((degree) => (phase.degrees[Number(degree)] ?? 0) / phase.running_nodes),
      })),
    },
  };
}

function load(run, look) {
  if (!run.load) return null;
  const curve = ({ curve }) => [[curve[0][0], 0], ...curve];
  return {
    id: "load",
    title: "Load per node",
    note: "Share of the nodes that sent or handled at most so many messages in the whole run.",
    option: {
      ...frame(look),
      legend: legend(look, 2),
      xAxis: axis(look, { name: "messages", nameLocation: "middle", nameGap: 24, min: 0, splitLine: { show: false }, axisLabel: { formatter: short, hideOverlap: true } }),
      yAxis: axis(look, { min: 0, max: 1, axisLabel: { formatter: percent } }),
      series: [
        line("sent", curve(run.load.sent), { step: "end", showSymbol: false }),
        line("handled", curve(run.load.received), { step: "end", showSymbol: false }),
      ],
    },
  };
}

function frame(look) {
  return {
    animation: false,
    color: look.palette,
    textStyle: { color: look.ink, fontFamily: look.font },
    grid: { left: 12, right: 24, top: 44, bottom: 12, outerBoundsMode: "same", outerBoundsContain: "all" },
    tooltip: { trigger: "axis", confine: true, valueFormatter: shown, backgroundColor: look.paper, textStyle: { color: look.ink } },
  };
}

function overTime(run, look, lines) {
  return {
    ...frame(look),
    legend: legend(look, lines),
    xAxis: axis(look, { name: "s", nameLocation: "middle", nameGap: 24, min: 0, max: run.simulated_seconds, splitLine: { show: false } }),
  };
}

function legend(look, entries) {
  return { show: entries > 1, top: 0, type: "scroll", textStyle: { color: look.ink }, pageTextStyle: { color: look.ink } };
}

function axis(look, more) {
  const { axisLabel, splitLine, ...rest } = more;
  return {
    type: "value",
    nameTextStyle: { color: look.faint },
    axisLine: { lineStyle: { color: look.faint } },
    axisLabel: { color: look.ink, ...axisLabel },
    splitLine: { lineStyle: { color: look.rule }, ...splitLine },
    ...rest,
  };
}

function line(name, data, more) {
  return { name, type: "line", data, symbol: "circle", symbolSize: 3, showSymbol: data.length <= 120, lineStyle: { width: 2 }, ...more };
}

// A mark where each fault strikes. Those of one moment share it.
function faults(run, look) {
  const moments = new Map();
  for (const { fault, at } of run.timeline) moments.set(at, [...(moments.get(at) ?? []), fault]);
  // Of very many only the marks are shown, without their names.
  const named = moments.size <= 8;
  const data = [...moments].map(([at, names]) => ({ xAxis: at, name: names.join(", ") }));
  return {
    symbol: "none", silent: true, data,
    lineStyle: { color: look.fault, type: "dashed", width: 1 },
    label: { show: named, formatter: ({ name }) => brief(name), position: "insideEndBottom", color: look.fault, backgroundColor: look.paper, padding: 2 },
  };
}

// As much of a name as a chart is high.
function brief(name) {
  return name.length > 26 ? `${name.slice(0, 25)}…` : name;
}

// What lasts is a strip.
function lasting(run, look) {
  const data = run.timeline.filter((fault) => fault.until !== null)
    .map(({ at, until }) => [{ xAxis: at }, { xAxis: Math.min(until, run.simulated_seconds) }]);
  return { silent: true, data, itemStyle: { color: look.fault, opacity: 0.08 } };
}

function percent(share) {
  return `${Number((100 * share).toFixed(2))} %`;
}

function short(number) {
  const units = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const [size, unit] = units.find(([size]) => Math.abs(number) >= size) ?? [1, ""];
  return `${Number((number / size).toPrecision(3))}${unit}`;
}

function shown(number) {
  return typeof number === "number" ? String(Number(number.toPrecision(6))) : "none";
}
