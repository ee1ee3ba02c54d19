// Attention between the words of a sentence. Text is only ever set as textContent.

export function element(name, text = "", attributes = {}) {
  const node = document.createElement(name);
  node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

const shown = (token) => token.replace(/\u2581/g, " ").trim() || "␣";
const percent = (weight) => `${Math.round(100 * weight)} %`;

// Rows are target tokens, columns source tokens; EOS is the last of both.
export function heatmap(sourceTokens, hypothesis) {
  const sources = [...sourceTokens.map(shown), "EOS"];
  const targets = [...hypothesis.tokens.map(shown), "EOS"];
  const table = element("table", "", {});
  table.append(element("caption", "Attention of each translated token (row) to each source token (column)"));
  const head = table.createTHead().insertRow();
  head.append(element("td"));
  for (const token of sources) head.append(element("th", token, { scope: "col" }));
  const body = table.createTBody();
  hypothesis.attention.forEach((weights, row) => {
    const line = body.insertRow();
    line.append(element("th", targets[row], { scope: "row" }));
    weights.forEach((weight, column) => {
      const cell = element("td", "", { title: `${targets[row]} → ${sources[column]}: ${percent(weight)}` });
      cell.setAttribute("aria-label", percent(weight));
      cell.style.setProperty("--weight", weight);
      line.append(cell);
    });
  });
  const coverage = body.insertRow();
  coverage.append(element("th", "coverage", { scope: "row" }));
  for (const sum of hypothesis.coverage) coverage.append(element("td", sum.toFixed(1)));
  return table;
}

// Words of source and target. Pointing at a word, or moving to it with the arrow keys, shades the words linked by attention.
export function showWords(sourceBox, targetBox, sourceTokens, hypothesis, say) {
  const sources = tokenElements(sourceTokens, sourceBox);
  const targets = tokenElements(hypothesis.tokens, targetBox);
  sources.forEach((source, column) => {
    const sum = hypothesis.coverage[column];
    source.style.setProperty("--coverage", sum);
    source.title = `coverage ${sum.toFixed(2)}`;
  });
  const clear = () => {
    for (const word of [...sources, ...targets]) shade(word, 0, false);
    say("");
  };
  targets.forEach((target, row) => onChoice(target, clear, () => {
    const weights = hypothesis.attention[row];
    sources.forEach((source, column) => shade(source, weights[column], false));
    shade(target, 0, true);
    const best = weights.slice(0, sources.length).reduce((best, weight, column) => (weight > weights[best] ? column : best), 0);
    say(`${target.textContent} attends to ${sources[best].textContent} with ${percent(weights[best])}.`);
  }));
  sources.forEach((source, column) => onChoice(source, clear, () => {
    targets.forEach((target, row) => shade(target, hypothesis.attention[row][column], false));
    shade(source, 0, true);
    say(`${source.textContent} has coverage ${hypothesis.coverage[column].toFixed(2)}.`);
  }));
}

function tokenElements(tokens, box) {
  const items = tokens.map((token, index) => element("span", shown(token), { role: "listitem", tabindex: index ? "-1" : "0" }));
  box.replaceChildren(...items);
  box.onkeydown = (event) => {
    const place = items.indexOf(document.activeElement);
    const next = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: items.length - 1 }[event.key];
    if (place < 0 || next === undefined || !items[next]) return;
    event.preventDefault();
    items[place].tabIndex = -1;
    items[next].tabIndex = 0;
    items[next].focus();
  };
  return items;
}

function onChoice(word, clear, show) {
  const both = () => { clear(); show(); };
  word.addEventListener("pointerenter", both);
  word.addEventListener("focus", both);
  word.addEventListener("pointerleave", clear);
  word.addEventListener("blur", clear);
}

function shade(word, weight, isChosen) {
  word.style.setProperty("--weight", weight);
  word.classList.toggle("strong", weight > 0.6);
  word.classList.toggle("chosen", isChosen);
}
