// The page of a rater. Texts are set as text, never as markup.
// An item has `scores`, which are saved, and `chosen`, which include those that are being saved.
"use strict";

const LONGEST_WAIT = 20000; // milliseconds
const token = location.hash.slice(1);
const byId = (id) => document.getElementById(id);
let campaign = { items: [], languages: ["", ""], scale: [] };
let current = 0; // index of the item that is shown
let marked = 0; // position of the output that the keys rate
let shownAt = 0; // milliseconds
let sending = Promise.resolve(); // ends when all chosen scores are saved; they are sent one after the other

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

async function request(path, options = {}) {
  const headers = { Authorization: `Bearer ${token}` };
  const response = await fetch(path, { ...options, headers, signal: AbortSignal.timeout(LONGEST_WAIT) });
  const content = await response.json().catch(() => ({ error: `The server answered with status ${response.status}.` }));
  if (!response.ok) throw new Error(content.error);
  return content;
}

function showProblem(sentence) {
  byId("problem").textContent = sentence;
  byId("problem").hidden = !sentence;
}

const isRated = (item) => item.scores.every((score) => score !== null);

function showProgress() {
  const rated = campaign.items.filter(isRated).length;
  byId("progress").max = campaign.items.length;
  byId("progress").value = rated;
  byId("progress-text").textContent = `${rated} of ${campaign.items.length}`;
  byId("end").hidden = rated < campaign.items.length;
  byId("back").disabled = current === 0;
  byId("next").disabled = !isRated(campaign.items[current]) || current === campaign.items.length - 1;
}

function setText(element, text, language) {
  element.textContent = text || "(empty)";
  element.classList.toggle("empty", !text);
  if (language) element.lang = language;
}

function makeOutput(item, position) {
  const box = make("fieldset", "", { tabindex: "-1", "data-position": position });
  box.append(make("legend", `Translation ${position + 1}`));
  const text = make("p", "", { class: "text", dir: "auto", id: `text-${position}` });
  setText(text, item.outputs[position], campaign.languages[1]);
  const scores = make("div", "", { class: "scores" });
  for (const { score, meaning } of campaign.scale) {
    const label = make("label", "", { title: meaning });
    const input = make("input", "", {
      type: "radio", name: `score-${position}`, value: score, "aria-describedby": `text-${position}`,
      "aria-label": meaning ? `${score}: ${meaning}` : score,
    });
    input.checked = item.scores[position] === score;
    input.addEventListener("change", () => rate(position, score));
    label.append(input, make("span", score, { "aria-hidden": "true" }));
    scores.append(label);
  }
  const lower = make("div", "");
  lower.append(scores, make("p", item.scores[position] === null ? "" : "saved", { class: "state" }));
  box.append(text, lower);
  box.addEventListener("focusin", () => mark(position));
  box.addEventListener("click", () => mark(position));
  return box;
}

const boxes = () => [...byId("outputs").children];

function mark(position) {
  marked = position;
  boxes().forEach((box, index) => box.classList.toggle("marked", index === position));
}

function showItem(index) {
  current = index;
  const item = campaign.items[index];
  byId("item").hidden = false;
  byId("item-title").textContent = `Item ${index + 1} of ${campaign.items.length}`;
  setText(byId("source"), item.source, campaign.languages[0]);
  byId("outputs").replaceChildren(...item.outputs.map((_, position) => makeOutput(item, position)));
  mark(Math.max(0, item.scores.indexOf(null)));
  showProgress();
  shownAt = performance.now();
  byId("item-title").focus();
}

// Saves a score; what the page shows as saved has been acknowledged by the server.
function rate(position, score) {
  const index = current, item = campaign.items[index], box = boxes()[position];
  const state = box.querySelector(".state");
  const milliseconds = Math.round(performance.now() - shownAt);
  item.chosen[position] = score;
  box.querySelector(`input[value="${score}"]`).checked = true;
  state.textContent = "saving …";
  sending = sending.then(async () => {
    try {
      const body = JSON.stringify({ item: item.id, position, score, milliseconds });
      await request("api/ratings", { method: "POST", body });
    } catch (error) {
      item.chosen[position] = item.scores[position];
      for (const input of box.querySelectorAll("input")) input.checked = Number(input.value) === item.scores[position];
      state.textContent = "not saved";
      showProblem(`Translation ${position + 1} of item ${index + 1} was not saved: choose its score again. ${error.message}`);
      return;
    }
    item.scores[position] = score;
    state.textContent = "saved";
    byId("status").textContent = `Translation ${position + 1}: ${score} saved`;
    showProblem("");
    showProgress();
  });
}

// Rates the marked output, and moves to an output without a score, otherwise to the following output or to "Next".
function rateByKey(score) {
  const index = current, chosen = campaign.items[index].chosen;
  rate(marked, score);
  const next = chosen.includes(null) ? chosen.indexOf(null) : marked + 1;
  if (next < chosen.length) boxes()[next].focus();
  else sending.then(() => index === current && byId("next").focus());
}

function back() {
  if (current > 0) showItem(current - 1);
}

async function forward() {
  const index = current;
  await sending;
  if (index === current && !byId("next").disabled) showItem(current + 1);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || byId("item").hidden) return;
  if (/^[0-6]$/.test(event.key)) rateByKey(Number(event.key));
  else if (event.key === "b") back();
  else if (event.key === "Enter" && !event.target.closest("button, summary")) forward();
  else return;
  event.preventDefault();
});

async function start() {
  byId("back").addEventListener("click", back);
  byId("next").addEventListener("click", forward);
  window.addEventListener("hashchange", () => location.reload());
  try {
    campaign = await request("api/campaign");
  } catch (error) {
    showProblem(error.message);
    return;
  }
  for (const item of campaign.items) item.chosen = [...item.scores];
  for (const { score, meaning } of campaign.scale) {
    if (meaning) byId("scale").append(make("dt", score), make("dd", meaning));
  }
  const first = campaign.items.findIndex((item) => !isRated(item));
  showItem(first < 0 ? campaign.items.length - 1 : first);
}

start();
