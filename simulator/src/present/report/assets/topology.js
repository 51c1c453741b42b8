// The overlay, drawn: nodes placed by forces between linked ones, or around the root of the tree.
"use strict";

// Forces are let work for so many rounds in all, however many nodes there are, and then stop.
const ROUNDS = { few: 200, many: 80 };
const FEW = 400;

// `drawn` is what the report has of the overlay over time. Returns what the page's controls need.
function topology(drawn, element, look) {
  const chart = vendor.echarts.init(element, null, { renderer: "canvas" });
  const state = { frame: drawn.moments.length - 1, layout: "forces", color: drawn.regions.length ? "region" : "degree", tree: true, others: true };
  const forces = layoutOf(drawn);
  let colors = look();

  function draw() {
    const at = state.frame;
    const degrees = decoded(drawn.degrees[at]);
    const links = linksAt(drawn, at);
    const places = state.layout === "tree" ? around(drawn, degrees, links) : forces.places;
    chart.setOption(option(drawn, state, { degrees, links, places, box: boxOf(places, element) }, colors), { notMerge: false, replaceMerge: ["series", "visualMap"] });
  }

  const ready = forces.run(draw);
  return {
    chart, state, draw, ready,
    restyle() {
      colors = look();
      draw();
    },
    resize() {
      chart.resize();
      draw();
    },
    shown: () => ({ links: linksAt(drawn, state.frame), degrees: decoded(drawn.degrees[state.frame]) }),
  };
}

// The links at a moment as [one end, other end, whether the tree has it].
function linksAt(drawn, frame) {
  const links = [];
  for (let at = 0; at < drawn.links.length; at += 5) {
    const [a, b, from, until, tree] = drawn.links.slice(at, at + 5);
    if (from <= frame && frame < until) links.push([a, b, tree === 1]);
  }
  return links;
}

// The number of neighbours of each node that has started, or null where it does not run any more.
function decoded(text) {
  return [...text].map((letter) => (letter === "." ? null : letter === "+" ? 36 : parseInt(letter, 36)));
}

// The last tree holds the picture together; other links count for as long as they last. Places stay
// while time passes.
function layoutOf(drawn) {
  const lasts = new Map();
  for (let at = 0; at < drawn.links.length; at += 5) {
    const [a, b, from, until, tree] = drawn.links.slice(at, at + 5);
    const key = a * drawn.nodes.length + b;
    const last = tree === 1 && until === drawn.moments.length ? 1 : 0;
    lasts.set(key, (lasts.get(key) ?? 0) + last + (0.03 * (until - from)) / drawn.moments.length);
  }
  // They begin around the root of the last tree, which forces alone would not untangle in time.
  const end = drawn.moments.length - 1;
  const first = around(drawn, decoded(drawn.degrees[end]), linksAt(drawn, end));
  const nodes = first.map((place) => (place === null ? {} : { x: place[0], y: place[1] }));
  const links = [...lasts].map(([key, weight]) => ({
    source: Math.floor(key / nodes.length), target: key % nodes.length, weight,
  }));
  const simulation = vendor.forceSimulation(nodes)
    .force("links", vendor.forceLink(links).distance(20).strength((link) => Math.min(1, link.weight)))
    .force("charge", vendor.forceManyBody().strength(-40).distanceMax(600).theta(1))
    .force("x", vendor.forceX().strength(0.02))
    .force("y", vendor.forceY().strength(0.02))
    .stop();
  const places = [];
  const keep = () => nodes.forEach((node, at) => { places[at] = [node.x, node.y]; });
  const rounds = nodes.length <= FEW ? ROUNDS.few : ROUNDS.many;
  simulation.alphaDecay(1 - Math.pow(0.001, 1 / rounds));
  keep();
  // A few rounds at a time, so that the page answers meanwhile.
  const run = (draw) => new Promise((done) => {
    let left = rounds;
    const some = () => {
      const pause = performance.now() + 40;
      do simulation.tick(); while (--left > 0 && performance.now() < pause);
      keep();
      draw();
      if (left > 0) setTimeout(some); else done();
    };
    some();
  });
  return { places, run };
}

// Around the root of the tree, a ring a hop. What the tree does not reach from there has roots of its
// own; nodes without any link of the tree are left out.
function around(drawn, degrees, links) {
  const peers = drawn.nodes.map(() => []);
  for (const [a, b, tree] of links) {
    if (tree) {
      peers[a].push(b);
      peers[b].push(a);
    }
  }
  const seen = new Set();
  const root = { children: [] };
  for (const one of drawn.nodes.keys()) {
    if (seen.has(one) || degrees[one] === null || peers[one].length === 0) continue;
    const start = middleOf(peers, one);
    seen.add(start);
    const first = { at: start, children: [] };
    root.children.push(first);
    for (let queue = [first], next = 0; next < queue.length; next++) {
      for (const peer of peers[queue[next].at]) {
        if (seen.has(peer)) continue;
        seen.add(peer);
        const child = { at: peer, children: [] };
        queue[next].children.push(child);
        queue.push(child);
      }
    }
  }
  const places = drawn.nodes.map(() => null);
  const top = root.children.length === 1 ? root.children[0] : root;
  const tree = vendor.hierarchy(top);
  const layout = vendor.tree().size([2 * Math.PI, 100 * Math.max(1, tree.height)]).separation((a, b) => (a.parent === b.parent ? 1 : 2) / Math.max(1, a.depth));
  layout(tree).each((node) => {
    if (node.data.at !== undefined) places[node.data.at] = [node.y * Math.sin(node.x), -node.y * Math.cos(node.x)];
  });
  return places;
}

// The node in the middle of the longest way through the tree that this one belongs to.
function middleOf(peers, one) {
  const farthest = (start) => {
    const before = new Map([[start, null]]);
    let last = start;
    for (const node of before.keys()) {
      last = node;
      for (const peer of peers[node]) if (!before.has(peer)) before.set(peer, node);
    }
    const way = [];
    for (let node = last; node !== null; node = before.get(node)) way.push(node);
    return way;
  };
  const way = farthest(farthest(one)[0]);
  return way[Math.floor(way.length / 2)];
}

// Bounds around all places, of the shape of the element.
function boxOf(places, element) {
  const there = places.filter((place) => place !== null && Number.isFinite(place[0]));
  const bounds = (axis) => there.reduce(([least, most], p) => [Math.min(least, p[axis]), Math.max(most, p[axis])], [Infinity, -Infinity]);
  const [[left, right], [bottom, top]] = there.length ? [bounds(0), bounds(1)] : [[0, 1], [0, 1]];
  const [width, height] = [element.clientWidth || 1, element.clientHeight || 1];
  const unit = 1.06 * Math.max((right - left) / width, (top - bottom) / height, 1e-6);
  const [x, y] = [(left + right) / 2, (bottom + top) / 2];
  return { x: [x - (unit * width) / 2, x + (unit * width) / 2], y: [y - (unit * height) / 2, y + (unit * height) / 2] };
}

function option(drawn, state, { degrees, links, places, box }, look) {
  const there = (at) => places[at] !== null;
  const ways = (wanted) => links.filter(([a, b, tree]) => tree === wanted && there(a) && there(b)).map(([a, b]) => ({ coords: [places[a], places[b]] }));
  const value = { region: (at) => drawn.region[at], degree: (at) => degrees[at], load: (at) => drawn.load[at] }[state.color];
  // Nodes that have not started yet have no degree, and are not drawn.
  const up = drawn.nodes.keys().filter((at) => Number.isInteger(degrees[at]) && there(at)).map((at) => ({ value: [...places[at], value(at), at] }));
  const down = drawn.nodes.keys().filter((at) => degrees[at] === null && there(at)).map((at) => ({ value: [...places[at], 0, at] }));
  const size = drawn.nodes.length <= 100 ? 12 : drawn.nodes.length <= 600 ? 7 : drawn.nodes.length <= 1200 ? 5.5 : 4;
  const way = (name, data, style, z) => ({ name, type: "lines", coordinateSystem: "cartesian2d", data, silent: true, progressive: 0, lineStyle: style, z });
  const series = [
    way("other links", state.others ? ways(false) : [], { color: look.link, width: 0.8, opacity: drawn.nodes.length <= 600 ? 0.55 : 0.35, curveness: 0 }, 1),
    way("tree", state.tree ? ways(true) : [], { color: look.tree, width: drawn.nodes.length <= 600 ? 2.2 : 1.4, opacity: 0.9, curveness: 0 }, 2),
    { name: "not running", type: "scatter", data: [...down], symbolSize: size * 0.8, itemStyle: { color: "transparent", borderColor: look.faint, borderWidth: 1, opacity: 0.5 }, z: 3 },
    { name: "nodes", type: "scatter", data: [...up], symbolSize: size, z: 4, itemStyle: { borderColor: look.paper, borderWidth: 0.5 } },
  ];
  const hidden = (bounds) => ({ type: "value", show: false, min: bounds[0], max: bounds[1] });
  return {
    animation: false,
    textStyle: { color: look.ink, fontFamily: look.font },
    grid: { left: 0, right: 0, top: 0, bottom: 0 },
    xAxis: hidden(box.x),
    yAxis: hidden(box.y),
    dataZoom: [0, 1].map((axis) => ({ type: "inside", [axis ? "yAxisIndex" : "xAxisIndex"]: 0, filterMode: "none", minSpan: 1 })),
    tooltip: { confine: true, backgroundColor: look.paper, textStyle: { color: look.ink }, formatter: ({ data }) => said(drawn, degrees, data.value[3]) },
    visualMap: scale(drawn, state, degrees, look),
    series,
  };
}

function scale(drawn, state, degrees, look) {
  const common = { seriesIndex: 3, dimension: 2, right: 12, top: 8, textStyle: { color: look.ink } };
  if (state.color === "region") {
    const pieces = drawn.regions.map((label, value) => ({ value, label, color: look.palette[value % look.palette.length] }));
    return [{ ...common, type: "piecewise", pieces }];
  }
  const values = (state.color === "load" ? drawn.load : degrees).filter((value) => value !== null);
  const [min, max] = [Math.min(...values), Math.max(...values)];
  return [{ ...common, type: "continuous", min: Math.min(min, max - 1), max, text: [state.color, ""], calculable: true, inRange: { color: look.ramp } }];
}

function said(drawn, degrees, at) {
  const degree = degrees[at];
  const lines = [`<b>node ${drawn.nodes[at]}</b>`];
  if (drawn.regions.length) lines.push(vendor.echarts.format.encodeHTML(drawn.regions[drawn.region[at]]));
  lines.push(degree === null ? "does not run" : `${degree === 36 ? "36 or more" : degree} neighbours`);
  lines.push(`${drawn.load[at]} messages sent and handled in the whole run`);
  return lines.join("<br>");
}
