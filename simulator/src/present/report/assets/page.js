// Fills the page from the data in it. Everything shown is set as text, never as markup.
"use strict";

const { run, about, drawn } = JSON.parse(document.getElementById("data").textContent);
const report = { charts: new Map(), topology: null, ready: Promise.resolve() };

function look() {
  const style = getComputedStyle(document.documentElement);
  const probe = document.createElement("span");
  document.body.append(probe);
  // Colours come as they are in this theme.
  const color = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const names = ["ink", "faint", "rule", "paper", "link", "tree", "fault"];
  const found = Object.fromEntries(names.map((name) => [name, color(name)]));
  probe.remove();
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return { ...found, font: style.fontFamily, palette: dark ? PALETTES.dark : PALETTES.light, ramp: dark ? ["#339af0", "#a5d8ff", "#fff3bf"] : ["#74c0fc", "#1c7ed6", "#0b2239"] };
}

function put(parent, tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  parent.append(element);
  return element;
}

function table(parent, heads, rows) {
  const inner = put(put(parent, "div", undefined, "scroll"), "table");
  const head = put(inner, "tr");
  heads.forEach((text) => put(head, "th", text));
  for (const cells of rows) {
    const row = put(inner, "tr");
    for (const cell of cells) {
      const [text, name] = Array.isArray(cell) ? cell : [cell];
      put(row, "td", text, name);
    }
  }
}

function section(place, title, note) {
  const element = put(document.getElementById(place), "section");
  put(element, "h2", title);
  if (note) put(element, "p", note, "note");
  return element;
}

const figure = (value, digits = 4) => (value === null || value === undefined ? "none" : Number(value.toFixed(digits)).toLocaleString("en", { maximumFractionDigits: digits }));
const share = (value) => (value === null ? "none" : `${figure(100 * value, 4)} %`);
const ms = (quantiles, count) => count === 0 ? "none" : [quantiles.p50, quantiles.p99, quantiles.max].map((s) => figure(1e3 * s, 1)).join(" / ");
const seconds = (at) => `${figure(at, 3)} s`;

function headline() {
  document.title = `${run.scenario} · murmurate-sim`;
  const header = document.querySelector("header");
  put(header, "h1", run.scenario);
  put(header, "p", run.description);
}

function verdicts() {
  const failed = run.verdicts.filter((verdict) => !verdict.holds).length;
  const all = run.verdicts.length;
  const element = section("first", "Assertions");
  if (all === 0) {
    put(element, "p", "The scenario asserts nothing.", "note");
    return;
  }
  put(element, "p", failed ? `${failed} of ${all} ${failed === 1 ? "fails" : "fail"}` : `all ${all} hold`, failed ? "fails" : "holds");
  table(element, ["assertion", "", "found", "at"], run.verdicts.map((v) => [
    v.assertion, v.holds ? ["✓ holds", "holds"] : ["✗ fails", "fails"],
    v.found === null ? "nothing there" : figure(v.found, 6), v.at === null ? "" : seconds(v.at),
  ]));
}

function whatWasRun() {
  const element = section("first", "What was run");
  const list = put(element, "dl");
  const sayings = [
    ["command", about.command], ["seed", String(run.seed)], ["digest", run.digest],
    ["strategies", about.strategies], ["nodes", `${figure(run.started_nodes)} started`],
    ["virtual time", seconds(run.simulated_seconds)], ["events", figure(run.events)], ["program", about.program],
  ];
  for (const [name, text] of sayings) {
    put(list, "dt", name);
    put(put(list, "dd"), "code", text);
  }
  const details = put(element, "details");
  put(details, "summary", "the scenario, with what was overridden");
  put(details, "pre", about.file);
}

function phases() {
  const rows = [
    ["from / until", (p) => `${seconds(p.from)} / ${seconds(p.until)}`], ["broadcasts", (p) => figure(p.broadcasts)],
    ["reliability", (p) => share(p.reliability)], ["least of a broadcast", (p) => share(p.least_reliability)],
    ["redundancy (RMR)", (p) => figure(p.rmr)], ["last delivery hop", (p) => figure(p.ldh, 2)],
    ["latency p50 / p99 / max, ms", (p) => ms(p.latency_seconds, p.latency_curve.length)], ["running nodes", (p) => figure(p.running_nodes)],
    ["mean degree", (p) => figure(p.mean_degree, 3)], ["clustering", (p) => figure(p.clustering, 5)],
    ["average shortest path", (p) => figure(p.average_shortest_path, 3) + (p.paths_exact ? "" : " (sampled)")],
    ["components", (p) => figure(p.components)], ["largest component", (p) => figure(p.largest_component)],
    ["asymmetric links", (p) => figure(p.asymmetric_links)],
  ];
  for (const { metric, unit } of run.metrics ?? []) {
    rows.push([`${metric}, ${unit}`, (p) => p.metrics[metric] === null ? "-" : figure(p.metrics[metric], 6)]);
  }
  table(section("rest", "Figures"), ["phase", ...run.phases.map((p) => p.phase)], rows.map(([name, of]) => [name, ...run.phases.map(of)]));
}

function regionTable() {
  for (const phase of run.phases.filter((p) => p.regions.length > 1 && p.regions.some((r) => r.deliveries))) {
    const element = section("rest", `Delivery latency per region, ${phase.phase}`, "p50 / p99 / max in ms, beside the best possible for the same deliveries; stretch is the mean in terms of the best mean.");
    table(element, ["region", "deliveries", "latency", "best possible", "stretch"], phase.regions.map((r) => [
      r.region, figure(r.deliveries), ms(r.latency_seconds, r.deliveries), r.best_seconds ? ms(r.best_seconds, r.deliveries) : "-", r.stretch === null ? "-" : figure(r.stretch, 2),
    ]));
  }
}

const quantiles = (q) => (q === null ? "-" : ms(q));

function classTable() {
  const classes = run.classes ?? [];
  if (classes.length === 0) return;
  const heads = ["class", "running nodes", "mean degree", "isolated", "deliveries", "reliability", "latency"];
  table(section("rest", "Classes of nodes", "Nodes and neighbours at the end, deliveries of the whole run; latency is p50 / p99 / max in ms."), heads, classes.map((c) => [
    c.class, figure(c.running_nodes), figure(c.mean_degree, 3), figure(c.isolated), figure(c.deliveries), share(c.reliability), quantiles(c.latency_seconds),
  ]));
}

function channelTable() {
  const channels = run.channels ?? [];
  if (channels.length === 0) return;
  const counts = [
    ["to send", "messages"], ["delivered", "delivered"], ["delivered again", "delivered_again"], ["delivered twice", "duplicates"],
    ["acknowledged", "acknowledged"], ["answered", "answered"], ["refused, no room", "refused"], ["gone", "gone"], ["timed out", "timed_out"],
    ["shed", "shed"], ["nobody there", "unreachable"], ["no outcome", "open"], ["frames sent again", "retransmitted"],
  ].filter(([, key]) => channels.some((channel) => channel[key] > 0));
  const rows = counts.map(([name, key]) => [name, ...channels.map((channel) => figure(channel[key]))]);
  rows.push(["latency", ...channels.map((c) => quantiles(c.latency_seconds))], ["there and back", ...channels.map((c) => quantiles(c.round_trip_seconds))]);
  table(section("rest", "Messages on channels", "Times are p50 / p99 / max in ms."), ["", ...channels.map((c) => c.channel)], rows);
}

function lookupTable() {
  if (!run.routing) return;
  const { lookups, found, not_found, latency_seconds, datagrams, delivered, lost } = run.routing;
  const rows = [["lookups", figure(lookups)], ["found", figure(found)], ["not found", figure(not_found)], ["time", quantiles(latency_seconds)]];
  if (datagrams > 0) rows.push(["datagrams", figure(datagrams)], ["delivered", figure(delivered)], ["told as lost", figure(lost)]);
  table(section("rest", "Lookups", "Times are p50 / p99 / max in ms."), ["", ""], rows);
}

function timeline() {
  if (run.timeline.length === 0) return;
  table(section("rest", "What happened"), ["fault", "kind", "at", "until", "struck"], run.timeline.map((f) => [
    f.fault, f.kind, seconds(f.at), f.until === null ? "" : seconds(f.until), figure(f.struck),
  ]));
}

function messages() {
  const element = section("rest", "Messages", `${figure(run.lost)} lost by the network, ${figure(run.shed)} shed by full queues, ${figure(run.duplicated)} brought twice.`);
  table(element, ["sent", "count", "bytes"], run.messages.filter((m) => m.count > 0).map((m) => [m.kind, figure(m.count), figure(m.bytes)]));
}

function drawCharts() {
  const place = document.querySelector(".figures");
  // Without a legend there is room above.
  const options = () => charts(run, look()).map(({ option, ...rest }) => ({
    ...rest, option: option.legend?.show ? option : { ...option, grid: { ...option.grid, top: 16 } },
  }));
  for (const { id, title, note, option } of options()) {
    const element = put(place, "figure");
    put(element, "h2", title);
    put(element, "p", note, "note");
    const box = put(element, "div", undefined, "chart");
    box.id = id;
    const chart = vendor.echarts.init(box);
    chart.setOption(option);
    report.charts.set(id, chart);
  }
  return () => options().forEach(({ id, option }) => report.charts.get(id).setOption(option));
}

function drawTopology() {
  const element = document.getElementById("overlay");
  const few = drawn.nodes.length < drawn.started;
  const sample = drawn.sample === null ? `${figure(drawn.nodes.length)} of ${figure(drawn.started)} nodes: the first to start.`
    : `A sample: ${figure(drawn.nodes.length)} of ${figure(drawn.started)} nodes, those nearest to node ${drawn.sample.center} at ${seconds(drawn.sample.at)}; links to others are not drawn.`;
  element.querySelector(".note").textContent = (few ? sample : `All ${figure(drawn.nodes.length)} nodes.`) + " Scroll to zoom, drag to move; the tree is the links that both ends push payloads over.";
  const shown = topology(drawn, document.getElementById("topology"), look);
  const slider = document.getElementById("time");
  slider.max = drawn.moments.length - 1;
  slider.value = shown.state.frame;
  const happened = (at) => run.timeline.filter((fault) => fault.at < at).map((fault) => `${fault.fault} (${seconds(fault.at)})`);
  const show = () => {
    shown.state.frame = Number(slider.value);
    const at = drawn.moments[shown.state.frame];
    document.getElementById("moment").textContent = seconds(at);
    const { links, degrees } = shown.shown();
    const running = degrees.filter((degree) => degree !== null).length;
    const tree = links.filter(([, , tree]) => tree).length;
    const said = [`${figure(running)} run`, `${figure(links.length)} links`, `${figure(tree)} of the tree`];
    const before = happened(at);
    if (before.length) said.push(`after ${before.slice(-3).join(", ")}`);
    document.getElementById("shown").textContent = said.join(" · ");
    shown.draw();
  };
  slider.addEventListener("input", show);
  const color = document.getElementById("color");
  for (const name of [...(drawn.regions.length ? ["region"] : []), "degree", "load"]) put(color, "option", name);
  color.addEventListener("input", () => { shown.state.color = color.value; shown.draw(); });
  const layout = document.getElementById("layout");
  layout.addEventListener("input", () => {
    shown.state.layout = layout.value;
    shown.chart.dispatchAction({ type: "dataZoom", batch: [0, 1].map((dataZoomIndex) => ({ dataZoomIndex, start: 0, end: 100 })) });
    shown.draw();
  });
  for (const id of ["tree", "others"]) {
    const box = document.getElementById(id);
    box.addEventListener("input", () => { shown.state[id] = box.checked; shown.draw(); });
  }
  let playing = null;
  const play = document.getElementById("play");
  const stop = () => { clearInterval(playing); playing = null; play.textContent = "▶ play"; };
  play.addEventListener("click", () => {
    if (playing !== null) return stop();
    if (Number(slider.value) === Number(slider.max)) slider.value = 0;
    play.textContent = "❚❚ pause";
    playing = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) === Number(slider.max)) stop();
    }, 600);
  });
  show();
  return shown;
}

const PALETTES = {
  light: ["#1c7ed6", "#e8590c", "#2f9e44", "#9c36b5", "#e03131", "#0c8599", "#f08c00", "#495057"],
  dark: ["#4dabf7", "#ffa94d", "#69db7c", "#da77f2", "#ff8787", "#3bc9db", "#ffd43b", "#adb5bd"],
};

headline();
verdicts();
whatWasRun();
phases();
regionTable();
classTable();
timeline();
messages();
channelTable();
lookupTable();
const recolor = drawCharts();
report.topology = drawTopology();
report.ready = report.topology.ready;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  recolor();
  report.topology.restyle();
});
addEventListener("resize", () => {
  report.charts.forEach((chart) => chart.resize());
  report.topology.resize();
});
