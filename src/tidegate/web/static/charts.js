// Draws what stands in the page as JSON; ECharts comes after the first paint, and the table says the same without it.
const own = document.currentScript;
const drawn = JSON.parse(document.getElementById("mrr-data").textContent);
const place = document.getElementById("mrr-chart");

// As the tables say it: 1,234.50 USD. Axes say whole units, and the currency once.
const unit = (drawn.currency ?? "usd").toUpperCase();
const digits = new Intl.NumberFormat("en", { style: "currency", currency: unit }).resolvedOptions().maximumFractionDigits;
const amount = new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const rounded = new Intl.NumberFormat("en", { maximumFractionDigits: digits });
const minor = 10 ** digits;
const bare = (value) => amount.format(value / minor);
const said = (value) => `${bare(value)} ${unit}`;
const onAxis = (value) => rounded.format(value / minor);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--tblr-${name}`).trim();
const titled = (name) => name[0].toUpperCase() + name.slice(1);
const COLOURS = { new: "green", reactivation: "teal", expansion: "azure", contraction: "orange", churn: "red" };

function looks() {
  const ink = getComputedStyle(place).color;
  const faint = getComputedStyle(place.closest(".card")).borderTopColor;
  return { ink, axis: { axisLabel: { color: ink }, axisLine: { lineStyle: { color: faint } }, splitLine: { lineStyle: { color: faint } } } };
}

// What an axis is in, above it.
const named = (ink, name = unit) => ({ name, nameTextStyle: { color: ink, align: "right" }, nameGap: 10 });

// From nothing to what was gained in all: each bar begins where the one before ended, and the axis at zero.
function waterfall() {
  const { ink, axis } = looks();
  let at = 0;
  const moved = drawn.steps.slice(1, -1).map(({ name, value }) => ({ name: titled(name), fill: COLOURS[name] ?? "secondary", value, from: at, to: (at += value) }));
  const bars = [...moved, { name: "Net new", fill: "primary", value: at, from: 0, to: at }];
  const signed = (value) => (value > 0 ? `+${bare(value)}` : bare(value));
  return {
    animation: false,
    aria: { enabled: true },
    grid: { left: 8, right: 8, top: 28, bottom: 20, containLabel: true },
    tooltip: { trigger: "item", renderMode: "richText", formatter: ({ value }) => `${bars[value[3]].name}\n${signed(bars[value[3]].value)} ${unit}` },
    xAxis: { type: "category", data: bars.map((one) => one.name), ...axis, splitLine: { show: false }, axisTick: { show: false }, axisLabel: { color: ink, interval: 0, hideOverlap: true }, axisLine: { onZero: true, lineStyle: { color: ink } }, position: "bottom" },
    yAxis: { type: "value", ...axis, ...named(ink), axisLabel: { color: ink, formatter: onAxis } },
    series: [{
      type: "custom",
      data: bars.map((one, place) => [place, one.from, one.to, place]),
      encode: { x: 0, y: [1, 2] },
      renderItem: (_params, api) => {
        const bar = bars[api.value(3)];
        const [x, begin] = api.coord([api.value(0), api.value(1)]);
        const end = api.coord([api.value(0), api.value(2)])[1];
        const width = Math.min(72, api.size([1, 0])[0] * 0.62);
        const height = Math.max(1, Math.abs(end - begin));
        const down = bar.value < 0;
        const words = width > 44 ? [{ type: "text", style: { text: signed(bar.value), x, y: down ? Math.max(begin, end) + 6 : Math.min(begin, end) - 6, align: "center", verticalAlign: down ? "top" : "bottom", fill: ink, fontSize: 11 } }] : [];
        return { type: "group", children: [{ type: "rect", shape: { x: x - width / 2, y: Math.min(begin, end), width, height, r: 2 }, style: { fill: colour(bar.fill) } }, ...words] };
      },
    }],
  };
}

// MRR above, what moved it below: each has its own scale and its own zero.
function movements() {
  const { ink, axis } = looks();
  const bars = drawn.kinds.map(({ kind, values }) => ({
    name: titled(kind), type: "bar", stack: "moved", xAxisIndex: 1, yAxisIndex: 1, data: values, itemStyle: { color: colour(COLOURS[kind]) },
  }));
  const shade = colour("primary");
  const area = { name: "MRR", type: "line", data: drawn.mrr, symbol: "none", itemStyle: { color: shade }, lineStyle: { color: shade, width: 2 }, areaStyle: { color: shade, opacity: 0.12 } };
  const months = { type: "category", data: drawn.periods, ...axis, splitLine: { show: false } };
  const amounts = { type: "value", ...axis, axisLabel: { color: ink, formatter: onAxis } };
  return {
    animation: false,
    aria: { enabled: true },
    axisPointer: { link: [{ xAxisIndex: "all" }] },
    grid: [{ left: 72, right: 12, top: 52, height: "32%" }, { left: 72, right: 12, top: "58%", bottom: 28 }],
    legend: { top: 0, textStyle: { color: ink }, type: "scroll" },
    // Text, not HTML: a tooltip with style attributes is against the page's policy.
    tooltip: { trigger: "axis", renderMode: "richText", valueFormatter: said },
    xAxis: [
      { ...months, gridIndex: 0, axisLabel: { show: false }, axisTick: { show: false } },
      { ...months, gridIndex: 1, axisLine: { onZero: true, lineStyle: { color: ink } }, axisTick: { show: false }, axisLabel: { color: ink }, position: "bottom" },
    ],
    yAxis: [
      { ...amounts, gridIndex: 0, min: 0, splitNumber: 3, ...named(ink) },
      { ...amounts, gridIndex: 1, splitNumber: 4, ...named(ink, `${unit} a month`) },
    ],
    series: [area, ...bars].map((one) => ({ ...one, emphasis: { disabled: true } })),
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
