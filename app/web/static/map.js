// Draws the map that the table stands for: every figure is read from the rows.
import { saveBlob, saveCanvas } from "./page.js";

const { d3, topojson } = globalThis;
const WIDTH = 960, POINT_RADIUS = 4;
const SVG = "http://www.w3.org/2000/svg";

const figure = document.getElementById("map");
const svg = figure.querySelector("svg");
const told = figure.querySelector(".map-told");
const rows = [...document.querySelectorAll("#map-table tbody tr")];
const byShape = new Map(rows.map((row) => [row.dataset.shape, row]));
const shapes = new Map();

// From the north of Greenland to the south of Chile: what is beyond has no people to ask.
const NORTH = 84, SOUTH = -57;
const projection = d3.geoNaturalEarth1().fitWidth(WIDTH - 8, { type: "Sphere" });
const top = projection([0, NORTH])[1];
const HEIGHT = Math.round(projection([0, SOUTH])[1] - top);
projection.translate([WIDTH / 2, projection.translate()[1] - top]);
svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
const path = d3.geoPath(projection);

function add(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  svg.append(element);
  return element;
}

function describe(row) {
  const [name, share, interval, source] = [...row.cells].map((cell) => cell.textContent.trim());
  if (row.dataset.kind === "unknown") return `${name}: not known`;
  return `${name}: ${share}${interval ? `, 90% interval ${interval}` : ""}, ${source}`;
}

function paint(row, element) {
  const step = Number(row.dataset.step);
  element.classList.add(step < 0 ? "unknown" : `c${step}`);
  element.addEventListener("pointerenter", () => choose(row, false));
  element.addEventListener("click", () => row.querySelector("a").click());
  shapes.set(row, element);
  if (row.dataset.kind !== "estimate") return;
  const veil = element.cloneNode();
  veil.setAttribute("class", "veiled");
  veil.setAttribute("fill", "url(#veil)");
  svg.append(veil);
}

function draw(atlas) {
  const countries = topojson.feature(atlas, atlas.objects.countries).features;
  const drawn = new Set();
  for (const country of countries) {
    const name = country.id ?? country.properties.name;
    if (name === "010") continue; // Antarctica
    const land = add("path", { d: path(country), class: "land" });
    const row = byShape.get(name);
    drawn.add(name);
    if (row) paint(row, land);
    else {
      land.classList.add("unknown");
      land.addEventListener("pointerenter", () => { told.textContent = `${country.properties.name}: not known`; });
    }
  }
  // What is too small for the map's data gets a point.
  for (const row of rows) {
    if (drawn.has(row.dataset.shape) || !row.dataset.longitude) continue;
    const [cx, cy] = projection([Number(row.dataset.longitude), Number(row.dataset.latitude)]);
    paint(row, add("circle", { cx, cy, r: POINT_RADIUS }));
  }
}

let chosen = -1;
let ring = null;

function choose(row, isByKey) {
  for (const each of rows) each.classList.toggle("shown", each === row);
  chosen = rows.indexOf(row);
  told.textContent = describe(row);
  const shape = shapes.get(row);
  if (!shape) return;
  ring?.remove();
  ring = shape.cloneNode();
  ring.setAttribute("class", "ring");
  svg.append(ring);
  if (isByKey) svg.setAttribute("aria-activedescendant", "");
}

svg.addEventListener("keydown", (event) => {
  const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (move) {
    event.preventDefault();
    choose(rows[(chosen + move + rows.length) % rows.length], true);
  } else if (event.key === "Enter" && chosen >= 0) {
    rows[chosen].querySelector("a").click();
  }
});
for (const row of rows) {
  row.addEventListener("focusin", () => choose(row, false));
  row.addEventListener("pointerenter", () => choose(row, false));
}

// A picture by itself has no style sheet: each part is told its colours.
function writeSvg() {
  const copy = svg.cloneNode(true);
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("width", WIDTH);
  copy.setAttribute("height", HEIGHT + 44);
  copy.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT + 44}`);
  for (const name of ["tabindex", "role", "aria-activedescendant"]) copy.removeAttribute(name);
  const parts = [...svg.children], copies = [...copy.children];
  parts.forEach((part, place) => {
    const style = getComputedStyle(part);
    if (part.classList.contains("ring")) copies[place].remove();
    else if (part.classList.contains("veiled")) copies[place].setAttribute("fill", "url(#veil)");
    else {
      copies[place].setAttribute("fill", style.fill);
      copies[place].setAttribute("stroke", style.stroke);
      copies[place].setAttribute("stroke-width", style.strokeWidth);
    }
    copies[place].removeAttribute("class");
  });
  const veil = document.getElementById("veil").cloneNode(true);
  veil.querySelector("line").setAttribute("stroke", "#fff");
  veil.querySelector("line").setAttribute("stroke-width", "2.4");
  veil.querySelector("line").setAttribute("stroke-opacity", "0.75");
  copy.prepend(veil);
  caption().forEach((text, line) => {
    const element = document.createElementNS(SVG, "text");
    for (const [key, value] of Object.entries({ x: 8, y: HEIGHT + 16 + line * 18, "font-family": "sans-serif", "font-size": 12, fill: getComputedStyle(document.body).color })) element.setAttribute(key, value);
    element.textContent = text;
    copy.append(element);
  });
  return new XMLSerializer().serializeToString(copy);
}

function caption() {
  const title = document.querySelector("h1").innerText;
  const citation = document.querySelector(".terms dd:last-of-type").innerText;
  const option = document.getElementById("option").selectedOptions[0].text;
  return [`${title} “${option}”. Hatched: estimates.`, `${citation.slice(0, 150)} Made with Milieu.`];
}

function drawCanvas() {
  const scale = 2;
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH * scale;
  canvas.height = (HEIGHT + 44) * scale;
  const context = canvas.getContext("2d");
  const page = getComputedStyle(document.body);
  context.scale(scale, scale);
  context.fillStyle = page.backgroundColor;
  context.fillRect(0, 0, WIDTH, HEIGHT + 44);
  const hatch = makeHatch(context, page.backgroundColor);
  for (const part of svg.children) {
    if (part.classList.contains("ring")) continue;
    const style = getComputedStyle(part);
    const shape = part.tagName === "circle" ? circle(part) : new Path2D(part.getAttribute("d"));
    context.fillStyle = part.classList.contains("veiled") ? hatch : style.fill;
    context.fill(shape);
    context.strokeStyle = style.stroke;
    context.lineWidth = 0.5;
    if (!part.classList.contains("veiled")) context.stroke(shape);
  }
  context.fillStyle = page.color;
  context.font = "12px sans-serif";
  caption().forEach((text, line) => context.fillText(text, 8, HEIGHT + 16 + line * 18, WIDTH - 16));
  return canvas;
}

function circle(part) {
  const shape = new Path2D();
  shape.arc(part.cx.baseVal.value, part.cy.baseVal.value, part.r.baseVal.value, 0, 2 * Math.PI);
  return shape;
}

function makeHatch(context, colour) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.globalAlpha = 0.75;
  pen.lineWidth = 2.4;
  for (const shift of [-8, 0, 8]) {
    pen.beginPath();
    pen.moveTo(shift, 8);
    pen.lineTo(shift + 8, 0);
    pen.stroke();
  }
  return context.createPattern(tile, "repeat");
}

document.getElementById("map-files").addEventListener("click", (event) => {
  const kind = event.target.dataset.map;
  if (kind === "svg") saveBlob(new Blob([writeSvg()], { type: "image/svg+xml" }), "milieu-map.svg");
  if (kind === "png") saveCanvas(drawCanvas(), "milieu-map.png");
});

const reply = await fetch(figure.dataset.atlas);
if (reply.ok) {
  draw(await reply.json());
  figure.hidden = false;
  document.getElementById("map-files").hidden = false;
  figure.dataset.drawn = "";
}
