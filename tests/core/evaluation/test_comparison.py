"""Tests the comparison of two systems, against values worked out by hand, and the page of `gnmt compare`."""

import json
import re
from html.parser import HTMLParser

import pytest
from model_folders import make_model_folder

from gnmt.commands import compare, translate
from gnmt.commands.command_line import run_module
from gnmt.errors import UserError
from gnmt.evaluation.bleu import corpus_bleu
from gnmt.evaluation.buckets import FREQUENCIES, WordScore, bucket_of, by_frequency, by_length, labels
from gnmt.evaluation.comparison import compare as compare_systems
from gnmt.evaluation.comparison import largest_gains, largest_losses, repeats, spread
from gnmt.evaluation.gleu import mean_gleu
from gnmt.evaluation.html_page import element, page
from gnmt.evaluation.system_output import END, read_output

REFERENCES = ["a dog sleeps", "two cats & a <b>dog</b> play", "the end"]
A = ["a dog", "two cats play", "the end"]
B = ["a dog sleeps", "two two dogs play", "the end"]
SOURCES = ["ein hund schläft", "zwei katzen und ein hund spielen", "das ende"]


# -- buckets


def test_labels_and_buckets_by_hand():
    assert labels((0, 1, 2, 5)) == ["0", "1", "2-4", "5 or more"]
    assert [bucket_of(value, (0, 1, 2, 5)) for value in (0, 1, 2, 4, 5, 99)] == [0, 1, 2, 2, 3, 3]
    assert by_length([3, 10, 11, 70]) == [("0-10", [0, 1]), ("11-20", [2]), ("61 or more", [3])]


def test_words_by_frequency_by_hand():
    scores = dict(by_frequency([["a", "a", "x"], ["b"]], [["a", "b"], ["b", "c"]], {"a": 1, "b": 3}))
    # a: 1 match, 2 produced, 1 expected; b: 1 match, 1 produced, 2 expected; c and x do not match.
    assert (
        scores["1"] == WordScore(1, 2, 1) and scores["2-4"] == WordScore(1, 1, 2) and scores["0"] == WordScore(0, 1, 1)
    )
    assert scores["1"].f1 == pytest.approx(200 / 3) and scores["2-4"].recall == 50
    assert len(scores) == len(FREQUENCIES) and scores["5-9"].f1 == scores["5-9"].recall == 0


# -- comparison


def test_comparison_of_sentences():
    comparison = compare_systems(REFERENCES, (A, B), SOURCES)
    first = comparison.sentences[0]
    # a, dog, a dog of 6 n-grams; all n-grams.
    assert first.gleu == pytest.approx((50, 100)) and first.difference == pytest.approx(50)
    assert (first.source, first.outputs) == (SOURCES[0], (A[0], B[0]))
    assert comparison.repetitive == (0, 1)
    (length,) = comparison.lengths
    assert (length.name, length.sentences) == ("0-10", 3)
    assert length.bleu == pytest.approx([corpus_bleu(system, REFERENCES)[0].score for system in (A, B)])
    assert length.gleu == pytest.approx([100 * mean_gleu(system, REFERENCES) for system in (A, B)])


def test_gains_losses_and_examples_are_ordered():
    sentences = compare_systems(REFERENCES, (A, B)).sentences
    assert [sentence.index for sentence in largest_gains(sentences, 5)] == [0]
    assert [sentence.index for sentence in largest_losses(sentences, 5)] == [1]
    assert [sentence.index for sentence in spread(sentences, 2)] == [0, 1] and len(spread(sentences, 9)) == 3


def test_repeats_by_hand():
    assert repeats("a b c".split()) == 0 and repeats("a a".split()) == 1 and repeats("a b a b".split()) == 1
    assert repeats("a a a".split()) == 2


# -- output of a system


def test_json_lines_give_texts_and_attention(tmp_path, capsys):
    model = make_model_folder(tmp_path / "model")
    (tmp_path / "in").write_text("the dog sees\n\na cat runs\n", encoding="utf-8")
    run_module(translate, "gnmt translate", [str(model), str(tmp_path / "in"), "--output", "json", "--attention"])
    lines = capsys.readouterr().out
    (tmp_path / "out.jsonl").write_text(lines, encoding="utf-8")
    output = read_output(tmp_path / "out.jsonl")
    assert output.texts == [json.loads(line)["text"] for line in lines.splitlines()]
    assert [len(maps) for maps in output.attentions] == [1, 0, 1]
    (attention,) = output.attentions[0]
    assert attention.source[-1] == attention.target[-1] == END and len(attention.source) == 4
    assert [sum(row) for row in attention.weights] == pytest.approx([1] * len(attention.target), abs=1e-3)


def test_attention_needs_json(tmp_path):
    with pytest.raises(UserError, match="--attention needs --output json"):
        run_module(translate, "gnmt translate", [str(tmp_path), "--attention"])


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"text": 1, "sentences": []}', '{"text": "a"}', '{"text": "\\ud800", "sentences": []}',
     '{"text": "a", "sentences": [{"nbest": [{"tokens": ["a"], "attention": [[1.0]]}], "source_tokens": ["b"]}]}',
     "[" * 100000],
)  # fmt: skip
def test_wrong_json_lines_are_refused(tmp_path, line):
    good = '{"text": "a", "sentences": []}'
    (tmp_path / "out.json").write_text(f"{good}\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match="out.json, line 2 is not what"):
        read_output(tmp_path / "out.json")


# -- page


class Tags(HTMLParser):
    """Parser that collects start tags and attributes of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes


def test_texts_never_become_markup():
    attack = "<script>alert(1)</script>\"'&amp;"
    made = page(attack, element("p", attack, element("b", attack, title=attack), attack))
    tags = Tags(made)
    assert "script" not in tags.tags and tags.tags.count("b") == 1
    assert made.count("&lt;script&gt;") == 4 and ("title", attack) in tags.attributes


@pytest.fixture
def run_compare(tmp_path, capsys):
    """Runs `gnmt compare` in this process; returns the page and the printed text."""
    for name, lines in (("ref", REFERENCES), ("a", A), ("b", B), ("src", SOURCES)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def call(*options, outputs=("a", "b")):
        files = [str(tmp_path / name) for name in ("ref", *outputs)]
        arguments = [*files, "--source", str(tmp_path / "src"), "--page", str(tmp_path / "page.html"), *options]
        run_module(compare, "gnmt compare", arguments)
        return (tmp_path / "page.html").read_text(encoding="utf-8"), capsys.readouterr().out

    return call


def text_of(html: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", html.split("</style>")[1]).split())


def test_page_shows_scores_gains_and_losses(run_compare, tmp_path):
    html, printed = run_compare("--names", "base", "new", "--examples", "2")
    assert printed.endswith("page.html: new is better in 1 and worse in 1 of 3 sentences\n")
    text = text_of(html)
    bleu = [corpus_bleu(system, REFERENCES)[0].score for system in (A, B)]
    assert re.search(rf"BLEU {bleu[0]:.2f} ± \S+ {bleu[1]:.2f} ± \S+ \{bleu[1] - bleu[0]:+.2f}", text)
    assert "0-10 3" in text and "Line 1 +50.00 source ein hund schläft" in text
    assert "two cats &amp; a &lt;b&gt;dog&lt;/b&gt; play" in html
    assert "a dog <mark>sleeps</mark>" not in html and "<mark>two dogs</mark>" in html


def test_page_loads_nothing_and_runs_nothing(run_compare):
    html, _ = run_compare()
    tags = Tags(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(tags.tags)
    assert not [name for name, _ in tags.attributes if name.startswith("on") or name in ("src", "href", "style")]
    policy = re.search('content="(default-src[^"]*)"', html)[1]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy


def test_page_has_the_attention_of_json_lines(run_compare, tmp_path):
    sentence = {
        "source_tokens": ["▁a", "<i>"],
        "nbest": [{"tokens": ["▁x"], "attention": [[0.5, 0.3, 0.2], [0, 0.001, 1]]}],
    }
    lines = [{"text": text, "sentences": [sentence]} for text in B]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    html, _ = run_compare("--examples", "1", outputs=("a", "b.jsonl"))
    picture = html[html.index("<svg") : html.index("</svg>")]
    # 3 + 1 weights of at least 0.01, and the coverage of 3 tokens.
    assert picture.count("<rect") == 7 and "&lt;i&gt;" in picture
    assert "<title>▁a → ▁x: 0.50</title>" in picture and "<title>&lt;/s&gt;: 1.00</title>" in picture


def test_words_are_counted_in_training_text(run_compare, tmp_path):
    (tmp_path / "train").write_text("dog dog\ndog cats\n", encoding="utf-8")
    html, _ = run_compare("--training", str(tmp_path / "train"))
    text = text_of(html)
    assert "by their frequency in train" in text
    # "dog" occurs 3 times in the training text and twice in the references: A and B have the first one.
    assert "2-4 2 50.0 50.0 66.7 66.7 +0.00" in text


def test_mistakes_leave_no_page(run_compare, tmp_path):
    for options, outputs, words in (
        ([], ("a", "a"), "is given twice"),
        (["--examples", "0"], ("a", "b"), "--examples is 0"),
        (["--names", "x", "x"], ("a", "b"), "--names are x, x"),
    ):
        with pytest.raises(UserError, match=words):
            run_compare(*options, outputs=outputs)
    (tmp_path / "src").write_text("one\n", encoding="utf-8")
    with pytest.raises(UserError, match="src has 1 lines for 3 references"):
        run_compare()
    assert not (tmp_path / "page.html").exists()


def test_an_existing_page_is_kept(run_compare, tmp_path):
    (tmp_path / "page.html").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="exists"):
        run_compare()
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "mine"
