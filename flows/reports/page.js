"use strict";
// What records say goes into the page as text, never as markup.
const root = document.documentElement;
const toggle = document.getElementById("theme");
const WAYS = ["auto", "light", "dark"];

function remembered() {
  try { return localStorage.getItem("vecmill-theme"); } catch { return null; }
}

function apply(way) {
  if (way === "auto") delete root.dataset.theme;
  else root.dataset.theme = way;
  toggle.textContent = `Colours: ${way}`;
  try { localStorage.setItem("vecmill-theme", way); } catch { /* a page that may keep nothing */ }
}

let way = WAYS.includes(remembered()) ? remembered() : "auto";
toggle.hidden = false;
apply(way);
toggle.addEventListener("click", () => {
  way = WAYS[(WAYS.indexOf(way) + 1) % WAYS.length];
  apply(way);
});

const given = document.getElementById("points");
const points = given ? JSON.parse(given.textContent) : {};
const tip = document.getElementById("tip");
const NEAR = 14;

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

// The nearest record to a place in a map, if one is near.
function nearest(svg, side, event) {
  const box = svg.getBoundingClientRect(), unit = box.width / 1040;
  let best = NEAR * NEAR, found = -1;
  for (let i = 0; i < side.x.length; i++) {
    const dx = box.left + (1000 * side.x[i] + 20) * unit - event.clientX;
    const dy = box.top + (1000 * (1 - side.y[i]) + 20) * unit - event.clientY;
    const far = dx * dx + dy * dy;
    if (far < best) { best = far; found = i; }
  }
  return found;
}

function show(side, i, event) {
  tip.replaceChildren(element("b", side.ids[i]));
  if (side.labels[i]) tip.append(element("span", side.labels[i]));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 8))}px`;
}

for (const svg of document.querySelectorAll("[data-map]")) {
  const side = points[svg.dataset.map];
  const spot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  spot.setAttribute("class", "spot");
  spot.setAttribute("r", "7");
  svg.addEventListener("pointermove", (event) => {
    const i = nearest(svg, side, event);
    if (i < 0) { tip.hidden = true; spot.remove(); return; }
    spot.setAttribute("cx", 1000 * side.x[i]);
    spot.setAttribute("cy", 1000 * (1 - side.y[i]));
    svg.append(spot);
    show(side, i, event);
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; spot.remove(); });
}
