// What the report and the plots need of the libraries, and no more.
import * as echarts from "echarts/core";
import { BarChart, LineChart, LinesChart, ScatterChart } from "echarts/charts";
import {
  DataZoomComponent,
  GridComponent,
  LegendComponent,
  MarkAreaComponent,
  MarkLineComponent,
  TitleComponent,
  TooltipComponent,
  VisualMapComponent,
} from "echarts/components";
import { CanvasRenderer, SVGRenderer } from "echarts/renderers";
import { forceLink, forceManyBody, forceSimulation, forceX, forceY } from "d3-force";
import { hierarchy, tree } from "d3-hierarchy";

echarts.use([
  BarChart, LineChart, LinesChart, ScatterChart,
  DataZoomComponent, GridComponent, LegendComponent, MarkAreaComponent, MarkLineComponent,
  TitleComponent, TooltipComponent, VisualMapComponent,
  CanvasRenderer, SVGRenderer,
]);

export { echarts, forceLink, forceManyBody, forceSimulation, forceX, forceY, hierarchy, tree };
