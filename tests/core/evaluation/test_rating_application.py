"""Tests the rating server through its HTTP interface: its log file, the order of items, invalid requests and write
errors. Expected responses are written by hand.
"""

import errno
import json
import os
import threading

import pytest

from gnmt.errors import UserError
from gnmt.evaluation.rating.campaign import Campaign, Item, Rater
from gnmt.evaluation.rating.order import item_order, output_order
from gnmt.evaluation.rating.storage import Rating, RatingLog, read_ratings, ratings_of

pytest.importorskip("fastapi", reason="needs fastapi: pip install the extra [serve]")
pytest.importorskip("httpx", reason="needs httpx: pip install the extra [dev]")

from fastapi.testclient import TestClient  # noqa: E402

from gnmt.evaluation.rating.application import MAX_BODY_BYTES, create_application  # noqa: E402

ITEMS = [
    Item(f"i{number}", f"source {number}", [f"x{number}", f"y{number}", f"z{number}"], None) for number in range(6)
]
CAMPAIGN = Campaign(1, "en", "de", ITEMS)
RATERS = [Rater("ann", "secret-of-ann"), Rater("bob", "secret-of-bob")]
RATING = Rating("ann", "i1", 0, 1, 4, 1500, "2026-01-01T00:00:00.000+00:00")


@pytest.fixture
def log(tmp_path):
    opened = RatingLog(tmp_path / "ratings.jsonl")
    yield opened
    opened.close()


@pytest.fixture
def client(log):
    return TestClient(create_application(CAMPAIGN, RATERS, log))


def headers(rater: Rater) -> dict:
    return {"Authorization": f"Bearer {rater.token}"}


def vote(**changes) -> dict:
    return {"item": "i1", "position": 0, "score": 5, "milliseconds": 1200, **changes}


# -- the log


def test_a_rating_is_on_disk_when_append_returns(tmp_path, log, monkeypatch):
    synchronised = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synchronised.append(os.fstat(descriptor).st_size))
    log.append(RATING)
    content = (tmp_path / "ratings.jsonl").read_bytes()
    assert synchronised == [len(content)] and read_ratings(tmp_path / "ratings.jsonl") == [RATING]


def test_an_incomplete_last_line_is_cut_off(tmp_path, log):
    log.append(RATING)
    log.append(RATING._replace(score=2))
    path = tmp_path / "ratings.jsonl"
    whole = path.read_bytes()
    for size in range(len(whole) // 2 + 1, len(whole)):
        path.write_bytes(whole[:size])
        assert read_ratings(path) == [RATING]
        again = RatingLog(path)
        again.append(RATING._replace(output=1))
        again.close()
        assert read_ratings(path) == [RATING, RATING._replace(output=1)]


def test_a_failed_write_leaves_the_log_as_it_was(tmp_path, log, monkeypatch):
    log.append(RATING)
    before = (tmp_path / "ratings.jsonl").read_bytes()

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        log.append(RATING._replace(score=0))
    assert (tmp_path / "ratings.jsonl").read_bytes() == before and log.of_rater("ann") == {("i1", 0): 4}


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", json.dumps({**RATING._asdict(), "score": 7}), json.dumps({**RATING._asdict(), "output": "0"}),
             json.dumps({**RATING._asdict(), "score": True}), json.dumps({**RATING._asdict(), "rater": "\ud800"})],
)  # fmt: skip
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "ratings.jsonl"
    path.write_text(json.dumps(RATING._asdict()) + f"\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 2 is not a rating"):
        RatingLog(path)


def test_ratings_of_another_campaign_are_refused(tmp_path, log):
    log.append(RATING)
    assert ratings_of(tmp_path, CAMPAIGN) == [RATING]
    log.append(RATING._replace(output=3))
    with pytest.raises(UserError, match="output 3 of item i1, which campaign.json in its directory lacks"):
        ratings_of(tmp_path, CAMPAIGN)


# -- the page and its policy


@pytest.mark.parametrize("path", ["/", "/rating.js", "/rating.css", "/api/campaign", "/none"])
def test_every_answer_has_the_strict_policy(client, path):
    response = client.get(path)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'") and "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff" and response.headers["cache-control"] == "no-store"


def test_the_page_is_complete_in_itself(client):
    html = client.get("/").text
    assert (
        "http" not in html and "<style" not in html and " style=" not in html and " on" not in html.split("<body>")[0]
    )
    script = client.get("/rating.js").text
    assert "innerHTML" not in script and "http:" not in script and "https:" not in script


def test_there_is_no_documentation_to_load_from_elsewhere(client):
    assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404] * 3


# -- items and votes


def test_each_rater_has_another_order_of_items_and_outputs(client):
    shown = {rater.name: client.get("/api/campaign", headers=headers(rater)).json()["items"] for rater in RATERS}
    for name, items in shown.items():
        order = item_order(CAMPAIGN, name)
        assert [item["id"] for item in items] == [item.id for item in order]
        for item, expected in zip(items, order):
            assert item["outputs"] == [expected.outputs[output] for output in output_order(1, name, expected)]
            assert set(item) == {"id", "source", "outputs", "scores"} and item["scores"] == [None] * 3
    assert shown["ann"] != shown["bob"]


def test_a_vote_counts_for_the_output_at_its_position(client, log):
    for item in client.get("/api/campaign", headers=headers(RATERS[1])).json()["items"]:
        for position, text in enumerate(item["outputs"]):
            sent = vote(item=item["id"], position=position, score=position)
            response = client.post("/api/ratings", headers=headers(RATERS[1]), json=sent)
            assert (response.status_code, response.json()) == (200, {"saved": True})
            *_, rating = log.ratings.values()
            outputs = next(candidate.outputs for candidate in ITEMS if candidate.id == item["id"])
            assert (rating.rater, rating.item, rating.position, rating.score) == ("bob", item["id"], position, position)
            assert outputs[rating.output] == text and rating.milliseconds == 1200
    items = client.get("/api/campaign", headers=headers(RATERS[1])).json()["items"]
    assert all(item["scores"] == [0, 1, 2] for item in items)
    items = client.get("/api/campaign", headers=headers(RATERS[0])).json()["items"]
    assert all(item["scores"] == [None] * 3 for item in items)


def test_the_last_vote_counts(client, log):
    for score in (5, 0):
        assert client.post("/api/ratings", headers=headers(RATERS[0]), json=vote(score=score)).status_code == 200
    assert set(log.of_rater("ann").values()) == {0}


@pytest.mark.parametrize("header", [None, "", "Bearer ", "Bearer wrong", "secret-of-an", "Bearer secret-of-anné"])
def test_without_a_token_nothing_is_shown_and_nothing_is_saved(client, log, header):
    sent = {} if header is None else {"Authorization": header.encode("utf-8")}
    for response in (client.get("/api/campaign", headers=sent), client.post("/api/ratings", headers=sent, json=vote())):
        assert response.status_code == 403 and "not valid" in response.json()["error"] and "source" not in response.text
    assert not log.ratings


WRONG = [
    (b"{", "not JSON"),
    (b"[" * 900, "not JSON"),
    (b"\xff", "not JSON"),
    (b"[]", "must be an object"),
    (json.dumps(vote(extra=1)).encode(), "must be an object"),
    (json.dumps(vote(item="none")).encode(), "no such item"),
    (json.dumps(vote(item=["i1"])).encode(), "no such item"),
    (json.dumps(vote(score=7)).encode(), "score must be a whole number from 0 to 6"),
    (json.dumps(vote(score=True)).encode(), "score must be"),
    (json.dumps(vote(score=3.0)).encode(), "score must be"),
    (json.dumps(vote(score=None)).encode(), "score must be"),
    (json.dumps(vote(position=3)).encode(), "position must be a whole number from 0 to 2"),
    (json.dumps(vote(position=-1)).encode(), "position must be"),
    (json.dumps(vote(milliseconds=10**12)).encode(), "milliseconds must be"),
    (b" " * (MAX_BODY_BYTES + 1), "more than 1000 bytes"),
]


@pytest.mark.parametrize("body, words", WRONG)
def test_wrong_votes_are_refused_with_a_sentence(client, log, body, words):
    response = client.post("/api/ratings", headers=headers(RATERS[0]), content=body)
    assert response.status_code == 400 and words in response.json()["error"]
    assert not log.ratings


def test_a_full_disk_is_not_acknowledged(client, log, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    response = client.post("/api/ratings", headers=headers(RATERS[0]), json=vote())
    assert response.status_code == 503 and "could not be saved" in response.json()["error"]
    monkeypatch.undo()
    assert client.post("/api/ratings", headers=headers(RATERS[0]), json=vote()).status_code == 200


def test_raters_at_the_same_time_lose_nothing(client, log, tmp_path):
    def rate(rater: Rater) -> None:
        for item in ITEMS:
            for position in range(2):
                response = client.post(
                    "/api/ratings", headers=headers(rater), json=vote(item=item.id, position=position)
                )
                assert response.status_code == 200

    threads = [threading.Thread(target=rate, args=(rater,)) for rater in RATERS * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_ratings(tmp_path / "ratings.jsonl")) == 6 * 12 and len(log.ratings) == 24
