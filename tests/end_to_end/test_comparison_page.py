"""Tests the page of `gnmt compare` in a browser: its style sheet is applied, and texts are shown unchanged."""

import json

from browser import browser, problems, save_screenshot  # noqa: F401

from gnmt.commands import compare
from gnmt.commands.command_line import run_module

ATTACK = "<script>document.title='attacked'</script><img src=x onerror=\"document.title='attacked'\">"
SOURCES = ["Two dogs run along the beach.", "A woman sells fruit at the market.", f"A man reads {ATTACK}"]
REFERENCES = [
    "Zwei Hunde laufen am Strand entlang.",
    "Eine Frau verkauft auf dem Markt Obst.",
    f"Ein Mann liest {ATTACK}",
]
BASELINE = ["Zwei Hunde am Strand.", "Eine Frau verkauft auf dem Markt Obst.", f"Ein Mann {ATTACK}"]
NEW = ["Zwei Hunde laufen am Strand entlang.", "Eine Frau kauft Obst.", f"Ein Mann liest {ATTACK}"]
SOURCE_TOKENS = ["▁Two", "▁dogs", "▁run", "▁along", "▁the", "▁beach", "."]
TOKENS = ["▁Zwei", "▁Hunde", "▁laufen", "▁am", "▁Strand", "▁entlang", "."]
ATTENDED = [0, 1, 2, 4, 5, 3, 6, 7]  # source token of each target token, EOS last


def test_page_in_a_browser(browser, tmp_path):  # noqa: F811
    attention = [[0.86 if column == attended else 0.02 for column in range(8)] for attended in ATTENDED]
    sentence = {"source_tokens": SOURCE_TOKENS, "nbest": [{"tokens": TOKENS, "attention": attention}]}
    lines = [{"text": text, "sentences": [sentence] if text == NEW[0] else []} for text in NEW]
    for name, texts in (("test.en", SOURCES), ("test.de", REFERENCES), ("baseline.de", BASELINE),
                        ("new.jsonl", map(json.dumps, lines))):  # fmt: skip
        (tmp_path / name).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    files = [str(tmp_path / name) for name in ("test.de", "baseline.de", "new.jsonl")]
    options = [
        "--source",
        str(tmp_path / "test.en"),
        "--page",
        str(tmp_path / "page.html"),
        "--names",
        "baseline",
        "new",
    ]
    run_module(compare, "gnmt compare", [*files, *options])

    browser.get((tmp_path / "page.html").as_uri())
    assert problems(browser) == [] and browser.title == "baseline and new"
    table, mark = (browser.find_element("css selector", name) for name in ("table", "mark"))
    assert table.value_of_css_property("border-collapse") == "collapse"
    assert mark.value_of_css_property("border-radius") == "3px"
    assert any(ATTACK in element.text for element in browser.find_elements("css selector", "dd"))
    summary, picture = browser.find_element("css selector", "summary"), browser.find_element("css selector", "svg")
    assert not picture.is_displayed()
    browser.execute_script("arguments[0].scrollIntoView()", browser.find_element("css selector", "h2"))
    summary.click()
    assert picture.is_displayed() and picture.accessible_name == "Attention of 8 target tokens to 8 source tokens"
    save_screenshot(browser, "comparison")
