"use strict";
// Draws masks, boxes and words over the sample images, and the table of classes.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (selector, root = document) => root.querySelector(selector);
const make = (name, attributes = {}, text = "") => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
};
const svg = (name, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

// --- Masks: COCO's compressed run lengths, down the columns, painted pixel by pixel -------------------------------
function runLengths(counts) {
  const lengths = [];
  for (let i = 0; i < counts.length; ) {
    let value = 0, digit = 0, bits;
    do {
      bits = counts.charCodeAt(i++) - 48;
      value += (bits & 31) * 2 ** (5 * digit++);
    } while (bits & 32);
    if (bits & 16) value -= 2 ** (5 * digit);
    lengths.push(lengths.length > 2 ? value + lengths[lengths.length - 2] : value);
  }
  return lengths;
}

// Which object owns each pixel, 0 for none, k + 1 for the k-th; every `step`-th pixel in both directions.
function owners(sample, step) {
  const width = Math.ceil(sample.width / step), height = Math.ceil(sample.height / step);
  const owner = new Uint16Array(width * height);
  // Large ones first, so that small objects stay visible where annotations overlap.
  const order = sample.objects.map((_, k) => k).sort((a, b) => sample.objects[b].area - sample.objects[a].area);
  for (const k of order) {
    if (!sample.objects[k].counts) continue;
    let place = 0;
    runLengths(sample.objects[k].counts).forEach((length, run) => {
      if (run % 2) {
        for (let at = place; at < place + length; ) {
          const x = Math.floor(at / sample.height), y = at % sample.height;
          const end = Math.min(sample.height, y + place + length - at);
          if (x % step === 0) {
            for (let row = Math.ceil(y / step); row * step < end; row++) owner[row * width + x / step] = k + 1;
          }
          at += end - y;
        }
      }
      place += length;
    });
  }
  return { owner, width, height, step };
}

const hue = (k) => (k * 137.508 + 200) % 360;
function rgb(k, role) {
  if (role === "ignore") return [160, 160, 160];
  const part = (n) => {
    const t = (n + hue(k) / 30) % 12;
    return Math.round(255 * (0.55 - 0.42 * Math.max(-1, Math.min(t - 3, 9 - t, 1))));
  };
  return [part(0), part(8), part(4)];
}

function paint(canvas, sample, map) {
  const { owner, width, height } = map;
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  const colors = sample.objects.map((object, k) => rgb(k, object.role));
  for (let i = 0, y = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const who = owner[i];
      if (!who) continue;
      const edge = x === 0 || y === 0 || x === width - 1 || y === height - 1 || owner[i - 1] !== who ||
        owner[i + 1] !== who || owner[i - width] !== who || owner[i + width] !== who;
      image.data.set(colors[who - 1], 4 * i);
      image.data[4 * i + 3] = edge ? 235 : sample.objects[who - 1].role === "stuff" ? 70 : 115;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// --- One image with its layers ----------------------------------------------------------------------------------
const percent = (value) => `${(100 * value).toFixed(value < 0.01 ? 2 : value < 0.1 ? 1 : 0)} %`;
const words = (object) => object.phrase || object.category;

function addBoxes(layer, sample) {
  layer.setAttribute("viewBox", `0 0 ${sample.width} ${sample.height}`);
  layer.setAttribute("preserveAspectRatio", "none");
  sample.objects.forEach((object, k) => {
    if (object.role === "stuff") return;
    const [x, y, right, bottom] = object.box;
    const place = { x, y, width: right - x, height: bottom - y };
    const group = svg("g", { "data-k": k, class: object.role });
    group.append(svg("rect", { ...place, class: "casing" }));
    group.append(svg("rect", { ...place, stroke: `rgb(${rgb(k, object.role)})` }));
    layer.append(group);
  });
}

function addWords(layer, sample, text) {
  sample.objects.forEach((object, k) => {
    const [x, y, right, bottom] = object.box;
    const middle = object.role === "stuff";
    const label = make("span", { "data-k": k, dir: "auto", class: object.role }, text(object));
    label.style.left = `${(100 * Math.max(0, middle ? (x + right) / 2 : x)) / sample.width}%`;
    label.dataset.top = Math.max(0, middle ? (y + bottom) / 2 : y) / sample.height;
    label.style.background = object.role === "ignore" ? "#555" : `hsl(${hue(k)} 75% 27%)`;
    layer.append(label);
  });
}

// Labels that would cover each other move down, and none leaves the image.
function placeWords(layer) {
  const placed = [], width = layer.clientWidth, height = layer.clientHeight;
  if (!width) return;
  for (const label of [...layer.children].sort((a, b) => a.dataset.top - b.dataset.top)) {
    const [w, h] = [label.offsetWidth, label.offsetHeight];
    const left = Math.max(0, Math.min((parseFloat(label.style.left) * width) / 100, width - w));
    let top = Math.min(label.dataset.top * height, height - h);
    const hit = () => placed.find((p) => left < p.left + p.w && p.left < left + w && top < p.top + p.h && p.top < top + h);
    for (let other; (other = hit()) && other.top + other.h + h <= height; ) top = other.top + other.h + 1;
    label.style.transform = `translate(${left - (parseFloat(label.style.left) * width) / 100}px, ${top}px)`;
    placed.push({ left, top, w, h });
  }
}
const resized = new ResizeObserver((entries) => entries.forEach((entry) => placeWords($(".words", entry.target))));

function fill(stage, sample, text, most) {
  stage.style.aspectRatio = `${sample.width} / ${sample.height}`;
  const image = make("img", { src: sample.src, alt: sample.name, draggable: "false" });
  const canvas = make("canvas", { class: "masks" });
  const boxes = svg("svg", { class: "boxes" });
  const layer = make("div", { class: "words" });
  addBoxes(boxes, sample);
  addWords(layer, sample, text);
  stage.replaceChildren(image, canvas, boxes, layer);
  const step = Math.ceil(Math.sqrt((sample.width * sample.height) / most));
  let map = null;
  const draw = () => { if (!map) paint(canvas, sample, (map = owners(sample, step))); };
  stage.onpointermove = (event) => { draw(); point(event, stage, sample, map); };
  stage.onpointerleave = () => forget(stage);
  resized.observe(stage);
  return { draw, step };
}

// --- Details of the object under the pointer ----------------------------------------------------------------------
const tip = $("#tip");
function objectAt(sample, map, x, y) {
  const place = Math.floor(y / map.step) * map.width + Math.floor(x / map.step);
  if (map.owner[place]) return map.owner[place] - 1;
  let best = -1;
  sample.objects.forEach((object, k) => {
    const [left, top, right, bottom] = object.box;
    const inside = object.role !== "stuff" && left <= x && x < right && top <= y && y < bottom;
    if (inside && (best < 0 || object.area < sample.objects[best].area)) best = k;
  });
  return best;
}

function point(event, stage, sample, map) {
  const frame = stage.getBoundingClientRect();
  const x = ((event.clientX - frame.left) / frame.width) * sample.width;
  const y = ((event.clientY - frame.top) / frame.height) * sample.height;
  const k = objectAt(sample, map, x, y);
  if (k < 0) return forget(stage);
  mark(stage, [k]);
  tip.replaceChildren(make("b", { dir: "auto" }, words(sample.objects[k])), ...facts(sample, sample.objects[k]));
  // A modal dialog covers everything outside it.
  (stage.closest("dialog") || document.body).append(tip);
  tip.hidden = false;
  const room = { x: innerWidth - tip.offsetWidth - 8, y: innerHeight - tip.offsetHeight - 8 };
  tip.style.left = `${Math.min(event.clientX + 14, room.x)}px`;
  tip.style.top = `${Math.min(event.clientY + 14, room.y)}px`;
}

function facts(sample, object) {
  const side = (from, to) => Math.round((to - from) * 10) / 10;
  const [x, y, right, bottom] = object.box;
  const said = [
    object.phrase && object.phrase !== object.category ? object.category : "",
    object.role === "object" ? "" : object.role === "stuff" ? "background class" : "region to ignore",
    `box ${side(x, right)} × ${side(y, bottom)} px, ${percent(object.area / (sample.width * sample.height))} of the image`,
    object.visible === null ? "" : `${percent(object.visible)} visible`,
    object.truncation ? `${percent(object.truncation)} outside the image` : "",
    object.segment ? `cut-out ${object.segment}` : "",
  ];
  return said.filter(Boolean).map((text) => make("div", { dir: "auto" }, text));
}

// Nothing is pointed at; what was chosen stays marked.
function forget(stage) {
  tip.hidden = true;
  mark(stage, stage.chosen || null);
}

function mark(stage, targets) {
  stage.classList.toggle("pointing", targets !== null);
  for (const each of stage.querySelectorAll("[data-k]")) {
    each.classList.toggle("on", targets !== null && targets.includes(Number(each.dataset.k)));
  }
}

// --- The grid of samples --------------------------------------------------------------------------------------------
const grid = $("#samples");
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { entry.target.draw(); seen.unobserve(entry.target); }
}, { rootMargin: "600px" });

data.samples.forEach((sample, index) => {
  const figure = make("figure"), caption = make("figcaption");
  const stage = make("a", { class: "stage", href: `#picture-${index + 1}`, "aria-label": `${sample.name}, full size` });
  // Very tall images get a shorter frame, so that rows stay aligned.
  const aspect = sample.width / sample.height, framed = Math.min(Math.max(aspect, 0.5), 3);
  const frame = make("div", { class: "frame" });
  figure.style.setProperty("--aspect", framed);
  stage.style.width = `${100 * Math.min(1, aspect / framed)}%`;
  stage.draw = fill(stage, sample, (object) => object.category, 2 ** 21).draw;
  const objects = sample.objects.filter((object) => object.role === "object").length;
  const numbers = [[objects, "object"], [sample.expressions.length, "expression"]].filter(([n], i) => n || !i);
  const counted = numbers.map(([n, what]) => `${n} ${what}${n === 1 ? "" : "s"}`).join(", ");
  caption.append(make("span", { class: "name" }, sample.name), make("span", {}, counted));
  frame.append(stage);
  figure.append(frame, caption);
  grid.append(figure);
  seen.observe(stage);
});

// --- The viewer: one image in full size -----------------------------------------------------------------------------
const viewer = $("#viewer"), large = $("#viewer .stage"), room = $("#viewer .room");
let shown = -1, zoom = 0;

function setZoom(value) {
  const sample = data.samples[shown], before = large.offsetWidth;
  const fit = Math.min(room.clientWidth / sample.width, room.clientHeight / sample.height);
  const middle = { x: (room.scrollLeft + room.clientWidth / 2) / (before || 1),
    y: (room.scrollTop + room.clientHeight / 2) / (large.offsetHeight || 1) };
  if (!zoom || !before) middle.x = middle.y = 0.5;
  zoom = value;
  const scale = zoom || fit;
  large.style.width = `${sample.width * scale}px`;
  large.classList.toggle("pixels", scale >= 2);
  $("#viewer output").textContent = zoom ? `${100 * zoom} %` : `fit, ${Math.round(100 * scale)} %`;
  room.scrollTo(middle.x * large.offsetWidth - room.clientWidth / 2, middle.y * large.offsetHeight - room.clientHeight / 2);
}

function show(index, scale) {
  const sample = data.samples[index];
  if (!viewer.open) viewer.showModal();
  if (shown !== index) {
    shown = index;
    const { draw, step } = fill(large, sample, words, 2 ** 25);
    draw();
    list(sample);
    const size = `${sample.width} × ${sample.height} px`;
    const notes = [sample.reduced ? `image reduced to ${sample.reduced[0]} × ${sample.reduced[1]} px` : "",
      step > 1 ? `masks drawn at every ${step}th pixel` : ""];
    $("#viewer .title").replaceChildren(make("b", {}, sample.name), ` ${[size, ...notes].filter(Boolean).join(", ")} `,
      ...(sample.reduced ? [make("a", { href: sample.original, target: "_blank" }, "original")] : []));
  }
  setZoom(scale);
}

// --- Referring expressions: choosing one marks what it means, choosing it again marks nothing ---------------------
const said = $("#viewer aside");
function list(sample) {
  said.hidden = !sample.expressions.length;
  said.replaceChildren(...sample.expressions.map(([text, targets, kind]) => {
    const button = make("button", { type: "button", "aria-pressed": "false" });
    const number = targets.length ? `${targets.length} target${targets.length === 1 ? "" : "s"}` : "no target";
    button.append(make("span", { dir: "auto" }, text), " ", make("small", { hidden: "" }, [kind, number].filter(Boolean).join(", ")));
    button.onclick = () => choose(button.ariaPressed === "true" ? null : button, targets);
    return button;
  }));
  choose(null, []);
}

function choose(button, targets) {
  for (const each of said.children) {
    each.setAttribute("aria-pressed", String(each === button));
    // What it means is told when it is asked for, so that one may look for it first.
    $("small", each).hidden = each !== button;
  }
  large.chosen = button ? targets : null;
  large.classList.toggle("chosen", button !== null);
  mark(large, large.chosen);
}

const ZOOMS = [0, 1, 2, 4, 8];
const go = (index, scale = 0) => { location.hash = `picture-${index + 1}${scale ? `@${scale}` : ""}`; };
const turn = (by) => go((shown + by + data.samples.length) % data.samples.length);
const magnify = (by) => go(shown, ZOOMS[Math.max(0, Math.min(ZOOMS.indexOf(zoom) + by, ZOOMS.length - 1))]);

function follow() {
  const [, number, scale] = /^#picture-(\d+)(?:@(\d+))?$/.exec(location.hash) || [];
  if (number >= 1 && number <= data.samples.length) show(number - 1, ZOOMS.includes(Number(scale)) ? Number(scale) : 0);
  else if (viewer.open) viewer.close();
}
addEventListener("hashchange", follow);
addEventListener("resize", () => { if (viewer.open) setZoom(zoom); });
viewer.addEventListener("close", () => {
  forget(large);
  shown = -1;
  // Without moving the page, as an empty hash would.
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
});
$("#viewer .close").onclick = () => viewer.close();
$("#viewer .before").onclick = () => turn(-1);
$("#viewer .after").onclick = () => turn(1);
$("#viewer .in").onclick = () => magnify(1);
$("#viewer .out").onclick = () => magnify(-1);

// --- Switches, by mouse and keyboard ----------------------------------------------------------------------------------
const LAYERS = { m: "masks", b: "boxes", w: "words" };
const switches = (layer) => document.querySelectorAll(`input[name=${layer}]`);
function toggle(layer, on) {
  document.body.classList.toggle(`no-${layer}`, !on);
  for (const each of switches(layer)) each.checked = on;
}
for (const layer of Object.values(LAYERS)) {
  for (const each of switches(layer)) each.onchange = () => toggle(layer, each.checked);
}
// A switch without any layer to switch is disabled.
for (const each of switches("masks")) each.disabled = !data.samples.some((s) => s.objects.some((o) => o.counts));
addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=search]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const layer = LAYERS[event.key.toLowerCase()];
  if (layer) toggle(layer, document.body.classList.contains(`no-${layer}`));
  if (!viewer.open) return;
  const action = { ArrowLeft: () => turn(-1), ArrowRight: () => turn(1), "+": () => magnify(1), "=": () => magnify(1),
    "-": () => magnify(-1) }[event.key];
  if (action) { event.preventDefault(); action(); }
});

// --- The table of classes ---------------------------------------------------------------------------------------------
const table = $("#classes tbody");
if (table) {
  const rows = data.classes.map(([name, objects, images]) => ({ name, objects, images }));
  const most = Math.max(1, ...rows.map((row) => row.objects));
  for (const row of rows) {
    row.element = make("tr", row.objects ? {} : { class: "none" });
    const bar = make("td", { class: "bar" });
    bar.append(make("i", { style: `width:${(100 * row.objects) / most}%` }));
    const numbers = [row.objects, row.images].map((value) => make("td", {}, value.toLocaleString("en")));
    row.element.append(make("td", { dir: "auto" }, row.name), ...numbers, bar);
  }
  const filter = $("#filter");
  const list = () => {
    const wanted = filter.value.trim().toLowerCase();
    const found = rows.filter((row) => row.name.toLowerCase().includes(wanted));
    table.replaceChildren(...found.map((row) => row.element));
    $("#found").textContent = wanted ? `${found.length} of ${rows.length} ${data.word}` : "";
  };
  filter.oninput = list;
  for (const head of document.querySelectorAll("#classes button")) {
    head.onclick = () => {
      // Names sort from A, numbers from the largest; a second click reverses the order.
      const key = head.dataset.key, first = key === "name" ? "ascending" : "descending";
      const ascending = (head.parentElement.getAttribute("aria-sort") === first) !== (first === "ascending");
      for (const each of document.querySelectorAll("#classes th[aria-sort]")) each.removeAttribute("aria-sort");
      head.parentElement.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      rows.sort((a, b) => (key === "name" ? a.name.localeCompare(b.name) : a[key] - b[key]) * (ascending ? 1 : -1));
      list();
    };
  }
  list();
}
follow();
