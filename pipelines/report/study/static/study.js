// Shows one pair after the other and sends what was chosen. The ids of questions say nothing about methods.
"use strict";

// A double click, or a key pressed twice, must not answer a pair that has only just appeared.
const LOOK_MS = 350;
const PATIENCE_MS = 20000;
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie", " ": "tie" };

const element = (id) => document.getElementById(id);
const buttons = [...document.querySelectorAll("[data-answer]")];
const images = [...document.querySelectorAll("img[data-place]")];
const study = element("study");

let question = null; // null while there is nothing to answer
let again = load; // what "Try again" does

async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(content.message ?? `status ${response.status}`), { status: response.status });
  return content;
}

async function load() {
  await attempt(load, async () => show(await ask("question")));
}

async function vote(answer) {
  if (question === null) return;
  const answered = question;
  wait();
  buttons.find((button) => button.dataset.answer === answer).classList.add("chosen");
  await send(answered, answer);
}

// The server takes the same vote twice without harm, so that one whose answer was lost can be sent again.
async function send(answered, answer) {
  await attempt(() => send(answered, answer), async () => {
    const body = JSON.stringify({ question: answered, answer });
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: true };
    try {
      await show(await ask("votes", options));
    } catch (error) {
      // Answered before (in another tab), or of a study that has changed since: what counts is the next one.
      if (error.status !== 404 && error.status !== 409) throw error;
      await show(await ask("question"));
    }
  });
}

async function attempt(repeat, action) {
  element("problem").hidden = true;
  try {
    await action();
  } catch (error) {
    again = repeat;
    const sentence = error.status ? error.message : "the server cannot be reached; check the connection";
    element("sentence").textContent = sentence[0].toUpperCase() + sentence.slice(1) + ".";
    element("problem").hidden = false;
  }
}

async function show(content) {
  if (content.question === null) return thank(content.total);
  await Promise.all(images.map((image) => load_into(image, `pictures/${content.question}/${image.dataset.place}`)));
  element("count").textContent = `Pair ${content.answered + 1} of ${content.total}`;
  element("bar").max = content.total;
  element("bar").value = content.answered;
  buttons.forEach((button) => button.classList.remove("chosen"));
  study.hidden = false;
  // Away from the button: Space shall mean "cannot tell", and a screen reader says where we are.
  element("count").focus({ preventScroll: true });
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  study.setAttribute("aria-busy", "false");
  buttons.forEach((button) => (button.disabled = false));
  question = content.question;
}

function wait() {
  question = null;
  study.setAttribute("aria-busy", "true");
  buttons.forEach((button) => (button.disabled = true));
}

async function load_into(image, address) {
  image.src = address;
  try {
    await image.decode();
  } catch {
    throw Object.assign(new Error("a picture could not be loaded; check the connection"), { status: 1 });
  }
}

function thank(total) {
  study.hidden = element("task").hidden = true;
  element("number").textContent = total === 1 ? "1 pair" : `${total} pairs`;
  element("thanks").hidden = false;
  element("thanked").focus();
}

buttons.forEach((button) => button.addEventListener("click", () => vote(button.dataset.answer)));
element("again").addEventListener("click", () => again());
document.addEventListener("keydown", (event) => {
  const answer = KEYS[event.key];
  if (!answer || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  // On a button Space presses that button, as everywhere.
  if (event.key === " " && event.target.closest("button")) return;
  if (question === null) return;
  event.preventDefault();
  if (!event.repeat) vote(answer);
});
load();
