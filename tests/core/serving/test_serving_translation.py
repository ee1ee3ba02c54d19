"""Tests translation over HTTP with the three APIs, for any schedule of requests.

Expected translations come from `Translator`.
"""

import json
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from model_folders import make_model_folder
from processes import wait_until
from served import connect, gate_of, limited, make_translator, random_texts, served

from gnmt.checkpoints.model_config import GenerationConfig
from gnmt.serving.application import Settings
from gnmt.serving.v1_routes import TranslationSerializer
from gnmt.translation.results import SentenceTranslation, TranslatedHypothesis
from gnmt.translator import Translator


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    back = Translator.from_pretrained(make_model_folder(folder / "back", 8, source_language="de", target_language="en"))
    with served([make_translator(folder / "model"), back]) as running:
        yield running


TEXTS = random_texts(40)
OPTIONS = [{}, {"beam": 2}, {"beam": 8, "nbest": 3}, {"length_norm_factor": 1.0, "coverage_penalty": 0.4}]


def test_concurrent_requests_are_translated_as_if_each_were_alone(server):
    """Sentences join running searches, next to sentences with other options; some clients disconnect."""
    expected = [server.translator.translate(TEXTS, **options) for options in OPTIONS]
    generator = random.Random(3)
    requests = [(index, choice) for index in range(len(TEXTS)) for choice in range(len(OPTIONS))]
    generator.shuffle(requests)

    def ask(request):
        index, choice = request
        if (index + choice) % 9 == 0:
            leave_early(server.url, TEXTS[index], OPTIONS[choice])
        return server.detailed([TEXTS[index]], **OPTIONS[choice])

    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(ask, requests))
    for (index, choice), response in zip(requests, responses):
        assert response.status == 200, response.text
        hypotheses = response.json["translations"][0]["sentences"][0]["hypotheses"]
        expected_nbest = expected[choice][index].nbest
        assert [hypothesis["tokens"] for hypothesis in hypotheses] == [
            hypothesis.tokens for hypothesis in expected_nbest
        ]
        assert [hypothesis["score"] for hypothesis in hypotheses] == pytest.approx(
            [hypothesis.score for hypothesis in expected_nbest], abs=2e-5
        )
        assert hypotheses[0]["coverage"] == pytest.approx(expected_nbest[0].attention.sum(dim=0).tolist(), abs=2e-4)
        assert [(link["source"], link["target"]) for link in hypotheses[0]["word_alignment"]] == expected_nbest[
            0
        ].word_alignment


def leave_early(url: str, text: str, options: dict) -> None:
    connection = connect(url)
    body = json.dumps({"texts": [text] * 5, "source": "en", "target": "de", **options})
    connection.request("POST", "/v1/translate", body, {"Content-Type": "application/json"})
    time.sleep(0.005)
    connection.close()


def test_a_running_search_is_freed_when_its_client_is_gone(server):
    for _ in range(3):
        leave_early(server.url, "the dog sees a cat and runs .", {})
    wait_until(lambda: "gnmt_running_sentences 0.0" in server.get("/metrics").text)
    assert server.get("/health/ready").status == 200


def test_libretranslate_text_list_and_form_have_one_answer(server):
    text = "The dog sees. The cat runs, and a dog sees.\n\nA cat."
    (expected,) = server.translator.translate([text], split_sentences=True)
    assert server.translate(text).json == {"translatedText": expected.text}
    assert server.translate([text, ""]).json == {"translatedText": [expected.text, ""]}
    form = server.post_form("/translate", q=text, source="en", target="de", format="text")
    assert form.json == {"translatedText": expected.text}
    assert "\n\n" in expected.text


def test_alternatives_are_the_next_hypotheses(server):
    (expected,) = server.translator.translate(["the dog runs"], nbest=5)
    texts = list(dict.fromkeys(hypothesis.text for hypothesis in expected.nbest))
    response = server.translate("the dog runs", alternatives=4).json
    assert [response["translatedText"], *response["alternatives"]] == texts
    assert server.translate(["the dog runs"], alternatives=4).json["alternatives"] == [texts[1:]]


def test_the_source_language_is_detected_among_those_of_the_models(server):
    response = server.translate(
        ["Der Hund ist nicht in dem Haus", "the dog is in the house"], source="auto", target="en"
    )
    assert response.status == 400 and "'en' to 'en'" in response.json["error"]
    response = server.translate("The dog is not in the house", source="auto")
    assert (
        response.json["detectedLanguage"]["language"] == "en" and response.json["detectedLanguage"]["confidence"] > 80
    )
    guesses = server.post_form("/detect", q="Der Hund ist nicht in dem Haus").json
    assert [guess["language"] for guess in guesses] == ["de", "en"] and guesses[0]["confidence"] > 80


def test_languages_have_names_and_targets(server):
    assert server.get("/languages").json == [
        {"code": "en", "name": "English", "targets": ["de"]},
        {"code": "de", "name": "German", "targets": ["en"]},
    ]


def test_opennmt_answers_by_rank_and_sentence(server):
    (expected,) = server.translator.translate(["the dog runs"])
    response = server.post("/translator/translate", [{"src": "the dog runs", "id": 100}, {"src": " "}]).json
    assert response == [
        [
            {"src": "the dog runs", "tgt": expected.text, "n_best": 1, "pred_score": pytest.approx(expected.score)},
            {"src": " ", "tgt": " ", "n_best": 1, "pred_score": 0.0},
        ]
    ]
    assert [entry["model_id"] for entry in server.get("/translator/models").json] == [100, 101]
    assert server.post("/translator/translate", [{"src": "a", "id": 7}]).status == 400


def test_a_stream_has_a_line_for_each_sentence(server):
    texts = ["The dog sees. The cat runs.", "", "a cat"]
    expected = server.translator.translate(texts, split_sentences=True)
    body = {"texts": texts, "source": "en", "target": "de"}
    response = server.post("/v1/translate?stream=1", body)
    assert response.headers["content-type"].startswith("application/x-ndjson")
    lines = {(record["text"], record["sentence"]): record for record in map(json.loads, response.text.splitlines())}
    assert sorted(lines) == [(0, 0), (0, 1), (2, 0)]
    for text, translation in enumerate(expected):
        for number, sentence in enumerate(translation.sentences):
            tokens = [hypothesis["tokens"] for hypothesis in lines[text, number]["hypotheses"]]
            assert tokens == [hypothesis.tokens for hypothesis in sentence.nbest]


def test_prefix_attention_and_truncation_equal_the_translator(server):
    text = "the dog sees a cat"
    (expected,) = server.translator.translate([text], prefix=["a cat"], max_length=3)
    response = server.detailed([text], prefixes=["a cat"], split_sentences=False, max_length=3, attention=True).json
    (sentence,) = response["translations"][0]["sentences"]
    assert sentence["is_truncated"] and sentence["source_tokens"] == ["▁the", "▁dog", "▁sees"]
    (hypothesis,) = sentence["hypotheses"]
    assert hypothesis["tokens"] == expected.tokens and hypothesis["tokens"][:2] == ["▁a", "▁cat"]
    assert hypothesis["attention"] == [pytest.approx(row, abs=1e-4) for row in expected.attention.tolist()]
    assert server.detailed([text], prefixes=["a"]).status == 400


def test_the_length_limit_equals_the_search():
    """A source of 100 tokens with EOS allows 0.29 x 100 = 29 tokens; the product is 28.999... in float64."""
    serializer = TranslationSerializer(GenerationConfig(max_len_a=0.29, max_len_b=0), with_attention=False)
    for length, is_at_limit in ((28, False), (29, True)):
        best = TranslatedHypothesis("", -1.0, ["a"] * length, [0.0] * (length + 1), torch.zeros(length + 1, 100), [])
        translation = SentenceTranslation("", ["b"] * 99, [best], False)
        (shown,) = serializer.sentence(translation, "")["hypotheses"]
        assert shown["is_at_length_limit"] is is_at_limit


def test_one_long_request_does_not_hold_up_a_short_one(tmp_path, monkeypatch):
    """There are few slots, but the single sentence does not wait for the whole document."""
    translator = make_translator(tmp_path / "model")
    gate, decode, done = gate_of(translator, monkeypatch), translator.codec.decode, []

    def noted(sentence, *further):
        done.append(sentence.text)
        return decode(sentence, *further)

    monkeypatch.setattr(translator.codec, "decode", noted)
    with served([translator], Settings(limited().limits, slots=2)) as running, ThreadPoolExecutor(2) as pool:

        def waiting() -> float:
            return float(re.search(r"^gnmt_queue_tokens (\S+)", running.get("/metrics").text, re.MULTILINE)[1])

        done.clear()
        gate.clear()
        long = pool.submit(running.detailed, ["the dog"] * 30)
        wait_until(lambda: waiting() == 28 * 3)  # two sentences run, each with two words and EOS
        short = pool.submit(running.detailed, ["a cat"])
        wait_until(lambda: waiting() == 29 * 3)
        gate.set()
        assert [long.result().status, short.result().status] == [200, 200]
    # after the two running sentences, and at most one of each request
    assert len(done) == 31 and done.index("a cat") <= 4


def test_long_sentences_run_separately_and_are_correct(server):
    texts = [" ".join(["the dog sees a cat"] * times) for times in (1, 20, 40, 90)]
    expected = [translation.tokens for translation in server.translator.translate(texts)]
    responses = server.detailed(texts, split_sentences=False).json["translations"]
    assert [result["sentences"][0]["hypotheses"][0]["tokens"] for result in responses] == expected


def test_two_models_of_one_pair_are_refused(tmp_path):
    from gnmt.errors import UserError
    from gnmt.serving.application import make_application

    translator = make_translator(tmp_path / "model")
    with pytest.raises(UserError, match="Two models translate from en into de"):
        make_application([translator, translator])


def test_the_engine_computes_with_the_threads_of_the_settings(tmp_path, monkeypatch):
    translator = make_translator(tmp_path / "model")
    numbers, search, before = [], translator.search, torch.get_num_threads()

    def recording_search(*arguments, **options):
        numbers.append(torch.get_num_threads())
        return search(*arguments, **options)

    monkeypatch.setattr(translator, "search", recording_search)
    try:
        with served([translator], Settings(threads=before + 1)) as server:
            assert server.detailed(["a dog"]).status == 200
    finally:
        torch.set_num_threads(before)
    assert numbers and set(numbers) == {before + 1}
