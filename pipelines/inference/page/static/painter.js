// The canvas on which a hole or classes are painted. Runs once for each canvas of the page, in the frame that
// gr.HTML gives it: `element` is the component's root, `props.value` what Python last set, `watch` tells of changes.
//
// What is painted is a plain array of bytes, one a pixel of the image as shown, and never read back from the
// canvas: browsers may alter what is read back. See pipelines/inference/page/layers.py for how it travels.

const find = (role) => element.querySelector('[data-role="' + role + '"]');
const canvas = find("canvas"), status = find("status"), stage = find("stage"), empty = find("empty");
const sizeInput = find("size"), classList = find("classes"), boxFields = find("box-fields");
const paintsClasses = element.querySelector("[data-paints]").dataset.paints === "classes";
const NOTHING = paintsClasses ? 255 : 0, MARKED = 1, MOST_UNDO = 30;
const brush = canvas.getContext("2d");
const veil = document.createElement("canvas"), veilBrush = veil.getContext("2d");

let shown = null;                // what Python sent
let image = null;              // the decoded image
let layer = new Uint8Array(0);   // what is painted
let labels = null, hole = null;  // for classes: the predicted segmentation, and the hole
let history = [], tool = "brush", chosen = 0;
let last = null, corner = null, pointer = null, crosshair = null, dragging = false;

// --- layers as runs of equal values

function encode(bytes) {
  const runs = [];
  for (let i = 0; i < bytes.length;) {
    let end = i + 1;
    while (end < bytes.length && bytes[end] === bytes[i]) end++;
    runs.push(bytes[i], end - i);
    i = end;
  }
  return { width: canvas.width, height: canvas.height, runs };
}

function decode(sent) {
  const bytes = new Uint8Array(sent.width * sent.height);
  let at = 0;
  for (let i = 0; i < sent.runs.length; i += 2) {
    bytes.fill(sent.runs[i], at, at + sent.runs[i + 1]);
    at += sent.runs[i + 1];
  }
  return bytes;
}

// --- drawing what is painted

function colourOf(i, x, y) {
  if (!paintsClasses) {
    if (layer[i] === NOTHING) return null;
    // Stripes stand out on any ground.
    return (x + y) % 12 < 6 ? [230, 30, 110, 200] : [255, 150, 200, 200];
  }
  const painted = layer[i] !== NOTHING;
  const id = painted ? layer[i] : labels[i];
  const colour = shown.classes[id] ? shown.classes[id].colour : [0, 0, 0];
  return [...colour, painted ? 235 : hole[i] ? 150 : 70];
}

function refresh(left = 0, top = 0, right = canvas.width, bottom = canvas.height) {
  left = Math.max(0, Math.floor(left)); top = Math.max(0, Math.floor(top));
  right = Math.min(canvas.width, Math.ceil(right)); bottom = Math.min(canvas.height, Math.ceil(bottom));
  if (right <= left || bottom <= top) return;
  const pixels = veilBrush.createImageData(right - left, bottom - top);
  for (let y = top, at = 0; y < bottom; y++) {
    for (let x = left; x < right; x++, at += 4) {
      const colour = colourOf(y * canvas.width + x, x, y);
      if (colour) pixels.data.set(colour, at);
    }
  }
  veilBrush.putImageData(pixels, left, top);
  draw();
}

let drawing = false;
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (!image) return;
    brush.clearRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(image, 0, 0, canvas.width, canvas.height);
    brush.drawImage(veil, 0, 0);
    const box = boxNow();
    if (box) outline(() => brush.rect(box.left, box.top, box.right - box.left, box.bottom - box.top));
    const ring = pointer || crosshair;
    if (ring && tool !== "box") outline(() => brush.arc(ring.x, ring.y, radius(), 0, 2 * Math.PI));
    if (crosshair && tool === "box") outline(() => brush.arc(crosshair.x, crosshair.y, unit() * 3, 0, 2 * Math.PI));
  });
}

function outline(path) {
  for (const [width, colour] of [[unit() * 3.5, "rgba(0,0,0,.7)"], [unit() * 1.5, "#fff"]]) {
    brush.beginPath();
    path();
    brush.lineWidth = width;
    brush.strokeStyle = colour;
    brush.stroke();
  }
}

// One pixel of the screen, in pixels of the image.
const unit = () => canvas.width / Math.max(1, canvas.getBoundingClientRect().width);
const radius = () => Math.max(0.5, (Number(sizeInput.value) / 200) * Math.max(canvas.width, canvas.height));

// --- painting

const value = () => (tool === "eraser" ? NOTHING : paintsClasses ? chosen : MARKED);

function stamp(x, y) {
  const r = radius(), paint = value();
  for (let row = Math.max(0, Math.ceil(y - r)); row <= Math.min(canvas.height - 1, y + r); row++) {
    const half = Math.sqrt(r * r - (row - y) ** 2);
    const from = Math.max(0, Math.ceil(x - half)), to = Math.min(canvas.width - 1, Math.floor(x + half));
    if (to >= from) layer.fill(paint, row * canvas.width + from, row * canvas.width + to + 1);
  }
}

function stroke(from, to) {
  const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / Math.max(1, radius() / 3)));
  for (let i = 0; i <= steps; i++) stamp(from.x + ((to.x - from.x) * i) / steps, from.y + ((to.y - from.y) * i) / steps);
  const r = radius() + 1;
  refresh(Math.min(from.x, to.x) - r, Math.min(from.y, to.y) - r, Math.max(from.x, to.x) + r, Math.max(from.y, to.y) + r);
}

function fillBox(box) {
  for (let row = box.top; row < box.bottom; row++) {
    layer.fill(value(), row * canvas.width + box.left, row * canvas.width + box.right);
  }
  refresh(box.left, box.top, box.right, box.bottom);
}

function boxBetween(a, b) {
  const within = (number, most) => Math.min(most, Math.max(0, Math.round(number)));
  return {
    left: within(Math.min(a.x, b.x), canvas.width), right: within(Math.max(a.x, b.x), canvas.width),
    top: within(Math.min(a.y, b.y), canvas.height), bottom: within(Math.max(a.y, b.y), canvas.height),
  };
}

function boxNow() {
  if (tool === "box" && corner) return boxBetween(corner, pointer || crosshair || corner);
  return boxFields && boxFields.open ? boxOfFields() : null;
}

function boxOfFields() {
  const share = (role) => Number(find("box-" + role).value) / 100;
  const left = share("left") * canvas.width, top = share("top") * canvas.height;
  return boxBetween(
    { x: left, y: top }, { x: left + share("width") * canvas.width, y: top + share("height") * canvas.height });
}

function remember() {
  history.push(layer.slice());
  if (history.length > MOST_UNDO) history.shift();
}

function report(action) {
  let painted = 0;
  for (const byte of layer) painted += byte !== NOTHING;
  const share = layer.length ? (100 * painted) / layer.length : 0;
  const shownShare = share === 0 ? "Nothing" : (share < 1 ? "Under 1%" : Math.round(share) + "%") + " of the image";
  status.textContent = (action ? action + " " : "") + shownShare + (paintsClasses ? " is painted." : " is marked.");
}

// --- pointer, touch and pen

function at(event) {
  const frame = canvas.getBoundingClientRect();
  return {
    x: ((event.clientX - frame.left) * canvas.width) / frame.width,
    y: ((event.clientY - frame.top) * canvas.height) / frame.height,
  };
}

canvas.addEventListener("pointerdown", (event) => {
  if (!image || event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  remember();
  dragging = true;
  crosshair = null;
  pointer = last = at(event);
  if (tool === "box") corner = pointer;
  else stroke(last, last);
});
canvas.addEventListener("pointermove", (event) => {
  if (!image) return;
  pointer = at(event);
  if (dragging && tool !== "box") {
    stroke(last, pointer);
    last = pointer;
  } else draw();
});
canvas.addEventListener("pointerup", (event) => {
  if (!dragging) return;
  dragging = false;
  if (tool === "box") fillBox(boxBetween(corner, at(event)));
  corner = null;
  if (event.pointerType !== "mouse") pointer = null;
  report();
  draw();
});
canvas.addEventListener("pointercancel", () => { dragging = false; corner = pointer = null; draw(); });
canvas.addEventListener("pointerleave", () => { if (!dragging) { pointer = null; draw(); } });

// --- keyboard: arrows move a crosshair, Space or Enter paints there or sets a corner

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
canvas.addEventListener("keydown", (event) => {
  if (!image) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "z") { event.preventDefault(); return undo(); }
  const arrow = ARROWS[event.key], acts = event.key === " " || event.key === "Enter";
  if (!arrow && !acts && event.key !== "Escape") return;
  event.preventDefault();
  crosshair = crosshair || { x: canvas.width / 2, y: canvas.height / 2 };
  pointer = null;
  if (event.key === "Escape") corner = null;
  else if (arrow) {
    const step = Math.max(canvas.width, canvas.height) / (event.shiftKey ? 12 : 60);
    crosshair = {
      x: Math.min(canvas.width, Math.max(0, crosshair.x + arrow[0] * step)),
      y: Math.min(canvas.height, Math.max(0, crosshair.y + arrow[1] * step)),
    };
  } else if (tool === "box" && !corner) {
    corner = crosshair;
    status.textContent = "First corner set. Move with the arrow keys and press Space for the other one.";
  } else {
    remember();
    if (tool === "box") fillBox(boxBetween(corner, crosshair));
    else stroke(crosshair, crosshair);
    corner = null;
    report();
  }
  draw();
});
canvas.addEventListener("blur", () => { crosshair = null; corner = dragging ? corner : null; draw(); });

// --- buttons and fields

function undo() {
  // Further back lies the last fill.
  if (!history.length) return void (paintsClasses || document.querySelector("#sge-take-back")?.click());
  layer = history.pop();
  refresh();
  report("Undone.");
}

function clear() {
  remember();
  layer.fill(NOTHING);
  refresh();
  report("Cleared.");
}

function choose(next) {
  tool = next;
  corner = null;
  for (const button of element.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  }
  draw();
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || !image) return;
  if (button.dataset.tool) choose(button.dataset.tool);
  if (button.dataset.act === "undo") undo();
  if (button.dataset.act === "clear") clear();
  if (button.dataset.act === "add-box") {
    remember();
    if (tool === "eraser") choose("brush");
    fillBox(boxOfFields());
    report("Box added.");
  }
});
element.addEventListener("input", (event) => {
  if (event.target.name && event.target.name.startsWith("painted-class")) {
    chosen = Number(event.target.value);
    if (tool === "eraser") choose("brush");
  }
  draw();
});
if (boxFields) boxFields.addEventListener("toggle", draw);

function listClasses() {
  if (!classList) return;
  classList.replaceChildren();
  shown.classes.forEach((named, id) => {
    const choice = document.createElement("label"), radio = document.createElement("input");
    const swatch = document.createElement("span");
    radio.type = "radio";
    radio.name = "painted-class-" + canvas.dataset.name;
    radio.value = String(id);
    radio.checked = id === chosen;
    swatch.className = "sge-swatch";
    swatch.style.background = "rgb(" + named.colour.join(" ") + ")";
    choice.append(radio, swatch, document.createTextNode(named.name));
    classList.append(choice);
  });
}

// --- what Python shows

function show() {
  shown = props.value;
  const has = Boolean(shown && shown.image);
  stage.hidden = !has;
  empty.hidden = has;
  if (!has) {
    image = null;
    empty.textContent = (shown && shown.sentence) || empty.dataset.sentence;
    return;
  }
  const loading = new Image();
  const wanted = shown;
  loading.onload = () => {
    if (wanted !== shown) return;  // another image came meanwhile
    [canvas.width, canvas.height] = [veil.width, veil.height] = [shown.width, shown.height];
    canvas.style.aspectRatio = shown.width + " / " + shown.height;
    // As wide as its column, unless it would be higher than the window.
    canvas.style.width = "min(100%, calc(56vh * " + shown.width / shown.height + "))";
    layer = shown.painted ? decode(shown.painted) : new Uint8Array(shown.width * shown.height).fill(NOTHING);
    labels = shown.labels ? decode(shown.labels) : null;
    hole = shown.hole ? decode(shown.hole) : null;
    chosen = paintsClasses && chosen >= shown.classes.length ? 0 : chosen;
    history = [];
    corner = crosshair = pointer = last = null;
    image = loading;
    listClasses();
    refresh();
    report();
    canvas.dataset.shown = shown.id;  // tests wait for it
  };
  loading.src = shown.image;
}

// How the page's buttons read what was painted.
canvas.readLayer = () => (image ? encode(layer) : null);
watch("value", show);
show();
