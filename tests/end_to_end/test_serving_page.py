"""Tests the translation page in headless Chromium. Expected texts come from `Translator`."""

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from browser import browser, problems, save_screenshot  # noqa: F401
from served import make_translator, served

from gnmt.serving.application import Settings
from gnmt.serving.keys import read_keys
from gnmt.serving.page_routes import FILES, FOLDER

KEY = "alice-key-0123456789"


@pytest.fixture(scope="module")
def translators(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    back = make_translator(folder / "back", source_language="de", target_language="en")
    return [make_translator(folder / "model"), back]


def wait_for(driver, condition, what: str):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, 60, 0.05).until(lambda _: condition(), what)


def by_id(driver, name: str):
    return driver.find_element("id", name)


def translation_of(driver) -> str:
    return by_id(driver, "translation").get_property("textContent")


def type_and_wait(driver, text: str, expected: str) -> None:
    box = by_id(driver, "text")
    box.clear()
    box.send_keys(text)
    wait_for(driver, lambda: translation_of(driver) == expected, f"{expected!r}")
    wait_for(driver, lambda: driver.find_elements("css selector", "#heatmap table"), "the heat map")


def test_a_text_is_translated_while_it_is_typed(browser, translators):  # noqa: F811
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    text = "The dog sees a cat. A cat runs.\nthe dog"
    expected = translators[0].translate([text], split_sentences=True)[0]
    alone = translators[0].translate(["A cat runs."], nbest=4)[0]
    with served(translators) as server:
        browser.get(server.url)
        wait_for(browser, lambda: by_id(browser, "target").get_property("value") == "de", "the languages")
        type_and_wait(browser, text, expected.text)
        assert by_id(browser, "count").text == f"{len(text)} of 5000 characters"
        # Second sentence: alternatives with scores, attention and coverage.
        options = browser.find_elements("css selector", "#translation [role=option]")
        assert [item.get_property("textContent") for item in options] == [item.text for item in expected.sentences]
        options[1].click()
        words = browser.find_elements
        wait_for(browser, lambda: len(words("css selector", "#source-words > *")) == len(alone.sentences[0].source_tokens),
                 "the words")  # fmt: skip
        buttons = browser.find_elements("css selector", "#alternatives button")
        assert [item.get_property("textContent") for item in buttons] == [item.text for item in alone.nbest]
        scores = browser.find_elements("css selector", "#alternatives .score")
        assert [item.text for item in scores] == [f"{item.score:.2f}" for item in alone.nbest]
        target = browser.find_elements("css selector", "#target-words > *")[0]
        ActionChains(browser).move_to_element(target).perform()
        weights = alone.nbest[0].attention[0].tolist()
        shown = browser.execute_script(
            "return [...document.querySelectorAll('#source-words > *')].map((one) => +one.style.getPropertyValue('--weight'))"
        )
        assert shown == pytest.approx(weights[:-1], abs=1e-3)
        assert "attends to" in by_id(browser, "attention-text").text
        browser.find_element("css selector", "summary").click()
        cells = browser.find_elements("css selector", "#heatmap td")
        assert len(cells) == 1 + alone.nbest[0].attention.numel() + len(weights)
        save_screenshot(browser, "page")
        # Arrow keys move between words; the second alternative replaces the first.
        target.send_keys(Keys.ARROW_RIGHT)
        assert browser.switch_to.active_element == browser.find_elements("css selector", "#target-words > *")[1]
        buttons[1].click()
        assert alone.nbest[1].text in translation_of(browser)
        assert problems(browser) == []


def test_typed_text_never_becomes_markup(browser, translators):  # noqa: F811
    text = "<img src=x onerror=document.title='broken'> a cat <b>dog</b>"
    expected = translators[0].translate([text], split_sentences=True)[0].text
    with served(translators) as server:
        browser.get(server.url)
        wait_for(browser, lambda: by_id(browser, "target").get_property("value") == "de", "the languages")
        type_and_wait(browser, text, expected)
        assert browser.title == "Translate" and not browser.find_elements("css selector", "main img, main b")
        # Markup that a browser would run without the policy.
        browser.execute_script(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')"
        )
        wait_for(
            browser, lambda: any("Content Security Policy" in message for message in problems(browser)), "a refusal"
        )
        assert browser.title == "Translate"


def test_errors_are_shown_beside_the_text_and_keys_are_requested(browser, translators, tmp_path):  # noqa: F811
    (tmp_path / "keys").write_text(f"alice {KEY}\n")
    with served(translators, Settings(keys=read_keys(tmp_path / "keys"))) as server:
        browser.get(server.url)
        wait_for(browser, lambda: by_id(browser, "key").is_displayed(), "the field for the key")
        by_id(browser, "text").send_keys("a cat")
        wait_for(browser, lambda: "API key" in by_id(browser, "status").text, "an error")
        by_id(browser, "key").send_keys(KEY + "\n")
        expected = translators[0].translate(["a cat"])[0].text
        wait_for(browser, lambda: translation_of(browser) == expected, "a translation")
        by_id(browser, "text").send_keys(" a" * 2500)
        wait_for(browser, lambda: "at most 5000" in by_id(browser, "status").text, "an error")
        assert by_id(browser, "text").get_property("value").startswith("a cat")


def test_languages_are_swapped_and_a_narrow_screen_has_one_column(browser, translators):  # noqa: F811
    with served(translators) as server:
        browser.get(server.url)
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        )
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                {"width": 400, "height": 860, "deviceScaleFactor": 1, "mobile": True})  # fmt: skip
        wait_for(browser, lambda: by_id(browser, "target").get_property("value") == "de", "the languages")
        expected = translators[0].translate(["a cat"])[0].text
        type_and_wait(browser, "a cat", expected)
        assert by_id(browser, "translation").rect["y"] > by_id(browser, "text").rect["y"] + 50
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        save_screenshot(browser, "page-narrow")
        by_id(browser, "swap").click()
        back = translators[1].translate([expected], split_sentences=True)[0].text
        wait_for(browser, lambda: translation_of(browser) == back, "the translation back")
        assert by_id(browser, "source").get_property("value") == "de"
        assert problems(browser) == []


def test_the_page_names_nothing_elsewhere():
    assert {name for name, _ in FILES.values()} == {path.name for path in FOLDER.iterdir()}
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "") and "innerHTML" not in text and "style=" not in text
