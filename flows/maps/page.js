"use strict";
// All texts of records go into the page as text, never as markup, and none goes through Plotly.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const x = floats(data.x), y = floats(data.y), n = data.ids.length;
const codes = data.codes ? bytes(data.codes) : null;
const numbers = data.numbers ? floats(data.numbers) : null;
const plot = byId("plot"), tip = byId("tip"), list = byId("list");
const dark = matchMedia("(prefers-color-scheme: dark)");
const size = Math.max(3, Math.min(9, 420 / Math.sqrt(n)));
const opacity = n < 5000 ? 0.85 : 0.65;
let chosen = [];

function webgl() {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
}

function element(tag, text, parent) {
  const made = document.createElement(tag);
  if (text !== null) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

const kind = webgl() ? "scattergl" : "scatter";
const faint = () => (dark.matches ? "#4b4d55" : data.faint);
const ink = () => (dark.matches ? "#ffffff" : "#111111");

function points(chosen, marker) {
  return {
    type: kind, mode: "markers", hoverinfo: "none", customdata: chosen,
    x: chosen.map((i) => x[i]), y: chosen.map((i) => y[i]),
    marker: { size, opacity, ...marker },
    selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: 0.12 } },
  };
}

function traces() {
  const every = Array.from({ length: n }, (_, i) => i);
  let found;
  if (numbers) {
    const some = every.filter((i) => !Number.isNaN(numbers[i]));
    const scale = data.shades.map((c, k) => [k / (data.shades.length - 1), c]);
    found = [
      points(every.filter((i) => Number.isNaN(numbers[i])), { color: faint() }),
      points(some, { color: some.map((i) => numbers[i]), colorscale: scale, cmin: data.low,
        cmax: data.high }),
    ];
  } else {
    const groups = data.categories.map(() => []);
    codes.forEach((code, i) => groups[code].push(i));
    found = groups.map((group, k) => points(group, { color: colour(data.categories[k]) }));
    // What is behind is drawn first; the order of the legend stays.
    data.order = found.map((_, k) => k).sort((a, b) => data.categories[b].behind
      - data.categories[a].behind || a - b);
    found = data.order.map((k) => found[k]);
  }
  const mark = points([], { color: "rgba(0,0,0,0)", line: { color: ink(), width: 2 } });
  mark.marker.size = size + 5;
  mark.marker.opacity = 1;
  mark.hoverinfo = "skip";
  delete mark.selected;
  mark.unselected = { marker: { opacity: 1 } };
  return [...found, mark];
}

const colour = (category) => (category.behind ? faint() : category.colour);

function legend() {
  const where = byId("legend");
  if (numbers) {
    element("h2", data.column, where);
    const bar = element("div", null, where);
    bar.className = "bar";
    bar.style.background = `linear-gradient(to right, ${data.shades.join(",")})`;
    const ticks = element("div", null, where);
    ticks.className = "ticks";
    for (const [at, text] of data.ticks) {
      const tick = element("span", text, ticks);
      tick.style.left = `${(100 * (at - data.low)) / (data.high - data.low)}%`;
    }
    return;
  }
  if (data.column !== null) element("h2", data.column, where);
  else return;
  data.categories.forEach((category, k) => {
    const row = element("button", null, where);
    row.className = "category";
    row.title = "show or hide";
    element("i", null, row).style.background = colour(category);
    element("span", category.name, row);
    element("b", category.count.toLocaleString("en"), row);
    row.addEventListener("click", () => {
      const hidden = row.classList.toggle("off");
      Plotly.restyle(plot, { visible: !hidden }, [data.order.indexOf(k)]);
    });
  });
}

function sound([source, part], where) {
  const audio = element("audio", null, where);
  audio.controls = true;
  audio.autoplay = true;
  audio.src = data.sounds[source] + part;
  audio.addEventListener("error", () => element("p", "the recording cannot be played from here",
    where));
}

function describe(i, where, withSound) {
  where.replaceChildren();
  if (data.thumbs && data.thumbs[i]) {
    const image = element("img", null, where);
    image.src = `data:${data.thumb_type};base64,${data.thumbs[i]}`;
    image.alt = "";
  }
  element("h3", data.ids[i], where);
  if (withSound && data.sound && data.sound[i] !== null) sound(data.sound[i], where);
  const told = element("dl", null, where);
  data.columns.forEach((name, c) => {
    const value = data.values[c][i];
    if (value === null || value === "") return;
    element("dt", name, told);
    element("dd", value, told);
  });
}

const index = (event) => event.points.length ? event.points[0].customdata : undefined;

function hover(event) {
  const i = index(event);
  if (i === undefined) return;
  describe(i, tip, false);
  tip.hidden = false;
  const at = event.event, box = tip.getBoundingClientRect();
  const left = at.clientX + 16 + box.width > innerWidth ? at.clientX - 16 - box.width
    : at.clientX + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, Math.min(at.clientY + 12, innerHeight - box.height - 4))}px`;
}

function mark(some) {
  const last = plot.data.length - 1;
  Plotly.restyle(plot, {
    x: [some.map((i) => x[i])], y: [some.map((i) => y[i])], customdata: [some],
  }, [last]);
}

// Found points keep their colours and the others fade; a few are ringed as well.
function light(some) {
  const inside = some && new Set(some);
  const traces = plot.data.slice(0, -1);
  const places = traces.map((trace) => {
    const found = [];
    if (inside) trace.customdata.forEach((i, k) => { if (inside.has(i)) found.push(k); });
    return inside ? found : null;
  });
  Plotly.restyle(plot, { selectedpoints: places }, traces.map((_, k) => k));
  mark(some && some.length <= 50 ? some : []);
}

function show(some, word) {
  chosen = some;
  byId("count").textContent = some.length || word ? `${some.length.toLocaleString("en")} ${word}`
    : "";
  const lines = some.slice(0, data.most_lines).map((i) => data.ids[i]);
  if (some.length > lines.length) lines.push(`… and ${some.length - lines.length} more`);
  list.value = lines.join("\n");
  byId("chosen").hidden = !word;
}

let texts = null;
function search() {
  const wanted = byId("search").value.trim().toLowerCase();
  if (!wanted) {
    light(null);
    return show([], "");
  }
  texts ??= data.ids.map((id, i) => [id, ...data.values.map((v) => v[i] ?? "")].join("\n")
    .toLowerCase());
  const found = [];
  texts.forEach((text, i) => { if (text.includes(wanted)) found.push(i); });
  light(found);
  show(found, "found");
}

function clear() {
  byId("search").value = "";
  Plotly.relayout(plot, { selections: [] });
  search();
}

async function copy() {
  const text = chosen.map((i) => data.ids[i]).join("\n");
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const before = list.value;
    list.value = text;
    list.select();
    document.execCommand("copy");
    list.value = before;
  }
  byId("copy").textContent = "Copied";
  setTimeout(() => { byId("copy").textContent = "Copy"; }, 1500);
}

function download() {
  const text = chosen.map((i) => data.ids[i]).join("\n") + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = `${data.name}.ids.txt`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function layout() {
  const axis = { visible: false, zeroline: false, showgrid: false };
  return {
    margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, hovermode: "closest", dragmode: "pan",
    hoverdistance: 12, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    xaxis: axis, yaxis: { ...axis, scaleanchor: "x" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "#999", activecolor: dark.matches ? "#fff" : "#333" },
    newselection: { line: { color: ink(), width: 1.5, dash: "dot" } },
  };
}

// To paint so many points anew takes longer than a frame may. While the hand moves, what is painted
// is moved and stretched as it is; it is painted anew when the hand rests.
const MANY = 4000;

function glide() {
  let scale = 1, left = 0, top = 0, rest = null, passing = false;
  const painted = () => [...plot.querySelectorAll(".gl-container")];
  const draggable = (event) => kind === "scattergl" && event.target.closest(".nsewdrag");

  function place() {
    for (const layer of painted()) {
      layer.style.transformOrigin = "0 0";
      layer.style.transform = scale === 1 && !left && !top ? ""
        : `translate(${left}px, ${top}px) scale(${scale})`;
    }
  }

  async function settle() {
    const { xaxis, yaxis } = plot._fullLayout;
    const across = (at) => xaxis.p2d((at - left) / scale);
    const down = (at) => yaxis.p2d((at - top) / scale);
    await Plotly.relayout(plot, {
      "xaxis.range": [across(0), across(xaxis._length)],
      "yaxis.range": [down(yaxis._length), down(0)],
    });
    scale = 1;
    left = top = 0;
    place();
  }

  function soon(milliseconds) {
    clearTimeout(rest);
    rest = setTimeout(settle, milliseconds);
  }

  plot.addEventListener("mousedown", (event) => {
    if (passing || event.button || plot._fullLayout.dragmode !== "pan" || !draggable(event)) return;
    event.stopPropagation();
    event.preventDefault();
    clearTimeout(rest);
    const from = { x: event.clientX - left, y: event.clientY - top };
    let moved = false;
    const move = (now) => {
      moved ||= Math.hypot(now.clientX - event.clientX, now.clientY - event.clientY) > 3;
      if (!moved) return;
      now.stopPropagation();
      tip.hidden = true;
      left = now.clientX - from.x;
      top = now.clientY - from.y;
      place();
    };
    const end = (now) => {
      removeEventListener("mousemove", move, true);
      removeEventListener("mouseup", end, true);
      if (moved || scale !== 1 || left || top) return soon(0);
      // It was a click, which is Plotly's to tell of.
      passing = true;
      for (const type of ["mousedown", "mouseup"]) {
        event.target.dispatchEvent(new MouseEvent(type, { bubbles: true, cancelable: true,
          view: window, button: 0, clientX: now.clientX, clientY: now.clientY }));
      }
      passing = false;
    };
    addEventListener("mousemove", move, true);
    addEventListener("mouseup", end, true);
  }, true);

  plot.addEventListener("wheel", (event) => {
    if (!draggable(event)) return;
    event.stopPropagation();
    event.preventDefault();
    tip.hidden = true;
    const box = plot.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const by = Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) / 500);
    scale *= by;
    left = x - by * (x - left);
    top = y - by * (y - top);
    place();
    soon(250);
  }, { capture: true, passive: false });
}

const config = {
  scrollZoom: true, displaylogo: false, responsive: true, plotlyServerURL: "", displayModeBar: true,
  modeBarButtons: [["pan2d", "lasso2d", "select2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"],
    ["toImage"]],
  toImageButtonOptions: { filename: data.name, scale: 2 },
};

const started = performance.now();
Plotly.newPlot(plot, traces(), layout(), config).then(() => {
  plot.dataset.drawn = String(Math.round(performance.now() - started));
  legend();
  if (n > MANY) glide();
  plot.on("plotly_hover", hover);
  plot.on("plotly_unhover", () => { tip.hidden = true; });
  plot.on("plotly_click", (event) => {
    const i = index(event);
    if (i === undefined) return;
    tip.hidden = true;
    describe(i, byId("details"), true);
    byId("details").scrollIntoView({ block: "nearest" });
    mark([i]);
  });
  plot.on("plotly_selected", (event) => {
    if (!event) return;
    const some = event.points.map((point) => point.customdata).filter((i) => i !== undefined);
    mark([]);
    show([...new Set(some)].sort((a, b) => a - b), "selected");
  });
  plot.on("plotly_deselect", clear);
});
dark.addEventListener("change", () => Plotly.react(plot, traces(), layout(), config));
let waiting;
byId("search").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(search, 150);
});
byId("copy").addEventListener("click", copy);
byId("download").addEventListener("click", download);
byId("clear").addEventListener("click", clear);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
