// Draws what stands in the page as JSON; ECharts comes after the first paint, and the table says the same without it.
const own = document.currentScript;
const drawn = JSON.parse(document.getElementById("mrr-data").textContent);
const place = document.getElementById("mrr-chart");

const amount = new Intl.NumberFormat("en", { style: "currency", currency: (drawn.currency ?? "usd").toUpperCase() });
const minor = 10 ** amount.resolvedOptions().maximumFractionDigits;
const said = (value) => amount.format(value / minor);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--tblr-${name}`).trim();
const COLOURS = { new: "green", reactivation: "teal", expansion: "azure", contraction: "orange", churn: "red" };

function looks() {
  const ink = getComputedStyle(place).color;
  const faint = getComputedStyle(place.closest(".card")).borderTopColor;
  return { ink, axis: { axisLabel: { color: ink }, axisLine: { lineStyle: { color: faint } }, splitLine: { lineStyle: { color: faint } } } };
}

// From what was to what is: each bar begins where the one before ended. The axis begins near the lowest, so that steps show.
function waterfall() {
  const { ink, axis } = looks();
  let at = 0;
  const bars = drawn.steps.map(({ name, value }, place) => {
    const whole = place === 0 || place === drawn.steps.length - 1;
    const from = whole ? 0 : at;
    at = whole ? value : at + value;
    return { name, value, from, to: at, whole };
  });
  const ends = bars.flatMap((one) => (one.whole ? [one.to] : [one.from, one.to]));
  const low = Math.min(...ends), high = Math.max(...ends);
  const floor = low > 0 ? Math.max(0, low - (high - low || high) * 0.6) : low;
  const shown = ({ value }) => {
    const bar = bars[value[3]];
    return `${bar.name}\n${said(bar.value)}`;
  };
  return {
    animation: false,
    aria: { enabled: true },
    grid: { left: 8, right: 8, top: 28, bottom: 8, containLabel: true },
    tooltip: { trigger: "item", renderMode: "richText", formatter: shown },
    xAxis: { type: "category", data: bars.map((one) => one.name), ...axis, splitLine: { show: false }, axisLabel: { color: ink, interval: 0, hideOverlap: true } },
    yAxis: { type: "value", min: floor, ...axis, axisLabel: { color: ink, formatter: said, showMinLabel: false } },
    series: [{
      type: "custom",
      data: bars.map((one, place) => [place, Math.max(floor, one.from), one.to, place]),
      encode: { x: 0, y: [1, 2] },
      renderItem: (_params, api) => {
        const bar = bars[api.value(3)];
        const [x, begin] = api.coord([api.value(0), api.value(1)]);
        const end = api.coord([api.value(0), api.value(2)])[1];
        const width = Math.min(72, api.size([1, 0])[0] * 0.62);
        const height = Math.max(1, Math.abs(end - begin));
        const fill = bar.whole ? colour("primary") : colour(COLOURS[bar.name] ?? "secondary");
        const words = width > 44 ? [{ type: "text", style: { text: said(bar.value), x, y: Math.min(begin, end) - 6, align: "center", verticalAlign: "bottom", fill: ink, fontSize: 11 } }] : [];
        return { type: "group", children: [{ type: "rect", shape: { x: x - width / 2, y: Math.min(begin, end), width, height, r: 2 }, style: { fill } }, ...words] };
      },
    }],
  };
}

function movements() {
  const { ink, axis } = looks();
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

// Ratios of one by month, each a line.
function lines() {
  const { ink, axis } = looks();
  const percent = (value) => `${(value * 100).toFixed(1)} %`;
  const shades = ["red", "azure", "orange"];
  return {
    animation: false,
    aria: { enabled: true },
    grid: { left: 8, right: 8, top: 48, bottom: 8, containLabel: true },
    legend: { top: 0, textStyle: { color: ink }, type: "scroll" },
    tooltip: { trigger: "axis", renderMode: "richText", valueFormatter: (value) => (value == null ? "–" : percent(value)) },
    xAxis: { type: "category", data: drawn.periods, ...axis },
    yAxis: { type: "value", ...axis, axisLabel: { color: ink, formatter: percent } },
    series: drawn.lines.map(({ name, values }, place) => ({
      name, type: "line", data: values, itemStyle: { color: colour(shades[place]) }, lineStyle: { width: 2 }, emphasis: { disabled: true },
    })),
  };
}

const options = { waterfall, lines }[drawn.shape] ?? movements;
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
