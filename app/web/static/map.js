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

// What stands under a picture: title, classes, and the survey with its terms, in full.
const LINE = 16, SWATCH = 96, MAX_CHARACTERS = 150;

function breakLines(text) {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    if (`${lines.at(-1)} ${word}`.length > MAX_CHARACTERS) lines.push("");
    lines[lines.length - 1] = `${lines.at(-1)} ${word}`.trim();
  }
  return lines;
}

function readFoot() {
  const option = document.getElementById("option").selectedOptions[0].text;
  const terms = [...document.querySelectorAll(".terms dd")].map((each) => each.textContent);
  const lines = [
    `${document.querySelector("h1").textContent} “${option}”`,
    ...breakLines(`${terms.at(-1)} ${terms.at(-2)}`),
    "Estimates are no survey's figures. Made with Milieu.",
  ];
  const classes = [...document.querySelectorAll(".steps li")].map((item) => ({
    text: item.textContent.trim(),
    fill: getComputedStyle(item.querySelector("rect")).fill,
    isVeiled: item.querySelectorAll("rect").length > 1,
  }));
  const at = { title: HEIGHT + LINE, classes: HEIGHT + 1.6 * LINE, lines: HEIGHT + 3.4 * LINE };
  return { lines, classes, at, height: HEIGHT + (lines.length + 3) * LINE };
}

function setAll(element, attributes) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// A picture by itself has no style sheet: each part is told its colours.
function writeSvg() {
  const foot = readFoot(), page = getComputedStyle(document.body);
  const copy = svg.cloneNode(true);
  const put = (name, attributes, text = "") => {
    const element = setAll(document.createElementNS(SVG, name), attributes);
    element.textContent = text;
    copy.append(element);
    return element;
  };
  const write = (text, x, y, weight = 400) => put("text", {
    x, y, fill: page.color, "font-family": "sans-serif", "font-size": 11.5, "font-weight": weight,
  }, text);
  for (const name of ["tabindex", "role", "aria-label", "aria-activedescendant"]) copy.removeAttribute(name);
  const size = { width: WIDTH, height: foot.height };
  setAll(copy, { xmlns: SVG, viewBox: `0 0 ${WIDTH} ${foot.height}`, ...size });
  const parts = [...svg.children], copies = [...copy.children];
  parts.forEach((part, place) => {
    const { fill, stroke, strokeWidth } = getComputedStyle(part), one = copies[place];
    if (part.classList.contains("ring")) one.remove();
    else if (!part.classList.contains("veiled")) setAll(one, { fill, stroke, "stroke-width": strokeWidth });
    one.removeAttribute("class");
  });
  const veil = document.getElementById("veil").cloneNode(true);
  setAll(veil.querySelector("line"), { stroke: page.backgroundColor, "stroke-width": 2.4, "stroke-opacity": 0.75 });
  copy.prepend(veil, put("rect", { ...size, fill: page.backgroundColor }));
  write(foot.lines[0], 8, foot.at.title, 700);
  foot.classes.forEach(({ text, fill, isVeiled }, place) => {
    const box = { x: 8 + place * SWATCH, y: foot.at.classes, width: 20, height: 11 };
    put("rect", { ...box, fill });
    if (isVeiled) put("rect", { ...box, fill: "url(#veil)" });
    write(text, box.x + 25, box.y + 10);
  });
  foot.lines.slice(1).forEach((text, place) => write(text, 8, foot.at.lines + place * LINE));
  return new XMLSerializer().serializeToString(copy);
}

function drawCanvas() {
  const foot = readFoot(), page = getComputedStyle(document.body), scale = 2;
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH * scale;
  canvas.height = foot.height * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.fillStyle = page.backgroundColor;
  context.fillRect(0, 0, WIDTH, foot.height);
  const hatch = makeHatch(context, page.backgroundColor);
  for (const part of svg.children) {
    if (part.classList.contains("ring")) continue;
    const style = getComputedStyle(part), isVeil = part.classList.contains("veiled");
    const shape = part.tagName === "circle" ? circle(part) : new Path2D(part.getAttribute("d"));
    context.fillStyle = isVeil ? hatch : style.fill;
    context.fill(shape);
    context.strokeStyle = style.stroke;
    context.lineWidth = 0.5;
    if (!isVeil) context.stroke(shape);
  }
  const write = (text, x, y, weight = 400) => {
    context.fillStyle = page.color;
    context.font = `${weight} 11.5px sans-serif`;
    context.fillText(text, x, y, WIDTH - x - 8);
  };
  write(foot.lines[0], 8, foot.at.title, 700);
  foot.classes.forEach(({ text, fill, isVeiled }, place) => {
    const x = 8 + place * SWATCH, y = foot.at.classes;
    for (const style of isVeiled ? [fill, hatch] : [fill]) {
      context.fillStyle = style;
      context.fillRect(x, y, 20, 11);
    }
    write(text, x + 25, y + 10);
  });
  foot.lines.slice(1).forEach((text, place) => write(text, 8, foot.at.lines + place * LINE));
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
