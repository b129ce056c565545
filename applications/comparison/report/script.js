"use strict";
// The data are in the page; every text goes through textContent or `plain`, never into HTML.
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const runs = data.runs;
const $ = (id) => document.getElementById(id);
const isSearch = data.score === "validation_accuracy";

// Okabe and Ito's colours, which the colour-blind tell apart, a lighter set for dark pages.
const COLOURS = {
  light: ["#0072b2", "#d55e00", "#009e73", "#b8578f", "#c98a00", "#3a9bd9", "#7a6ad8", "#5b6673"],
  dark: ["#56b4e9", "#ff8f4d", "#2ecfa0", "#e79cc8", "#f0b93a", "#9bd3f5", "#a99cf5", "#c5cdd6"],
};
const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "x", "hexagon"];
const DASHES = ["solid", "dash", "dot", "dashdot"];
const TICKED = 8; // rows that are ticked at first

// ------------------------------------------------------------------------------------ numbers

const known = (value) => value !== null && value !== undefined;
const percent = (value) => (100 * value).toFixed(2);
const fixed = (digits) => (value) => value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
const whole = (value) => Math.round(value).toLocaleString("en");

function scaled(units) {
  return (value) => {
    let place = 0;
    while (Math.abs(value) >= 1000 && place < units.length - 1) { value /= 1000; place += 1; }
    const digits = place === 0 ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0;
    return value.toFixed(digits) + units[place];
  };
}
const count = scaled(["", "K", "M", "G", "T"]);
const bytes = scaled([" B", " kB", " MB", " GB"]);
const milliseconds = (value) => value.toFixed(value < 10 ? 2 : 1);

// key -> heading of the table, name in the selectors, how it is written, whether less is better
const QUANTITIES = {
  test_accuracy: ["Test accuracy, %", "test accuracy, %", percent, false],
  validation_accuracy: ["Validation, %", "validation accuracy, %", percent, false],
  macro_f1: ["Macro F1, %", "macro F1, %", percent, false],
  validation_macro_f1: ["Validation F1, %", "validation macro F1, %", percent, false],
  params: ["Parameters", "parameters", count, true],
  macs: ["MACs", "MACs", count, true, "Multiply-accumulates of one image"],
  fp32_bytes: ["fp32 size", "size in fp32", bytes, true, "4 bytes a parameter"],
  int8_bytes: ["int8 size", "size in int8, by arithmetic", bytes, true, "By arithmetic, no file was measured: 1 byte a kernel weight, 8 an output channel, normalisation folded"],
  file_bytes: ["On disk", "size of model.keras on disk", bytes, true, "The file model.keras"],
  latency_ms_p50: ["p50, ms", "latency p50, ms", milliseconds, true, "Median time of one image"],
  latency_ms_p95: ["p95, ms", "latency p95, ms", milliseconds, true, "95th percentile of the time of one image"],
  peak_activation_bytes: ["Peak activations", "peak activation memory", bytes, true, "Most memory that maps of one image need at once"],
  train_seconds: ["Training, s", "training time, s", whole, true],
  epochs: ["Epochs", "epochs", whole, true],
};
const present = (key) => runs.some((run) => known(run[key]));
const heading = (key) => QUANTITIES[key][0];
const title = (key) => QUANTITIES[key][1];
const written = (key, value) => (known(value) ? QUANTITIES[key][2](value) : "–");
const isShare = (key) => QUANTITIES[key][2] === percent;

// --------------------------------------------------------------------------------------- rows

// A row is a run or, where seeds are put together, a network: the runs that differ by their seeds.
const groups = [];
runs.forEach((run) => (groups[run.group] ||= []).push(run));
const networkName = (group) => {
  const one = group[0].config;
  const multipliers = [["alpha", "a"], ["rho", "r"]].filter(([key]) => known(one[key]) && one[key] !== 1).map(([key, letter]) => `${letter}${one[key]}`);
  return [one.arch, ...multipliers].join("-");
};
const names = groups.map(networkName);
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

function makeRow(key, name, members) {
  const row = { key, name, members, values: {}, low: {}, high: {} };
  for (const quantity of Object.keys(QUANTITIES)) {
    const values = members.map((run) => run[quantity]).filter(known);
    row.values[quantity] = values.length ? mean(values) : null;
    row.low[quantity] = values.length ? Math.min(...values) : null;
    row.high[quantity] = values.length ? Math.max(...values) : null;
  }
  return row;
}
const networkRows = groups.map((group, index) => {
  const unique = names.filter((name) => name === names[index]).length === 1;
  const single = group.length === 1 && !unique;
  return makeRow(`g${index}`, single ? group[0].name : unique ? names[index] : group.map((run) => run.name).join(", "), group);
});
const runRows = runs.map((run, index) => makeRow(`r${index}`, run.name, [run]));
const rows = () => ($("seeds").checked ? networkRows : runRows);

// Ticked rows have a place, and with it a colour that does not change while they are ticked.
const places = new Map();
function tick(row, on) {
  if (!on) { places.delete(row.key); return; }
  if (places.has(row.key)) return;
  const taken = new Set(places.values());
  let place = 0;
  while (taken.has(place)) place += 1;
  places.set(row.key, place);
}
const tickFirst = () => { places.clear(); rows().slice(0, TICKED).forEach((row) => tick(row, true)); };
const ticked = () => rows().filter((row) => places.has(row.key));
const colour = (row) => (places.has(row.key) ? COLOURS[theme()][places.get(row.key) % 8] : theme() === "dark" ? "#5a6572" : "#a9b3be");
const symbol = (row) => (places.has(row.key) ? SYMBOLS[places.get(row.key) % SYMBOLS.length] : "circle");

function shownRows() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = rows().filter((row) => {
    const text = [row.name, ...row.members.map((run) => `${run.name} ${run.arch} ${run.data}`)].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  if ($("onlyfront").checked) {
    const best = new Set(front(shown));
    shown = shown.filter((row) => best.has(row));
  }
  return shown;
}

// Rows that no other one beats in both, by rising cost.
function front(candidates) {
  const x = $("x").value, y = $("y").value;
  const able = candidates.filter((row) => known(row.values[x]) && known(row.values[y]));
  able.sort((a, b) => a.values[x] - b.values[x] || b.values[y] - a.values[y]);
  let best = -Infinity;
  return able.filter((row) => row.values[y] > best && ((best = row.values[y]), true));
}

// ---------------------------------------------------------------------------- small elements

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value; else made.setAttribute(name, value);
  }
  made.append(...children.filter(known));
  return made;
}
function options(id, entries) {
  $(id).replaceChildren(...entries.map(([value, text]) => element("option", { value }, text)));
}
const SHAPES = {
  circle: "M4 0a4 4 0 1 0 .01 0z", diamond: "M4-.6 8.6 4 4 8.6-.6 4z", square: "M.5.5h7v7h-7z", "triangle-up": "M4 0l4.4 7.6h-8.8z",
  cross: "M2.6 0h2.8v2.6H8v2.8H5.4V8H2.6V5.4H0V2.6h2.6z", "triangle-down": "M4 8l4.4-7.6h-8.8z",
  x: "M1.7-.2 4 2.1 6.3-.2 8.2 1.7 5.9 4 8.2 6.3 6.3 8.2 4 5.9 1.7 8.2-.2 6.3 2.1 4-.2 1.7z", hexagon: "M2 .5h4L8.2 4 6 7.5H2L-.2 4z",
};
const swatch = (row) => drawn(symbol(row), colour(row));
function drawn(shape, fill) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 8 8");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[shape]);
  path.setAttribute("fill", fill);
  svg.append(path);
  return svg;
}

// ------------------------------------------------------------------------------------- plots

const theme = () => document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Plotly reads some tags in texts: none of ours may come from a name.
const plain = (text) => String(text).replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);
const narrow = () => window.innerWidth < 560;

function draw(id, traces, layout) {
  const axis = { gridcolor: css("--grid"), zeroline: false, linecolor: css("--line"), tickcolor: css("--line"), automargin: true, title: { standoff: 12 } };
  const merged = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
    font: { family: getComputedStyle(document.body).fontFamily, size: narrow() ? 11 : 12.5, color: css("--muted") },
    margin: narrow() ? { l: 44, r: 12, t: 12, b: 42 } : { l: 56, r: 20, t: 32, b: 48 },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--muted"), activecolor: css("--accent") },
    hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink"), size: 12.5 }, align: "left" },
    ...layout,
    xaxis: { ...axis, ...layout.xaxis, title: { ...axis.title, ...layout.xaxis?.title } },
    yaxis: { ...axis, ...layout.yaxis, title: { ...axis.title, ...layout.yaxis?.title } },
  };
  Plotly.react(id, traces, merged, { responsive: true, displaylogo: false, displayModeBar: narrow() ? false : "hover", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] });
}

function axisOf(key, log, more = {}) {
  const axis = { title: { text: title(key) }, type: log ? "log" : "linear", ...more };
  if (!isShare(key) && !log) axis.exponentformat = "SI";
  if (log) Object.assign(axis, { dtick: isShare(key) ? undefined : "D2", exponentformat: "SI", tickformat: key.startsWith("latency") ? "" : "~s" });
  return axis;
}
const plotted = (key, value) => (isShare(key) && known(value) ? 100 * value : value);

function hover(row) {
  const lines = [`<b>${plain(row.name)}</b>`];
  if (row.members.length > 1) lines.push(...row.members.slice(0, 6).map((run) => plain(run.name)));
  for (const key of ["test_accuracy", "validation_accuracy", "params", "macs", "latency_ms_p50", "file_bytes"]) {
    if (known(row.values[key])) lines.push(`${title(key)}: ${written(key, row.values[key])}`);
  }
  return lines.join("<br>");
}

function drawScatter() {
  const x = $("x").value, y = $("y").value, size = $("bubble").value;
  const shown = shownRows().filter((row) => known(row.values[x]) && known(row.values[y]));
  const best = front(shown);
  const sizes = shown.map((row) => (size ? row.values[size] ?? 0 : 1));
  const largest = Math.max(...sizes, 1e-12);
  const named = { all: new Set(shown), front: new Set(best), none: new Set() }[$("names").value];
  const at = (key) => (row) => plotted(key, row.values[key]);
  const several = shown.some((row) => row.members.length > 1);
  const line = { type: "scatter", mode: "lines", x: best.map(at(x)), y: best.map(at(y)), line: { shape: "hv", color: css("--muted"), width: 1.5, dash: "dot" }, hoverinfo: "skip" };
  const bubbles = {
    type: "scatter", mode: "markers+text", x: shown.map(at(x)), y: shown.map(at(y)),
    text: shown.map((row) => (named.has(row) ? plain(row.name) : "")),
    textposition: shown.map((row) => (row === best[best.length - 1] && best.length > 1 ? "top left" : "top center")),
    textfont: { color: css("--ink"), size: 11.5 }, cliponaxis: false,
    customdata: shown.map(hover), hovertemplate: "%{customdata}<extra></extra>",
    error_y: several ? { type: "data", symmetric: false, thickness: 1, width: 3, color: css("--muted"),
      array: shown.map((row) => plotted(y, row.high[y] - row.values[y])), arrayminus: shown.map((row) => plotted(y, row.values[y] - row.low[y])) } : undefined,
    marker: {
      size: sizes.map((value) => (size ? 9 + 27 * Math.sqrt(value / largest) : 14)),
      color: shown.map(colour), symbol: shown.map(symbol), opacity: 0.88, line: { color: css("--card"), width: 1.5 },
    },
  };
  const values = shown.map(at(x));
  const span = Math.log10(Math.max(...values, 1) / Math.max(Math.min(...values), 1e-9)) || 1;
  const logx = $("logx").checked;
  const range = logx && shown.length ? [Math.log10(Math.min(...values)) - 0.12 * span - 0.08, Math.log10(Math.max(...values)) + 0.12 * span + 0.08] : undefined;
  draw("scatter", [line, bubbles], { xaxis: axisOf(x, logx, { range }), yaxis: axisOf(y, $("logy").checked) });
}

function drawCurves() {
  const key = $("curve").value, time = $("time").value, log = $("logcurve").checked;
  const share = key.endsWith("accuracy");
  const traces = [];
  let longest = 0;
  for (const row of ticked()) {
    for (const run of row.members) {
      const values = run.history[key];
      if (!values) continue;
      longest = Math.max(longest, values.length);
      let passed = 0;
      const x = time === "seconds" ? run.history.seconds.map((s) => (passed += s)) : values.map((_, index) => index + 1);
      traces.push({
        type: "scatter", mode: values.length < 2 ? "markers" : "lines", x, y: share ? values.map((v) => (known(v) ? 100 * v : v)) : values,
        line: { color: colour(row), width: row.members.length > 1 ? 1.4 : 2, dash: DASHES[Math.floor(places.get(row.key) / 8) % 4] }, marker: { color: colour(row) },
        hovertemplate: `<b>${plain(run.name)}</b><br>${time === "seconds" ? "%{x:.0f} s" : "epoch %{x}"}: %{y:.4~g}<extra></extra>`,
      });
    }
  }
  const text = CURVES.find(([name]) => name === key)?.[1] ?? "";
  draw("curveplot", traces, {
    xaxis: { title: { text: time === "seconds" ? "seconds of training" : "epoch" }, ...(time === "epoch" && longest < 12 ? { dtick: 1 } : {}) },
    yaxis: { title: { text: share ? `${text}, %` : text }, type: log ? "log" : "linear", exponentformat: "power" },
    annotations: traces.length ? [] : nothing("No row is ticked"),
  });
  legend("curvelegend", ticked().map((row) => [swatch(row), row.name]));
}
const legend = (id, entries) => $(id).replaceChildren(...entries.map((parts) => element("li", {}, ...parts)));
const nothing = (text) => [{ text, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }];

function drawMatrix(run) {
  const labels = data.labels[run.labels];
  const { classes, matrix } = run.confusion;
  const shown = classes.map((index) => plain(labels[index]));
  const shares = matrix.map((row) => { const sum = row.reduce((a, b) => a + b, 0); return row.map((n) => (sum ? n / sum : 0)); });
  const few = classes.length <= (narrow() ? 10 : 16);
  const dark = theme() === "dark";
  const ticks = classes.map((_, index) => index);
  const axis = { tickvals: ticks, ticktext: shown, showgrid: false, tickfont: { size: classes.length > 20 ? 8 : 11 } };
  draw("matrix", [{
    type: "heatmap", z: shares, x: ticks, y: ticks, text: matrix, texttemplate: few ? "%{text}" : undefined,
    customdata: matrix.map((row, i) => row.map((n, j) => `${n} × ${shown[i]} taken for ${shown[j]}`)), hovertemplate: "%{customdata}<extra></extra>",
    colorscale: dark ? [[0, "#1a2029"], [0.02, "#22384d"], [0.3, "#2b6a9b"], [1, "#8fd0ff"]] : [[0, "#f5f7f9"], [0.02, "#dcebf6"], [0.3, "#6bb0de"], [1, "#0b5a94"]],
    zmin: 0, zmax: 1, showscale: false, xgap: classes.length > 30 ? 0 : 1, ygap: classes.length > 30 ? 0 : 1,
  }], { xaxis: { ...axis, title: { text: "answer of the network" } }, yaxis: { ...axis, title: { text: "true class" }, autorange: "reversed" } });
  $("matrixnote").textContent = classes.length < labels.length ? `The ${classes.length} classes of ${labels.length} with the most mistakes.` : "Colour: share of the true class. Numbers: images.";
}

function drawMistakes() {
  const run = runs[$("tested").value];
  if (!run) return;
  drawMatrix(run);
  const labels = data.labels[run.labels];
  const mistakes = run.mistakes ?? [];
  const wrong = known(run.tested) ? `${Math.round((1 - run.test_accuracy) * run.tested)} of ${whole(run.tested)} test images are wrong. ` : "";
  $("mistakesnote").textContent = wrong + (run.unreadable ? `Their pictures can no longer be read: ${run.unreadable}` : mistakes.length ? "The surest of the wrong answers:" : "");
  $("grid").replaceChildren(...mistakes.map((mistake) => {
    const truth = labels[mistake.truth], answer = labels[mistake.predicted];
    const picture = mistake.image === null
      ? element("div", { className: "none" }, "no picture")
      : element("img", { src: data.images[mistake.image], alt: `${mistake.id}: ${truth}, taken for ${answer}`, loading: "lazy" });
    return element("figure", { title: mistake.id }, picture, element("figcaption", {}, element("b", {}, `${answer}, ${(100 * mistake.confidence).toFixed(1)} %`), `is ${truth}`));
  }));
}

const LAYER_COSTS = [["macs", "multiply-accumulates"], ["params", "parameters"], ["activation_bytes", "bytes of activations"]];
function drawLayers() {
  const run = runs[$("profiled").value];
  if (!run) return;
  const key = $("layercost").value, profile = data.profiles[run.profile];
  const kept = profile.name.map((_, index) => index).filter((index) => profile[key][index] > 0);
  const kinds = [...new Set(kept.map((index) => profile.type[index]))];
  const palette = COLOURS[theme()];
  const text = LAYER_COSTS.find(([name]) => name === key)[1];
  const total = profile[key].reduce((a, b) => a + b, 0);
  draw("layerplot", [{
    type: "bar", x: kept.map((_, index) => index), y: kept.map((index) => profile[key][index]),
    marker: { color: kept.map((index) => palette[kinds.indexOf(profile.type[index]) % 8]), line: { width: 0 } },
    customdata: kept.map((index) => `<b>${plain(profile.name[index])}</b><br>${plain(profile.type[index])}<br>${whole(profile[key][index])} ${text}<br>${((100 * profile[key][index]) / total).toFixed(1)} %`),
    hovertemplate: "%{customdata}<extra></extra>",
  }], {
    bargap: kept.length > 60 ? 0.1 : 0.25,
    xaxis: { tickvals: kept.length <= 40 ? kept.map((_, index) => index) : [], ticktext: kept.map((index) => plain(profile.name[index])), tickangle: -40, tickfont: { size: 10 }, showgrid: false, title: { text: kept.length <= 40 ? "" : "layers, from the input on" } },
    yaxis: { title: { text }, tickformat: "~s" },
  });
  legend("layerlegend", kinds.map((kind, index) => [drawn("square", palette[index % 8]), kind]));
}

// ------------------------------------------------------------------------------------- table

const COLUMNS = Object.keys(QUANTITIES).filter(present);
let order = { key: data.score, descending: true };

function compareRows(a, b) {
  const { key, descending } = order;
  if (key === "name") return (descending ? -1 : 1) * a.name.localeCompare(b.name, "en", { numeric: true });
  const one = a.values[key], other = b.values[key];
  if (!known(one) || !known(other)) return known(other) - known(one); // what is not known comes last
  return (descending ? -1 : 1) * (one - other);
}

// What makes the figures of a row mean less than they seem to.
function beware(row) {
  const said = [...new Set(row.members.flatMap((run) => run.remarks))];
  return said.length ? element("small", { className: "beware" }, said.join("; ")) : null;
}

function drawHead() {
  const cell = (key, text, hint, className) => {
    const active = order.key === key;
    const button = element("button", { type: "button", title: hint ?? "" }, text);
    button.addEventListener("click", () => {
      const descending = active ? !order.descending : key !== "name" && !QUANTITIES[key][3];
      order = { key, descending };
      drawTable();
      document.querySelector(`#table th[data-key="${key}"] button`).focus();
    });
    const sort = active ? (order.descending ? "descending" : "ascending") : "none";
    return element("th", { scope: "col", className, "aria-sort": sort, "data-key": key }, button);
  };
  const first = cell("name", $("seeds").checked && groups.length < runs.length ? "Network" : "Run", "", "first");
  document.querySelector("#table thead").replaceChildren(element("tr", {}, first, ...COLUMNS.map((key) => cell(key, heading(key), QUANTITIES[key][4], ""))));
}

function drawTable() {
  drawHead();
  const shown = shownRows().sort(compareRows);
  const best = {};
  for (const key of COLUMNS) {
    const values = rows().map((row) => row.values[key]).filter(known);
    best[key] = QUANTITIES[key][3] ? Math.min(...values) : Math.max(...values);
  }
  const spread = (row, key) => {
    if (row.members.length < 2 || row.low[key] === row.high[key] || !(isShare(key) || key === "latency_ms_p50")) return null;
    return element("span", { className: "spread" }, `${written(key, row.low[key])}–${written(key, row.high[key])}`);
  };
  document.querySelector("#table tbody").replaceChildren(...shown.map((row) => {
    const box = element("input", { type: "checkbox", checked: places.has(row.key) });
    box.addEventListener("change", () => { tick(row, box.checked); drawAll(); document.querySelector(`#table input[data-row="${row.key}"]`)?.focus(); });
    box.dataset.row = row.key;
    const seeds = row.members.length > 1 ? element("small", { className: "muted" }, ` ×${row.members.length}`) : null;
    const name = element("span", { title: row.members.map((run) => run.path).join("\n") }, row.name, seeds, beware(row));
    const first = element("th", { scope: "row", className: "first" }, element("label", { className: "run" }, box, swatch(row), name));
    const cells = COLUMNS.map((key) => {
      const isBest = rows().length > 1 && known(row.values[key]) && row.values[key] === best[key] && key !== "epochs";
      return element("td", { className: isBest ? "best" : "" }, written(key, row.values[key]), spread(row, key));
    });
    return element("tr", {}, first, ...cells);
  }));
  if (!shown.length) document.querySelector("#table tbody").append(element("tr", {}, element("td", { className: "empty", colSpan: COLUMNS.length + 1 }, "No row has these words.")));
  $("count").textContent = `${shown.length} of ${rows().length} rows`;
}

function drawDifferences() {
  const chosen = ticked();
  const text = (value) => (known(value) ? (typeof value === "object" ? JSON.stringify(value, null, 1) : String(value)) : "–");
  const keys = [...new Set(chosen.flatMap((row) => Object.keys(row.members[0].config)))];
  const values = (row, key) => [...new Set(row.members.map((run) => text(run.config[key])))].join(", ");
  const flat = [];
  for (const key of keys) {
    if (chosen.some((row) => values(row, key) !== values(chosen[0], key))) flat.push(key);
  }
  const table = $("differences");
  if (chosen.length < 2 || !flat.length) {
    const why = chosen.length < 2 ? "Tick two rows or more." : "These rows have the same options.";
    table.replaceChildren(element("tbody", {}, element("tr", {}, element("td", { className: "empty" }, why))));
    return;
  }
  const head = element("tr", {}, element("th", { scope: "col", className: "first" }, "Option"), ...chosen.map((row) => element("th", { scope: "col" }, row.name)));
  const body = flat.map((key) => element("tr", {}, element("th", { scope: "row", className: "first" }, key), ...chosen.map((row) => element("td", { className: "value" }, values(row, key)))));
  table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}

function drawPapers() {
  const PUBLISHED = { params: ["parameters", count], macs: ["multiply-accumulates", count] };
  const lines = [];
  for (const [arch, paper] of Object.entries(data.architectures)) {
    const mine = networkRows.filter((row) => row.members[0].arch === arch);
    const entries = Object.entries(paper.published);
    if (!entries.length) entries.push(["", null]);
    entries.forEach(([key, figure], index) => {
      const [text, write] = PUBLISHED[key] ?? [key.replace("_top", " top-"), (value) => `${value} %`];
      const own = key in PUBLISHED ? key : key.endsWith("top1") ? data.score : null;
      const measured = own ? mine.slice(0, 4).map((row) => [`${written(own, row.values[own])}${own === data.score ? " %" : ""}`, `${row.name}, ${row.members[0].input}, ${row.members[0].data}`]) : [];
      lines.push(element("tr", {},
        index ? null : element("th", { scope: "rowgroup", className: "first", rowSpan: entries.length }, arch),
        index ? null : element("td", { className: "wide", rowSpan: entries.length }, paper.paper, element("span", { className: "source" }, `at ${paper.input}, ${paper.classes} classes`)),
        element("td", {}, text),
        element("td", { className: "wide" }, figure ? write(figure[0]) : "no figure is recorded", figure ? element("span", { className: "source" }, figure[1]) : null),
        element("td", { className: "wide" }, ...measured.flatMap(([value, where]) => [element("div", {}, value), element("span", { className: "source" }, where)]))));
    });
  }
  const head = ["Architecture", "Paper", "Figure", "Published", isSearch ? "Measured (accuracy: validation)" : "Measured (accuracy: test)"];
  $("papers").replaceChildren(element("thead", {}, element("tr", {}, ...head.map((text, index) => element("th", { scope: "col", className: index ? "text" : "first" }, text)))), element("tbody", {}, ...lines));
}

// Each step below what it was made of, further in; what a step changed stands beside its figures.
function drawLineage() {
  const steps = data.lineage;
  const head = ["Network", "Made by", "Parameters", "Size", isSearch ? "Validation, %" : "Test accuracy, %"];
  const change = (step, key, write) => {
    const before = step.parent === null ? null : steps[step.parent][key];
    if (!known(before) || !known(step[key]) || before === step[key]) return null;
    return element("span", { className: "spread" }, write(step[key] - before, before));
  };
  const signed = (text) => (text.startsWith("-") ? `−${text.slice(1)}` : `+${text}`);
  const times = (difference, before) => `×${((before + difference) / before).toFixed(2)}`;
  const points = (difference) => signed((100 * difference).toFixed(2));
  const cell = (step, key, write, by) => element("td", {}, known(step[key]) ? write(step[key]) : "–", change(step, key, by));
  $("steps").replaceChildren(
    element("thead", {}, element("tr", {}, ...head.map((text, index) => element("th", { scope: "col", className: index > 1 ? "" : index ? "text" : "first" }, text)))),
    element("tbody", {}, ...steps.map((step) => element("tr", {},
      element("th", { scope: "row", className: "first step", title: step.path }, element("i", {}, step.depth ? `${"   ".repeat(step.depth - 1)}└─ ` : ""), step.name),
      element("td", { className: "text" }, [step.way, step.compared ? "" : "not compared"].filter(Boolean).join(", ")),
      cell(step, "params", count, times), cell(step, "bytes", bytes, times), cell(step, "accuracy", percent, points)))));
}

function drawHighlights() {
  const list = networkRows, key = data.score;
  const by = (quantity, better) => list.filter((row) => known(row.values[quantity])).sort((a, b) => better * (a.values[quantity] - b.values[quantity]))[0];
  const best = by(key, -1);
  const tiles = [[isSearch ? "Best validation accuracy" : "Best test accuracy", best && `${percent(best.values[key])} %`, best]];
  const close = list.filter((row) => best && row.values[key] >= best.values[key] - 0.01);
  for (const [quantity, text] of [["macs", "Fewest MACs"], ["params", "Fewest parameters"], ["latency_ms_p50", "Fastest"]]) {
    const least = close.filter((row) => known(row.values[quantity])).sort((a, b) => a.values[quantity] - b.values[quantity])[0];
    const unit = quantity === "latency_ms_p50" ? " ms" : "";
    if (least && list.length > 1) tiles.push([`${text} within 1 point`, written(quantity, least.values[quantity]) + unit, least]);
  }
  $("highlights").replaceChildren(...tiles.filter(([, , row]) => row).map(([text, figure, row]) =>
    element("div", {}, element("dt", {}, text), element("dd", { className: "figure" }, figure), element("dd", { className: "name", title: row.name }, row.name))));
}

// -------------------------------------------------------------------------------------- start

const CURVES = [["val_accuracy", "validation accuracy"], ["accuracy", "training accuracy"], ["val_loss", "validation loss"], ["loss", "training loss"], ["learning_rate", "learning rate"]];

function drawAll() { drawTable(); drawScatter(); drawCurves(); drawDifferences(); }
function drawThemed() { drawAll(); drawMistakes(); drawLayers(); drawTheme(); }
function drawTheme() {
  const other = theme() === "dark" ? "Light" : "Dark";
  $("theme").textContent = other;
  $("theme").setAttribute("aria-label", `${other} colours`);
}

const costs = ["macs", "params", "latency_ms_p50", "latency_ms_p95", "file_bytes", "fp32_bytes", "int8_bytes", "peak_activation_bytes", "train_seconds"].filter(present);
const scores = [data.score, "test_accuracy", "validation_accuracy", "macro_f1", "validation_macro_f1"].filter((key, index, all) => present(key) && all.indexOf(key) === index);
options("x", costs.map((key) => [key, title(key)]));
options("y", scores.map((key) => [key, title(key)]));
options("bubble", [["", "one size"], ...costs.map((key) => [key, title(key)])]);
$("bubble").value = costs.includes("params") ? "params" : "";
options("curve", CURVES.filter(([key]) => runs.some((run) => run.history[key])));
options("layercost", LAYER_COSTS);
const chosenRuns = (test) => runs.map((run, index) => [index, run.name, run]).filter(([, , run]) => test(run));
options("tested", chosenRuns((run) => run.confusion));
options("profiled", chosenRuns((run) => known(run.profile)));
$("mistakes").hidden = !$("tested").options.length;
$("layers").hidden = !$("profiled").options.length;
$("lineage").hidden = !data.lineage.length;
$("curves").hidden = !$("curve").options.length;
for (const link of document.querySelectorAll("nav a")) link.hidden = $(link.hash.slice(1)).hidden;
$("seedsbox").hidden = groups.length === runs.length;
const used = [...new Set(runs.map((run) => `${run.backend ?? "an unknown backend"}, Keras ${run.keras ?? "?"}`))];
$("subtitle").textContent = `${groups.length} network${groups.length === 1 ? "" : "s"}, ${runs.length} run${runs.length === 1 ? "" : "s"}; ${used.join("; ")}. `;
$("tablenote").textContent = "Sizes are those of the weights: fp32 is 4 bytes a parameter, int8 is computed and not measured. Latency is that of one image on the machine of the training." + (isSearch ? " A search tests its winner alone; the others have validation figures." : "");

for (const id of ["x", "y", "onlyfront"]) $(id).addEventListener("change", () => { drawTable(); drawScatter(); });
for (const id of ["bubble", "names", "logx", "logy"]) $(id).addEventListener("change", drawScatter);
for (const id of ["curve", "time", "logcurve"]) $(id).addEventListener("change", drawCurves);
$("filter").addEventListener("input", () => { drawTable(); drawScatter(); });
$("seeds").addEventListener("change", () => { tickFirst(); drawAll(); });
$("tick").addEventListener("click", () => { shownRows().forEach((row) => tick(row, true)); drawAll(); });
$("untick").addEventListener("click", () => { places.clear(); drawAll(); });
$("tested").addEventListener("change", drawMistakes);
for (const id of ["profiled", "layercost"]) $(id).addEventListener("change", drawLayers);
$("theme").addEventListener("click", () => { document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark"; drawThemed(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawThemed);

tickFirst();
drawHighlights();
drawLineage();
drawPapers();
drawThemed();
})();
