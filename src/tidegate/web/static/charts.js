// Draws what stands in the page as JSON; ECharts comes after the first paint, and the table says the same without it.
const own = document.currentScript;
const drawn = JSON.parse(document.getElementById("mrr-data").textContent);
const place = document.getElementById("mrr-chart");

const amount = new Intl.NumberFormat("en", { style: "currency", currency: drawn.currency.toUpperCase() });
const minor = 10 ** amount.resolvedOptions().maximumFractionDigits;
const said = (value) => amount.format(value / minor);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--tblr-${name}`).trim();
const COLOURS = { new: "green", reactivation: "teal", expansion: "azure", contraction: "orange", churn: "red" };

function options() {
  const ink = getComputedStyle(place).color;
  const faint = getComputedStyle(place.closest(".card")).borderTopColor;
  const axis = { axisLabel: { color: ink }, axisLine: { lineStyle: { color: faint } }, splitLine: { lineStyle: { color: faint } } };
  const bars = drawn.kinds.map(({ kind, values }) => ({
    name: kind, type: "bar", stack: "moved", data: values, itemStyle: { color: colour(COLOURS[kind]) },
  }));
  const line = { name: "MRR", type: "line", yAxisIndex: 1, data: drawn.mrr, itemStyle: { color: ink }, lineStyle: { color: ink, width: 2 } };
  return {
    animation: false,
    aria: { enabled: true },
    grid: { left: 8, right: 8, top: 48, bottom: 8, containLabel: true },
    legend: { top: 0, textStyle: { color: ink }, type: "scroll" },
    // Text, not HTML: a tooltip with style attributes is against the page's policy.
    tooltip: { trigger: "axis", renderMode: "richText", valueFormatter: said },
    xAxis: { type: "category", data: drawn.periods, ...axis },
    yAxis: [
      { type: "value", ...axis, axisLabel: { color: ink, formatter: said } },
      { type: "value", ...axis, axisLabel: { color: ink, formatter: said }, splitLine: { show: false } },
    ],
    series: [...bars, line].map((one) => ({ ...one, emphasis: { disabled: true } })),
  };
}

const library = document.createElement("script");
library.src = own.dataset.echarts;
library.addEventListener("load", () => {
  const chart = echarts.init(place, null, { renderer: "canvas" });
  chart.setOption(options());
  new ResizeObserver(() => chart.resize()).observe(place);
  new MutationObserver(() => chart.setOption(options(), true)).observe(document.documentElement, {
    attributeFilter: ["data-bs-theme"],
  });
});
document.head.append(library);
