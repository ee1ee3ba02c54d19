"""Tests limits, API keys and errors of the server. Expected statuses and messages are written by hand."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from processes import wait_until
from served import Served, connect, gate_of, limited, make_translator, served

from gnmt.errors import UserError
from gnmt.serving.application import Settings
from gnmt.serving.job_queue import JobQueue
from gnmt.serving.keys import find_key, read_keys
from gnmt.serving.limits import Limits, RateLimiter
from gnmt.serving.refusals import Refusal

KEYS = "# comment\n\nalice alice-key-0123456789\nbob bob-key-0123456789abc 2\n"


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    return make_translator(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="module")
def server(translator):
    limits = limited(char_limit=40, batch_limit=3, sentence_limit=4, beam_limit=6, file_limit=1)
    with served([translator], limits) as running:
        yield running


@pytest.mark.parametrize(
    "body, status, words",
    [
        ({"q": "a" * 41}, 413, "41 characters, but at most 40"),
        ({"q": ["a"] * 4}, 413, "4 texts, but at most 3"),
        ({"q": "Dog. Cat. The. Dog. Cat. Dog."}, 413, "sentences, but at most 4"),
        ({"q": []}, 400, "no text"),
        ({"q": "a", "alternatives": 6}, 400, "alternatives + 1 is 7, but must be at most 6"),
        ({"q": "a", "alternatives": -1}, 400, "alternatives: Input should be greater"),
        ({"q": "a", "format": "pdf"}, 400, "format: "),
        ({"q": 3}, 400, "q: Input should be a valid string"),
        ({}, 400, "q: Field required"),
        ({"q": "a", "target": "fr"}, 400, "No model translates from 'en' to 'fr': choose one of en to de."),
    ],
)
def test_an_invalid_request_gets_a_message_with_the_remedy(server, body, status, words):
    response = server.post("/translate", {"source": "en", "target": "de", **body})
    assert response.status == status and words in response.json["error"], response.text
    assert server.translate("a cat").status == 200


@pytest.mark.parametrize(
    "body, words",
    [
        ({"beam": 7}, "beam is 7, but must be at most 6"),
        ({"beam": 2, "nbest": 3}, "nbest is 3, but must be at most beam, which is 2"),
        ({"beam": 0}, "beam: Input should be greater than or equal to 1"),
        ({"coverage_penalty": float("nan")}, "coverage_penalty"),
        ({"length_norm_factor": float("inf")}, "length_norm_factor"),
        ({"temperature": 2}, "temperature: unknown field; /openapi.json lists the fields"),
        ({"prefixes": ["a", "b"], "split_sentences": False}, "prefixes must have one entry per text"),
        ({"source": "auto"}, "needs the language of the texts instead of 'auto': choose one of en to de."),
    ],
)
def test_a_wrong_option_is_named(server, body, words):
    response = server.detailed(["a cat"], **body)
    assert response.status == 400 and words in response.json["error"], response.text


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"\xff"', b"[" * 3000, b'{"q": ' + b"9" * 5000 + b"}"])
@pytest.mark.parametrize("path", ["/translate", "/v1/translate", "/detect", "/translator/translate"])
def test_a_malformed_body_is_refused(server, path, body):
    response = server.ask("POST", path, body, {"Content-Type": "application/json"})
    assert response.status == 400 and response.json["error"], response.text


def test_lone_surrogates_are_replaced(server):
    for path, name in (("/translate", "q"), ("/detect", "q")):
        body = b'{"%s": "a \\ud800", "source": "en", "target": "de"}' % name.encode()
        assert server.ask("POST", path, body, {"Content-Type": "application/json"}).status == 200
    response = server.translate("a", target="\ud800")
    assert response.status == 400 and response.json["error"]


def test_other_content_types_and_routes_are_refused(server):
    response = server.ask("POST", "/translate", b"a cat", {"Content-Type": "text/plain"})
    assert (response.status, response.json["error"]) == (
        400,
        "The content type is 'text/plain', but must be application/json, application/x-www-form-urlencoded or "
        "multipart/form-data.",
    )
    assert server.get("/nothing").json == {"error": "Not Found: /openapi.json lists the routes.", "code": "http"}
    wrong = server.get("/translate")
    assert wrong.status == 405 and wrong.headers["allow"] == "POST"


@pytest.mark.parametrize("body", [b'{"q": "a = b & c", "source": "en"}', b' \n{"q": "a"}', b'["a"]'])
@pytest.mark.parametrize("path", ["/translate", "/detect"])
def test_json_that_is_sent_as_a_form_is_refused_with_the_header(server, path, body):
    response = server.ask("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert (response.status, response.json["error"]) == (
        400,
        "The body is not a form, but JSON: send it with Content-Type: application/json.",
    )


def test_a_form_may_have_a_text_that_looks_like_json(server):
    assert server.post_form("/translate", q='{"q": "a"}', source="en", target="de").status == 200
    assert "q: Field required" in server.post_form("/translate", text='{"q": "a"}').json["error"]


@pytest.mark.parametrize("path", ["/translate", "/v1/translate"])
def test_a_large_body_is_refused_with_and_without_its_length(server, path):
    size = 200_000
    head = {"Content-Type": "application/json"}
    response = server.ask("POST", path, b" " * size, head)
    message = "send texts of at most 40 characters, or a file of at most 1 bytes."
    assert response.status == 413 and message in response.json["error"]
    connection = connect(server.url)
    connection.request("POST", path, iter([b" " * 50_000] * 4), head, encode_chunked=True)
    chunked = connection.getresponse()
    assert chunked.status == 413 and message in json.loads(chunked.read())["error"]
    connection.close()


def test_every_response_has_the_security_headers(server):
    for response in (server.get("/"), server.get("/nothing"), server.translate("a cat")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "server" not in response.headers and "access-control-allow-origin" not in response.headers


def test_other_origins_are_allowed_when_asked_for(translator):
    with served([translator], Settings(origins=["https://a.example"])) as running:
        head = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        assert (
            running.ask("OPTIONS", "/translate", headers=head).headers["access-control-allow-origin"] == head["Origin"]
        )
        assert "access-control-allow-origin" not in running.get("/languages", Origin="https://b.example").headers


# -- queue and deadline


def test_a_full_queue_refuses_and_disturbs_nobody(translator, monkeypatch):
    """Sentences cannot finish before a request is refused, so the queue is full on machines of any speed."""
    gate = gate_of(translator, monkeypatch)

    def ask(_):
        response = running.detailed(texts)
        if response.status != 200:
            gate.set()
        return response

    settings = Settings(Limits(queue_limit=60), slots=1)
    texts = ["the dog sees a cat"] * 9
    (expected,) = translator.translate(texts[:1])
    with served([translator], settings) as running, ThreadPoolExecutor(8) as pool:
        gate.clear()
        responses = list(pool.map(ask, range(8)))
        refused = [response for response in responses if response.status != 200]
        assert refused and len(refused) < 8
        for response in refused:
            assert (
                response.status == 503
                and response.json["code"] == "queue"
                and int(response.headers["retry-after"]) >= 1
            )
        for response in responses:
            if response.status == 200:
                tokens = [
                    translation["sentences"][0]["hypotheses"][0]["tokens"]
                    for translation in response.json["translations"]
                ]
                assert tokens == [expected.tokens] * 9
        assert running.detailed(["a cat"]).status == 200


def test_a_request_ends_at_its_deadline_and_frees_its_rows(translator):
    with served([translator], Settings(Limits(deadline=0.001), slots=1)) as running:
        response = running.translate(["the dog sees a cat"] * 20)
        assert response.status == 503 and response.json["code"] == "deadline" and "retry-after" in response.headers
        body = {"texts": ["the dog"] * 20, "source": "en", "target": "de"}
        assert json.loads(running.post("/v1/translate?stream=1", body).text.splitlines()[-1])["code"] == "deadline"
        wait_until_idle(running)


def wait_until_idle(running: Served) -> None:
    wait_until(lambda: "gnmt_running_searches 0.0" in running.get("/metrics").text)


def test_a_failing_search_is_an_error_of_its_own_requests_only(translator, monkeypatch):
    decode = translator.codec.decode

    def fail(sentence, hypotheses, *options):
        if sentence.text == "the dog":
            raise ValueError("no")
        return decode(sentence, hypotheses, *options)

    monkeypatch.setattr(translator.codec, "decode", fail)
    with served([translator]) as running, ThreadPoolExecutor(6) as pool:
        texts = ["the dog", "a cat"] * 3
        responses = list(pool.map(running.translate, texts))
        assert [response.status for response in responses] == [500, 200] * 3
        assert responses[0].json["code"] == "failed" and "no" not in responses[0].json["error"].split()


@pytest.mark.parametrize("method", ["step", "add", None])  # None: creating the search fails
def test_a_search_that_breaks_ends_with_its_requests(translator, monkeypatch, method):
    search, first_step = translator.search, []

    def fail(*_):
        raise RuntimeError("broken")

    def step_once(step):
        if first_step:
            fail()
        first_step.append(True)
        return step()

    def broken(options, joining_share):
        made = search(options, joining_share)
        if options.beam == 3 and method is None:
            fail()
        elif options.beam == 3 and method == "step":
            made.step = partial(step_once, made.step)  # the metrics count the search when it fails
        elif options.beam == 3:
            made.add = fail
        return made

    monkeypatch.setattr(translator, "search", broken)
    with served([translator]) as running:
        assert running.detailed(["a cat"], beam=3).status == 500
        metrics = running.get("/metrics").text  # no further search runs, which would correct the metrics
        assert "gnmt_running_sentences 0.0" in metrics and "gnmt_running_searches 0.0" in metrics
        assert running.detailed(["a cat"], beam=4).status == 200
        assert running.get("/health/ready").status == 200


def test_a_failed_engine_is_named(translator, monkeypatch):
    """Running and later requests are told that the engine has failed, not that the server is stopping."""

    def fail(queue, free, slots):
        if len(queue):
            raise RuntimeError("no jobs")
        return []

    with served([translator]) as running:  # now the model is warm
        monkeypatch.setattr(JobQueue, "take", fail)
        for _ in range(2):
            response = running.translate("a cat")
            assert (response.status, response.json["code"]) == (503, "failed") and "started again" in response.json[
                "error"
            ]
        assert running.get("/health/ready").status == 503


# -- keys and rates


@pytest.fixture(scope="module")
def locked(translator, tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "keys.txt"
    path.write_text(KEYS)
    with served([translator], Settings(keys=read_keys(path))) as running:
        yield running


def test_a_wrong_key_and_a_missing_key_have_different_messages(locked):
    missing, empty = locked.translate("a cat"), locked.translate("a cat", api_key="")
    wrong = locked.translate("a cat", api_key="wrong")
    body = {"texts": ["a cat"], "source": "en", "target": "de"}
    bearer = locked.post("/v1/translate", body, Authorization="Bearer wrong")
    for response in (missing, empty):
        assert response.json["error"].startswith("This server needs an API key: send it as api_key, ")
    for response in (wrong, bearer):
        assert response.json["error"].startswith("The API key is wrong: send a valid one as api_key, ")


def test_limits_are_integers_where_they_are_declared_so(server):
    limits = server.get("/v1/limits").json["limits"]
    assert limits["char_limit"] == 40 and isinstance(limits["char_limit"], int) and isinstance(limits["deadline"], int)
    assert server.get("/v1/limits").text.count(".0") == 0


@pytest.mark.parametrize("path", ["/", "/page.js", "/health", "/health/ready"])
def test_head_has_the_status_and_length_of_get(server, path):
    head_response, get_response = server.ask("HEAD", path), server.get(path)
    assert (head_response.status, head_response.text) == (200, "")
    assert (
        head_response.headers["content-length"]
        == get_response.headers["content-length"]
        == str(len(get_response.text.encode()))
    )


def test_a_key_is_needed_in_the_body_or_the_header(locked):
    assert locked.get("/v1/limits").json["needs_key"] is True
    for response in (locked.translate("a cat"), locked.translate("a cat", api_key="wrong"), locked.detailed(["a cat"])):
        assert response.status == 403 and response.json["code"] == "key"
    key = "alice-key-0123456789"
    assert locked.translate("a cat", api_key=key).status == 200
    assert locked.post_form("/translate", q="a cat", source="en", target="de", api_key=key).status == 200
    body = {"texts": ["a cat"], "source": "en", "target": "de"}
    assert locked.post("/v1/translate", body, Authorization=f"Bearer {key}").status == 200
    assert locked.get("/languages").status == 200 and locked.get("/health").status == 200
    metrics = locked.get("/metrics").text
    assert "alice" not in metrics and "127.0.0.1" not in metrics


def test_a_key_has_its_own_rate(locked):
    responses = [locked.translate("a cat", api_key="bob-key-0123456789abc") for _ in range(3)]
    assert [response.status for response in responses] == [200, 200, 429]
    assert 1 <= int(responses[2].headers["retry-after"]) <= 60 and responses[2].json["code"] == "rate"
    assert locked.translate("a cat", api_key="alice-key-0123456789").status == 200


def test_an_address_has_the_rate_of_the_server(translator):
    with served([translator], limited(requests_per_minute=3)) as running:
        assert [running.translate("a cat").status for _ in range(5)] == [200] * 3 + [429] * 2
        assert running.get("/languages").status == 200


def test_keys_are_found_by_their_value(tmp_path):
    path = tmp_path / "keys.txt"
    path.write_text(KEYS)
    keys = read_keys(path)
    assert [(key.name, key.requests_per_minute) for key in keys] == [("alice", None), ("bob", 2.0)]
    assert find_key(keys, "bob-key-0123456789abc") == keys[1]
    assert find_key(keys, "bob-key") is find_key(keys, None) is find_key(keys, "") is None


@pytest.mark.parametrize(
    "text, words",
    [
        ("alice\n", "1 fields"),
        ("alice short\n", "5 characters"),
        ("alice alice-key-0123456789 often\n", "'often'"),
        ("alice alice-key-0123456789 nan\n", "'nan'"),
        ("a alice-key-0123456789\nb alice-key-0123456789\n", "twice"),
        ("# nothing\n", "no keys"),
    ],
)
def test_a_wrong_key_file_is_refused(tmp_path, text, words):
    path = tmp_path / "keys.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        read_keys(path)


@pytest.mark.parametrize("path", ["/translate", "/detect", "/v1/translate", "/translator/translate"])
@pytest.mark.parametrize("body", [b"{", b'{"q": "\xff"}', b"[" * 20_000, b"9" * 5000])
def test_all_routes_report_invalid_json_alike(server, path, body):
    response = server.ask("POST", path, body, {"Content-Type": "application/json"})
    assert (response.status, response.json["error"]) == (
        400,
        "The body is not valid JSON: send a JSON object in UTF-8.",
    )


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])  # a body is read only if its content type is known
@pytest.mark.parametrize("cut", [b"{", b"1\r\nz\r\nbad"])
def test_a_client_that_ends_within_its_request_leaves_no_trace(translator, caplog, cut, kind):
    head = "Content-Length: 100" if cut == b"{" else "Transfer-Encoding: chunked"
    with served([translator]) as running:
        address = urlsplit(running.url)
        with socket.create_connection((address.hostname, address.port)) as client:
            request = f"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{head}\r\n\r\n"
            client.sendall(request.encode() + cut)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1000):
                pass
        assert running.translate("a cat").status == 200
        assert 'code="500"' not in running.get("/metrics").text
    assert not [record for record in caplog.records if record.exc_info]


def test_rates_allow_a_burst_and_then_an_even_flow():
    now = [1000.0]
    limiter = RateLimiter(clock=lambda: now[0])
    for _ in range(6):
        limiter.check("a", 6)
    with pytest.raises(Refusal) as refused:
        limiter.check("a", 6)
    assert refused.value.retry_after == pytest.approx(10) and refused.value.headers == {"Retry-After": "10"}
    limiter.check("b", 6)
    now[0] += 10
    limiter.check("a", 6)
    with pytest.raises(Refusal):
        limiter.check("a", 6)


def test_a_rate_below_one_in_a_minute_allows_one():
    now = [0.0]
    limiter = RateLimiter(clock=lambda: now[0])
    limiter.check("a", 0.5)
    with pytest.raises(Refusal) as refused:
        limiter.check("a", 0.5)
    assert refused.value.retry_after == pytest.approx(120)


def test_limits_have_ranges():
    with pytest.raises(UserError, match="--char-limit is 0, but must be at least 1"):
        Limits(char_limit=0)
    with pytest.raises(UserError, match="--deadline is 0, but must be above 0"):
        Limits(deadline=0)


def test_a_body_that_never_ends_is_given_up(translator, monkeypatch):
    monkeypatch.setattr("gnmt.serving.middleware.BODY_SECONDS", 0.2)
    with served([translator]) as running:
        connection = connect(running.url)
        connection.putrequest("POST", "/translate")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "100")
        connection.endheaders(b"{")
        response = connection.getresponse()
        assert response.status == 408 and b"0.2 seconds" in response.read()
        connection.close()


@pytest.mark.parametrize("content_type", [None, "text/plain"])
def test_a_body_without_the_type_json_is_refused_with_the_header(server, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    connection = connect(server.url)
    connection.request("POST", "/v1/translate", body=b'{"texts": ["a cat"]}', headers=headers)
    response = connection.getresponse()
    error = json.loads(response.read())["error"]
    connection.close()
    assert response.status == 400 and "send it with Content-Type: application/json" in error, error
