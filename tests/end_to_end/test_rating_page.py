"""Tests a rating campaign with two raters in a browser, a killed server, report and export.

Expected scores are the clicks of the raters.
"""

import csv
import http.client
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Dict, List

import pytest
from browser import browser, problems, save_screenshot  # noqa: F401
from commands import ROOT

pytest.importorskip("fastapi", reason="needs fastapi: pip install the extra [serve]")

ATTACK = "<img src=x onerror=\"document.title='attacked'\"><script>document.title='attacked'</script> & \"quotes\""
NAMES = ("secret-baseline", "secret-new")
PATIENCE = 240  # timeout in seconds on a busy machine
SENTENCES = """\
The children play football in the park. | Die Kinder spielen im Park Fußball.
A man reads a book on the train. | Ein Mann liest im Zug ein Buch.
Two dogs run along the beach. | Zwei Hunde laufen am Strand entlang.
A woman sells fruit at the market. | Eine Frau verkauft auf dem Markt Obst.
The old house stands on a hill. | Das alte Haus steht auf einem Hügel.
People wait for the bus in the rain. | Leute warten im Regen auf den Bus.
A girl in a red dress is dancing. | Ein Mädchen in einem roten Kleid tanzt.
The cat sleeps on the window sill. | Die Katze schläft auf dem Fensterbrett.
Workers repair the road at night. | Arbeiter reparieren nachts die Straße.
A boy throws a ball to his brother. | Ein Junge wirft seinem Bruder einen Ball zu.
The band plays music on the stage. | Die Band macht auf der Bühne Musik.
An artist paints the quiet harbour. | Eine Künstlerin malt den stillen Hafen.
The waiter brings coffee and cake. | Der Kellner bringt Kaffee und Kuchen.
Students listen to their teacher. | Schüler hören ihrer Lehrerin zu.
A farmer drives a green tractor. | Ein Bauer fährt einen grünen Traktor.
The plane lands in heavy fog. | Das Flugzeug landet bei dichtem Nebel.
A couple walks along the river. | Ein Paar geht am Fluss spazieren.
The doctor talks to a patient. | Die Ärztin spricht mit einem Patienten.
A chef cooks soup for many guests. | Ein Koch kocht Suppe für viele Gäste.
Three friends climb a steep mountain. | Drei Freunde besteigen einen steilen Berg.
The library opens at nine o'clock. | Die Bücherei öffnet um neun Uhr.
A sailor ties the boat to the pier. | Ein Seemann macht das Boot am Steg fest.
The bakery smells of fresh bread. | Die Bäckerei duftet nach frischem Brot.
A tourist takes a photograph of the castle. | Ein Tourist macht ein Foto von der Burg."""
SOURCES, REFERENCES = zip(*(line.split(" | ") for line in SENTENCES.splitlines()))
BASELINE = [
    " ".join([*text.split()[:-2], text.split()[-1]]) + (f" {ATTACK}" if number % 2 else "")
    for number, text in enumerate(REFERENCES)
]


def gnmt(*arguments) -> str:
    """Runs the command; returns its output."""
    command = [sys.executable, "-m", "gnmt", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, timeout=2 * PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Server:
    """`gnmt rate serve` in a separate process."""

    def __init__(self, folder: Path, port: int = 0):
        command = [sys.executable, "-m", "gnmt", "rate", "serve", str(folder), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", cwd=ROOT)
        self.links = [self.process.stdout.readline().split(": ", 1)[1].strip() for _ in range(2)]
        self.port = int(re.search(r":(\d+)/#", self.links[0])[1])

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait(timeout=PATIENCE)


@pytest.fixture
def campaign(tmp_path):
    """Fixture: 20 sentences, one of them repeated, and one control. Outputs of the new system equal the references."""
    files = {"source": SOURCES, "reference": REFERENCES, "baseline": BASELINE, "new": REFERENCES}
    for name, lines in files.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    paths = [tmp_path / name for name in files]
    folder = tmp_path / "campaign"
    gnmt("rate", "prepare", *paths, "--names", *NAMES, "--items", 20, "--repeated", 0.05, "--controls", 0.05,
         "--output", folder, "--source-lang", "en", "--target-lang", "de")  # fmt: skip
    return folder


@pytest.fixture
def serve(campaign):
    servers: List[Server] = []

    def start(port: int = 0) -> Server:
        servers.append(Server(campaign, port))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


class Page:
    """The page of one rater in its own window."""

    def __init__(self, driver, link: str):
        self.driver = driver
        driver.switch_to.new_window("window")
        self.window = driver.current_window_handle
        driver.get(link)
        self.wait_for("#item:not([hidden])")

    def front(self) -> None:
        self.driver.switch_to.window(self.window)

    def all(self, selector: str) -> list:
        return self.driver.find_elements("css selector", selector)

    def wait_for(self, selector: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, PATIENCE).until(lambda _: self.all(selector))

    def text(self, selector: str) -> str:
        return self.all(selector)[0].text

    def wait_for_item(self, number: int) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, PATIENCE).until(lambda _: self.text("#item-title") == f"Item {number} of 22")

    def outputs(self) -> List[str]:
        return [element.text for element in self.all("#outputs .text")]

    def press(self, keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(keys).perform()

    def wait_for_saved(self, count: int) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        saved = lambda _: [element.text for element in self.all(".state")].count("saved") == count
        WebDriverWait(self.driver, PATIENCE).until(saved)


@pytest.fixture(autouse=True)
def no_log_of_selenium(caplog):
    caplog.set_level("WARNING")


def score_of(text: str, rater: int) -> int:
    """Returns the score that a rater gives: the new system is better, and rater 1 is strict."""
    return (5 if text in REFERENCES else 3 if text in BASELINE else 1) - rater


def rate_by_keys(page: Page) -> Dict[str, int]:
    """Rates an item by keys and continues with the next item; returns the scores by text."""
    given = {text: score_of(text, 0) for text in page.outputs()}
    page.press("".join(map(str, given.values())))
    page.wait_for_saved(len(given))
    page.press("\ue007")  # Enter
    return given


def rate_by_mouse(page: Page) -> Dict[str, int]:
    """Rates an item by mouse clicks, the last translation first."""
    given = {text: score_of(text, 1) for text in page.outputs()}
    for position, score in reversed(list(enumerate(given.values()))):
        page.all(f"fieldset[data-position='{position}'] input[value='{score}']")[0].click()
    page.wait_for_saved(len(given))
    if page.all("#next:enabled"):
        page.all("#next")[0].click()
    return given


def test_two_raters_in_a_browser(campaign, serve, browser, tmp_path):  # noqa: F811
    key = campaign / "key.json"
    key.rename(tmp_path / "key.json")  # the server works without it
    server = serve()
    first, second = (Page(browser, link) for link in server.links)
    given: List[Dict] = [{}, {}]
    for item in range(1, 12):
        for rater, (page, rate) in enumerate(((first, rate_by_keys), (second, rate_by_mouse))):
            page.front()
            page.wait_for_item(item)
            source = page.text("#source")
            given[rater][item] = (source, rate(page))
    assert [source for source, _ in given[0].values()] != [source for source, _ in given[1].values()]

    # The server is killed: a score is not acknowledged, and the page shows this.
    first.front()
    assert problems(browser) == []
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    first.press("6")
    first.wait_for("#problem:not([hidden])")
    assert "was not saved" in first.text("#problem") and not first.all("input:checked")

    # After a restart the personal link shows the first item without scores.
    server = serve(server.port)
    for rater, page in enumerate((first, second)):
        page.front()
        browser.refresh()
        page.wait_for("#item:not([hidden])")
        page.wait_for_item(12)
        assert page.text("#progress-text") == "11 of 22"
    problems(browser)

    # Back shows the saved scores, which can be changed.
    first.front()
    first.press("b")
    first.wait_for_item(11)
    assert len(first.all("input:checked")) == len(given[0][11][1])
    save_screenshot(browser, "rating")
    changed = {text: 6 - score for text, score in given[0][11][1].items()}
    for scores in (changed, given[0][11][1]):
        first.press("".join(map(str, scores.values())) + "\ue007")
        first.wait_for_item(12)
        first.press("b")
        first.wait_for_item(11)
        assert [int(element.get_attribute("value")) for element in first.all("input:checked")] == list(scores.values())
    first.press("\ue007")
    for item in range(12, 23):
        for rater, (page, rate) in enumerate(((first, rate_by_keys), (second, rate_by_mouse))):
            page.front()
            page.wait_for_item(item)
            given[rater][item] = (page.text("#source"), rate(page))
    for page in (first, second):
        page.front()
        page.wait_for("#end:not([hidden])")
        assert browser.title == "Rating of translations" and problems(browser) == []
    assert server.end(signal.SIGTERM) == -signal.SIGTERM

    (tmp_path / "key.json").rename(key)
    check_ratings(campaign, given)
    check_report(campaign, tmp_path)
    check_exports(campaign, tmp_path)


def check_ratings(campaign: Path, given: List[Dict]) -> None:
    """Compares the log with the actions of the raters."""
    items = {item["id"]: item for item in json.loads((campaign / "campaign.json").read_text(encoding="utf-8"))["items"]}
    logged: Dict[tuple, int] = {}
    for line in (campaign / "ratings.jsonl").read_text(encoding="utf-8").splitlines():
        rating = json.loads(line)
        item = items[rating["item"]]
        logged[rating["rater"], rating["item"], item["outputs"][rating["output"]]] = rating["score"]
    for rater, seen in enumerate(given):
        expected = sorted((source, text, score) for source, scores in seen.values() for text, score in scores.items())
        ratings = sorted((items[item]["source"], text, score) for (name, item, text), score in logged.items()
                       if name == f"rater-{rater + 1}")  # fmt: skip
        assert ratings == expected and len(ratings) == 2 * 22


def check_report(campaign: Path, tmp_path: Path) -> None:
    """The baseline has scores 3 and 2 by the two raters, the new system 5 and 4, in all items."""
    printed = gnmt("rate", "report", campaign, "--json", tmp_path / "r.json", "--picture", tmp_path / "histogram.png")
    assert "| secret-baseline | 2.50 [2.50, 2.50] | 20 |" in printed
    assert "| secret-new | 2.00 [2.00, 2.00] | 20 | 0 | 0 | 0.0000 |" in printed
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert [rater["failed_controls"] for rater in report["raters"]] == [0, 0]
    assert [(rater["complete"], rater["repeated_equal"]) for rater in report["raters"]] == [(22, 1.0), (22, 1.0)]
    assert report["histogram"]["secret-new"] == [0, 0, 0, 0, 20, 20, 0]
    # Pairs differ by 1. Of 80 values, 20 each of 2, 3, 4, 5: D_o = 1, D_e = 2 (var = 1.25) * 80 / 79.
    assert report["agreement"] == pytest.approx(1 - 1 / (2.5 * 80 / 79))
    assert (tmp_path / "histogram.png").read_bytes().startswith(b"\x89PNG")


def check_exports(campaign: Path, tmp_path: Path) -> None:
    gnmt("rate", "export", campaign, "--format", "csv", "--output", tmp_path / "r.csv")
    with open(tmp_path / "r.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 22 and {row["system"] for row in rows if row["kind"] == "rated"} == set(NAMES)
    gnmt("rate", "export", campaign, "--format", "pearmut", "--output", tmp_path / "pearmut.json")
    content = json.loads((tmp_path / "pearmut.json").read_text(encoding="utf-8"))
    assert [len(task) for task in content["data"]] == [22, 22]


def test_a_killed_server_has_every_score_that_it_acknowledged(campaign, serve):
    """Both raters send scores continuously; the server is killed at three random moments."""
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    acknowledged: List[tuple] = []

    def send(link: str, rater: str) -> None:
        address, token = link.split("/#")
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {token}"}
        try:
            connection.request("GET", "/api/campaign", headers=headers)
            items = json.loads(connection.getresponse().read())["items"]
            for milliseconds in itertools.count():
                item = items[milliseconds % len(items)]
                vote = {"item": item["id"], "position": 0, "score": milliseconds % 7, "milliseconds": milliseconds}
                connection.request("POST", "/api/ratings", json.dumps(vote), headers)
                if json.loads(connection.getresponse().read()) == {"saved": True}:
                    acknowledged.append((rater, item["id"], milliseconds))
        except (OSError, http.client.HTTPException, ValueError):  # the server has ended
            pass

    for _ in range(3):
        server = serve()
        threads = [threading.Thread(target=send, args=(link, f"rater-{number}"))
                   for number, link in enumerate(server.links, start=1)]  # fmt: skip
        before = len(acknowledged)
        for thread in threads:
            thread.start()
        while len(acknowledged) < before + 10:
            time.sleep(0.01)
        time.sleep(moments.random())
        server.end(signal.SIGKILL)
        for thread in threads:
            thread.join()
    lines = (campaign / "ratings.jsonl").read_bytes().split(b"\n")[:-1]
    logged = {(record["rater"], record["item"], record["milliseconds"]) for record in map(json.loads, lines)}
    assert len(acknowledged) >= 30 and set(acknowledged) <= logged, f"seed {seed}"


def test_the_server_ends_by_ctrl_c(serve):
    server = serve()
    assert server.end(signal.SIGINT) == -signal.SIGINT


def test_a_campaign_is_served_once(campaign, serve):
    serve()
    command = [sys.executable, "-m", "gnmt", "rate", "serve", str(campaign), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ, timeout=PATIENCE)
    assert done.returncode == 1 and "is in use by process" in done.stderr and "Traceback" not in done.stderr
