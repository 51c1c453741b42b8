// Draws the charts of a run without a page, each as an SVG image.
"use strict";

// Nothing is animated, so nothing waits.
globalThis.setTimeout ??= () => 0;
globalThis.clearTimeout ??= () => undefined;

const PAPER = {
  ink: "#1d2126", faint: "#6a737d", rule: "#e4e7eb", paper: "#ffffff", fault: "#c92a2a", font: "sans-serif",
  palette: ["#1c7ed6", "#e8590c", "#2f9e44", "#9c36b5", "#e03131", "#0c8599", "#f08c00", "#495057"],
};

function plots(run, width, height) {
  return charts(run, PAPER).map(({ id, title, option }) => {
    const legend = option.legend?.show === true;
    const chart = vendor.echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
    chart.setOption({
      ...option,
      backgroundColor: PAPER.paper,
      tooltip: { show: false },
      title: { text: title, left: 12, top: 10, textStyle: { color: PAPER.ink, fontSize: 15, fontWeight: "normal", fontFamily: PAPER.font } },
      legend: { ...option.legend, left: 8, top: 34 },
      grid: { ...option.grid, top: legend ? 84 : 62, bottom: 16 },
    });
    const svg = chart.renderToSVGString();
    chart.dispose();
    return { name: id, title, svg };
  });
}
