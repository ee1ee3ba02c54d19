"""Tests translation of HTML and subtitles: markup is kept, and inline tags are placed by attention.

Expected documents are written by hand.
"""

import random
import re

import pytest
import torch

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from served import make_translator, served

from gnmt.serving.html import escape, read_html, tokens_of
from gnmt.serving.markup import Text
from gnmt.serving.placement import Span, links_of, longest_runs, token_spans, units_of
from gnmt.serving.subtitles import Subtitles, wrap
from gnmt.translation.results import SentenceTranslation, TranslatedHypothesis


def translated(source: str, target: str, links: list) -> SentenceTranslation:
    """Returns a translation by units, whose target unit i attends to the source unit links[i]."""
    tokens = [[text[span.start : span.end] for span in units_of(text)] for text in (source, target)]
    attention = torch.full((len(tokens[1]) + 1, len(tokens[0]) + 1), 0.01)
    for unit, link in enumerate(links):
        attention[unit, link] = 1.0
    best = TranslatedHypothesis(target, -1.0, tokens[1], [0.0] * (len(links) + 1), attention, [])
    return SentenceTranslation(source, tokens[0], [best], False)


def placed(html: str, target: str, links: list) -> str:
    document = read_html(html, "en")
    (sentence,) = document.sentences
    return document.render([translated(sentence, target, links)])


def reversed_words(sentence: str) -> SentenceTranslation:
    """Translates a sentence into its units in reverse order."""
    words = [sentence[span.start : span.end] for span in units_of(sentence)]
    return translated(sentence, " ".join(reversed(words)), list(range(len(words)))[::-1])


def unchanged(sentence: str) -> SentenceTranslation:
    return translated(sentence, sentence, list(range(len(units_of(sentence)))))


@pytest.mark.parametrize(
    "html, target, links, expected",
    [
        ("The <b>red</b> house.", "La maison rouge.", [0, 2, 1, 3], "La maison <b>rouge</b>."),
        ("<i>All of it</i>", "Tout", [1], "<i>Tout</i>"),
        ("a <b>b <i>c</i></b> d", "d c b a", [3, 2, 1, 0], "d <b><i>c</i> b</b> a"),
        # The longest run has two units: an element is placed once.
        ("<b>not</b> now", "ne pas maintenant pas", [0, 0, 1, 0], "<b>ne pas</b> maintenant pas"),
        # Siblings do not overlap: the second one takes the run that is left by the first.
        ("<b>a</b> <i>b</i>", "x y z", [0, 1, 0], "<b>x</b> <i>y</i> z"),
        # No unit belongs to it, so it precedes the translation of the following text.
        ("a <b>the</b> c", "A C", [0, 2], "A <b></b>C"),
        ("press <img src='x'> now", "jetzt drücken", [1, 0], "<img src='x'> jetzt drücken"),
        ("press <img> now", "drücken jetzt", [0, 1], "drücken <img> jetzt"),
        ("see <a href='?a=1&amp;b=2' id=q>R&amp;D</a> &lt;here&gt;", "hier R&D <x>", [4, 1, 2, 3, 5, 6, 5], None),
    ],
)
def test_an_element_goes_to_the_words_that_attend_to_it(html, target, links, expected):
    rendered = placed(html, target, links)
    if expected is None:
        assert "<a href='?a=1&amp;b=2' id=q>R&amp;D</a>" in rendered and "&lt;x&gt;" in rendered
    else:
        assert rendered == expected


HTML = [
    '<!DOCTYPE html><html lang=en><head><title>A &amp; b</title><style>p > a {}</style></head><body class="x">',
    "<p>One <B>two</B>. Three <a href='?x=1&amp;y=2'>four <i>five</i></a> six.</p>",
    "<ul><li>a<li>b</ul><br/><!-- <b>comment</b> --><pre>  keep\n  <b>it</b></pre><hr>",
    '<p translate="no">Keep <b>&lt;this&gt;</b></p><span class="a notranslate">and</span> not this',
    "Use <code>a &lt; b</code> now. <b>One. Two.</b> Three <img alt='>' src=x> four <wbr>five.",
    "<script>if (a < b && c > d) { document.write('<b>x</b>') }</script>",
    "un<b>closed <i>mis</b>nested</i> </p> 1 < 2 <3 & <>",
    '<table><tr><td>a</td><td title="it\'s">b</td></tr></table>',
]


def markup_of(html: str) -> list:
    return re.findall(r"<[a-zA-Z/!][^>]*>", html)


@pytest.mark.parametrize("html", [*HTML, "".join(HTML)])
def test_the_same_text_gives_the_same_html(html):
    document = read_html(html, "en")
    rendered = document.render([unchanged(sentence) for sentence in document.sentences])
    assert rendered == "".join(
        escape(token.text) if isinstance(token, Text) else token.raw for token in tokens_of(html)
    )


@pytest.mark.parametrize("seed", range(20))
def test_no_tag_is_lost_however_words_move(seed):
    """Random documents with malformed tags; the number of occurrences of each tag must not change."""
    generator = random.Random(seed)
    choices = [
        "<b>",
        "</b>",
        "<i>",
        "</i>",
        "<a href='x'>",
        "</a>",
        "<p>",
        "</p>",
        "<img>",
        "<br>",
        "word ",
        "Two. ",
        " ",
    ]
    html = "".join(generator.choices(choices, [2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 9, 5, 3], k=120))
    document = read_html(html, "en")
    for translate in (unchanged, reversed_words):
        rendered = document.render([translate(sentence) for sentence in document.sentences])
        assert sorted(markup_of(rendered)) == sorted(markup_of(html))
    words = "".join(token.text for token in tokens_of(rendered) if isinstance(token, Text)).split()
    assert sorted(words) == sorted(" ".join(" ".join(document.sentences).replace(".", " .").split()).split())


def test_elements_stay_closed_in_order():
    document = read_html("<p>a <b>b <i>c</i> d</b> <u>e</u> f <i>g <b>h</b></i></p>", "en")
    generator = random.Random(1)
    for _ in range(50):
        (sentence,) = document.sentences
        order = generator.sample(range(8), 8)
        words = sentence.split()
        rendered = document.render([translated(sentence, " ".join(words[index] for index in order), order)])
        stack = []
        for closing, name in re.findall(r"<(/?)([a-z]+)>", rendered):
            if closing:
                assert stack.pop() == name, rendered
            else:
                stack.append(name)
        assert not stack


def test_block_tags_and_kept_elements_are_not_translated():
    assert read_html("".join(HTML[:4]), "en").sentences == [
        "A & b", "One two.", "Three four five six.", "a", "b", "not this",
    ]  # fmt: skip
    assert read_html(HTML[4], "en").sentences == ["Use now.", "One.", "Two.", "Three four five."]


@pytest.mark.parametrize(
    "part", ["<!--", "<a", "<b>", "</b>", "<![", "<a x='", "<b>a. ", "a<b> b</b>. ", "<svg>", "&#x"]
)
def test_broken_html_takes_linear_time(part):
    html = part * (50_000 // len(part))
    document = read_html(html, "en")
    assert len(document.sentences) < len(html)


def test_tokens_are_found_in_their_text():
    assert token_spans("The dogs, he", ["▁The", "▁dog", "s", ",", "▁he"]) == [(0, 3), (4, 7), (7, 8), (8, 9), (10, 12)]
    assert token_spans("new houses", ["new", "hou@@", "ses"]) == [(0, 3), (4, 7), (7, 10)]
    assert token_spans("a ⁇ b", ["▁a", "<unk>", "▁b"]) == [(0, 1), (1, 1), (4, 5)]
    assert token_spans("7,", ["▁<B>7", "<E>,"]) == [(0, 1), (1, 2)]


def test_links_connect_units():
    """Attention is summed over the source tokens of a word and averaged over its target tokens."""
    attention = torch.tensor([[0.3, 0.3, 0.4, 0.0], [0.1, 0.1, 0.7, 0.1], [0.0, 0.0, 0.9, 0.1], [0.0, 0.0, 0.0, 1.0]])
    best = TranslatedHypothesis("x yz", 0.0, ["▁x", "▁y", "z"], [0.0] * 4, attention, [])
    assert links_of(SentenceTranslation("ab c", ["▁a", "b", "▁c"], [best], False)) == [0, 1]


def test_runs_have_most_units_of_their_owner():
    runs = longest_runs([0, None, 0, 1, None, None, 1, 1, 0, None])
    assert runs == {0: Span(0, 3), 1: Span(3, 8)}


# -- subtitles

SRT = """1
00:00:01,000 --> 00:00:02,500
The <i>dog</i>
sees a cat.

2
00:00:03,000 --> 00:00:04,000 X1:1
{\\an8}- A cat?
- A dog!

"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_subtitles_keep_numbers_times_and_lines(line_end):
    text = SRT.replace("\n", line_end)
    subtitles = Subtitles(text, "en")
    assert [document.sentences for document in subtitles.documents] == [
        ["The dog sees a cat."],
        ["- A cat?", "- A dog!"],
    ]
    texts = [
        document.render([unchanged(sentence) for sentence in document.sentences]) for document in subtitles.documents
    ]
    assert subtitles.render(texts) == text
    assert Subtitles("", "en").render([]) == "" and Subtitles("no cue\n", "en").documents == []


def test_lines_of_a_cue_are_balanced():
    assert wrap("a bb ccc dddd", 2) == ["a bb ccc", "dddd"]
    assert wrap("one <font color=red>two</font> three", 3) == ["one", "<font color=red>two</font>", "three"]
    assert wrap("one", 2) == ["one"]


# -- over HTTP


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served([make_translator(tmp_path_factory.mktemp("models") / "model")]) as running:
        yield running


def test_html_is_translated_over_http(server):
    html = '<div class="a&amp;b"><p>the dog sees</p><ul><li>a cat<li>a dog</ul></div>'
    expected = [translation.text for translation in server.translator.translate(["the dog sees", "a cat", "a dog"])]
    response = server.translate([html, "<br>"], format="html").json["translatedText"]
    assert response[1] == "<br>"
    assert re.sub(r"<[^>]*>", "|", response[0]).split("|") == [
        "",
        "",
        expected[0],
        "",
        "",
        expected[1],
        expected[2],
        "",
        "",
    ]
    assert markup_of(response[0]) == markup_of(html)


def send_file(server, name: str, content: bytes, **fields: str):
    fields = {"source": "en", "target": "de", **fields}
    parts = [
        f'--B\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    body = b"".join([*parts, head, content, b"\r\n--B--\r\n"])
    return server.ask("POST", "/translate_file", body, {"Content-Type": "multipart/form-data; boundary=B"})


@pytest.mark.parametrize("name", ["a.txt", "../b c.TXT"])
def test_a_file_is_fetched_by_its_link(server, name):
    text = "The dog sees. The cat runs.\n\na cat\n"
    (expected,) = server.translator.translate([text], split_sentences=True)
    response = send_file(server, name, b"\xef\xbb\xbf" + text.encode())
    url = response.json["translatedFileUrl"]
    assert url.startswith(f"{server.url}/download_file/")
    fetched = server.get(url.removeprefix(server.url))
    assert fetched.text == expected.text and fetched.headers["content-disposition"].startswith("attachment")
    assert ".de.txt" in fetched.headers["content-disposition"] and "/" not in fetched.headers["content-disposition"]


def test_html_and_subtitles_are_files(server):
    for name, text in (("a.html", "<p>the dog</p>"), ("a.srt", SRT)):
        response = send_file(server, name, text.encode(), source="auto")
        fetched = server.get(response.json["translatedFileUrl"].removeprefix(server.url)).text
        assert fetched.count("\n") >= text.count("\n") - 1 and ("-->" in text) == ("-->" in fetched)


def test_wrong_files_are_refused(server):
    for name, content, status, words in (
        ("a.pdf", b"x", 400, "'.pdf'"),
        ("a.txt", b"\xff\xfe", 400, "0xff"),
        ("a.txt", b"", 400, "empty"),
        ("a.txt", b"a" * 100_001, 413, "100001 characters"),
        ("a.txt", b"a" * 500_001, 413, "500000 bytes"),
        ("a.txt", b"a" * 600_000, 413, "a file of at most 500000 bytes"),
    ):
        response = send_file(server, name, content)
        assert response.status == status and words in response.json["error"], response.text
    assert server.post_form("/translate_file", source="en", target="de").status == 400
    text = server.post_form("/translate_file", file="hello", source="en", target="de")
    assert (text.status, text.json["error"]) == (400, "file: send a file, as `curl -F file=@NAME`.")
    assert server.get("/download_file/nothing").status == 404


def test_links_expire_and_old_files_make_room(monkeypatch):
    from gnmt.serving import files

    now = [0.0]
    store = files.TranslatedFiles(clock=lambda: now[0])
    first = store.add("a.txt", "text/plain", b"1234")
    assert store.get(first).content == b"1234"
    now[0] = files.LINK_SECONDS + 1
    assert store.get(first) is None
    monkeypatch.setattr(files, "MAX_BYTES", 8)
    keys = [store.add("a.txt", "text/plain", b"1234") for _ in range(3)]
    assert [store.get(key) is None for key in keys] == [True, False, False]
