import { element, heatmap, showWords } from "./heatmap.js";

const DELAY = 350; // milliseconds without a key before the text is translated
const ALTERNATIVES = 4;
const byId = (id) => document.getElementById(id);
const page = Object.fromEntries(
  ["source", "target", "swap", "key-field", "key", "text", "count", "translation", "copy", "status", "sentence",
    "source-words", "target-words", "attention-text", "alternatives", "heatmap"].map((id) => [id, byId(id)]),
);
let languages = [];
let limits = { char_limit: Infinity };
let running = null; // AbortController of the translation
let looking = null; // AbortController of the chosen sentence
let timer = 0;

async function ask(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  if (page.key.value) headers.Authorization = `Bearer ${page.key.value}`;
  const response = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body), signal } : {});
  const answer = await response.json();
  if (!response.ok) {
    const again = response.headers.get("Retry-After");
    throw new Error(answer.error + (again ? ` Try again in ${again} seconds.` : ""));
  }
  return answer;
}

function say(sentence, isWrong = false) {
  page.status.textContent = sentence;
  page.status.classList.toggle("wrong", isWrong);
}

function fill(select, codes) {
  const before = select.value;
  select.replaceChildren(...codes.map((code) => {
    const language = languages.find((entry) => entry.code === code);
    return element("option", language ? language.name : code, { value: code });
  }));
  if (codes.includes(before)) select.value = before;
}

function sourceChanged() {
  const source = languages.find((entry) => entry.code === page.source.value);
  fill(page.target, source ? source.targets : []);
  const back = languages.find((entry) => entry.code === page.target.value);
  page.swap.disabled = !(back && back.targets.includes(page.source.value));
  page.text.lang = page.source.value;
  page.translation.lang = page.target.value;
}

function count() {
  const characters = [...page.text.value].length;
  page.count.textContent = `${characters} of ${limits.char_limit} characters`;
  page.count.classList.toggle("wrong", characters > limits.char_limit);
}

function changed() {
  count();
  clearTimeout(timer);
  page.translation.classList.add("old");
  timer = setTimeout(translate, DELAY);
}

function pair() {
  return { source: page.source.value, target: page.target.value };
}

async function translate() {
  running?.abort(); // the server cancels a request whose client has disconnected
  looking?.abort();
  running = new AbortController();
  const controller = running;
  if (!page.text.value.trim()) {
    show([]);
    return say("");
  }
  say("Translating …");
  try {
    const answer = await ask("v1/translate", { texts: [page.text.value], ...pair() }, controller.signal);
    show(answer.translations[0].sentences);
    const cut = answer.translations[0].sentences.some((sentence) => sentence.is_truncated);
    const loops = answer.translations[0].sentences.some((sentence) => sentence.hypotheses[0]?.is_repetitive);
    say(cut ? "A sentence was too long, and its end is not translated." : loops ? "A translation contains a repeated phrase." : "");
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
  }
}

function show(sentences) {
  page.translation.classList.remove("old");
  page.copy.disabled = !sentences.length;
  const options = [];
  const parts = sentences.flatMap((sentence) => {
    if (!sentence.hypotheses.length) return [document.createTextNode(sentence.source + sentence.separator)];
    const option = element("span", sentence.hypotheses[0].text, { role: "option", tabindex: "-1", "aria-selected": "false" });
    option.addEventListener("click", () => choose(options, option, sentence));
    options.push(option);
    return [option, document.createTextNode(sentence.separator)];
  });
  page.translation.replaceChildren(...parts);
  page.translation.onkeydown = (event) => move(options, event);
  page.sentence.hidden = !options.length;
  if (options.length) options[0].click();
}

function move(options, event) {
  const place = options.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (place < 0 || !step || !options[place + step]) return;
  event.preventDefault();
  options[place + step].focus();
  options[place + step].click();
}

async function choose(options, option, sentence) {
  for (const item of options) {
    item.setAttribute("aria-selected", String(item === option));
    item.tabIndex = item === option ? 0 : -1;
  }
  looking?.abort();
  looking = new AbortController();
  const wanted = { texts: [sentence.source], ...pair(), split_sentences: false, nbest: ALTERNATIVES, attention: true };
  if (limits.beam_limit < ALTERNATIVES) wanted.nbest = 1;
  try {
    const answer = await ask("v1/translate", wanted, looking.signal);
    showSentence(answer.translations[0].sentences[0], option);
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
  }
}

function showSentence(sentence, option) {
  const buttons = sentence.hypotheses.map((hypothesis) => {
    const button = element("button", hypothesis.text, { type: "button", "aria-pressed": "false" });
    button.addEventListener("click", () => {
      for (const item of buttons) item.setAttribute("aria-pressed", String(item === button));
      option.textContent = hypothesis.text;
      showWords(page["source-words"], page["target-words"], sentence.source_tokens, hypothesis, (text) => {
        page["attention-text"].textContent = text;
      });
      page.heatmap.replaceChildren(heatmap(sentence.source_tokens, hypothesis));
    });
    return button;
  });
  page.alternatives.replaceChildren(...buttons.map((button, rank) => {
    const item = element("li");
    item.append(button, element("span", sentence.hypotheses[rank].score.toFixed(2), { class: "score", title: "score" }));
    return item;
  }));
  buttons[0]?.click();
}

function swap() {
  const { source, target } = pair();
  page.text.value = page.translation.textContent;
  page.source.value = target;
  sourceChanged();
  page.target.value = source;
  sourceChanged();
  count();
  translate();
}

async function start() {
  try {
    const [available, rules] = await Promise.all([ask("languages"), ask("v1/limits")]);
    languages = available;
    limits = rules.limits;
    page["key-field"].hidden = !rules.needs_key;
    fill(page.source, languages.filter((language) => language.targets.length).map((language) => language.code));
    sourceChanged();
    count();
    if (page.text.value) translate();
  } catch (error) {
    say(`The server does not answer: ${error.message}`, true);
  }
}

page.text.addEventListener("input", changed);
page.text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.ctrlKey) { clearTimeout(timer); translate(); }
});
page.source.addEventListener("change", () => { sourceChanged(); translate(); });
page.target.addEventListener("change", () => { sourceChanged(); translate(); });
page.key.addEventListener("change", translate);
page.swap.addEventListener("click", swap);
page.copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(page.translation.textContent);
  say("Copied.");
});
byId("controls").addEventListener("submit", (event) => event.preventDefault());
start();
