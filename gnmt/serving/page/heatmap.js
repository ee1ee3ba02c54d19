// Attention between the words of a sentence. Text is only ever set as textContent.

export function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
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

// Words that shade each other: pointing at one, or moving to it with the arrow keys, shows what it attends to.
export function showWords(sourceBox, targetBox, sourceTokens, hypothesis, say) {
  const sources = tokenElements(sourceTokens, sourceBox);
  const targets = tokenElements(hypothesis.tokens, targetBox);
  sources.forEach((one, column) => {
    const sum = hypothesis.coverage[column];
    one.style.setProperty("--coverage", sum);
    one.title = `coverage ${sum.toFixed(2)}`;
  });
  const clear = () => {
    for (const one of [...sources, ...targets]) shade(one, 0, false);
    say("");
  };
  targets.forEach((one, row) => onChoice(one, clear, () => {
    const weights = hypothesis.attention[row];
    sources.forEach((source, column) => shade(source, weights[column], false));
    shade(one, 0, true);
    const best = weights.slice(0, sources.length).reduce((most, weight, column) => (weight > weights[most] ? column : most), 0);
    say(`${one.textContent} attends to ${sources[best].textContent} with ${percent(weights[best])}.`);
  }));
  sources.forEach((one, column) => onChoice(one, clear, () => {
    targets.forEach((target, row) => shade(target, hypothesis.attention[row][column], false));
    shade(one, 0, true);
    say(`${one.textContent} has coverage ${hypothesis.coverage[column].toFixed(2)}.`);
  }));
}

function tokenElements(tokens, box) {
  const made = tokens.map((token, index) => element("span", shown(token), { role: "listitem", tabindex: index ? "-1" : "0" }));
  box.replaceChildren(...made);
  box.onkeydown = (event) => {
    const place = made.indexOf(document.activeElement);
    const next = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: made.length - 1 }[event.key];
    if (place < 0 || next === undefined || !made[next]) return;
    event.preventDefault();
    made[place].tabIndex = -1;
    made[next].tabIndex = 0;
    made[next].focus();
  };
  return made;
}

function onChoice(one, clear, show) {
  const both = () => { clear(); show(); };
  one.addEventListener("pointerenter", both);
  one.addEventListener("focus", both);
  one.addEventListener("pointerleave", clear);
  one.addEventListener("blur", clear);
}

function shade(one, weight, isChosen) {
  one.style.setProperty("--weight", weight);
  one.classList.toggle("strong", weight > 0.6);
  one.classList.toggle("chosen", isChosen);
}
