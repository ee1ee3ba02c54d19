"""Tests fairseq-interactive with the plugin: one translation for each line of text.

Expected translations come from fairseq-generate.
"""

import math
import re
import subprocess
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Tuple, Union

import pytest
from commands import ROOT, installed, run, succeed
from hypotheses import generate, interactive, read
from tiny_corpora import (
    TASK,
    VALID,
    digit_pairs,
    digits,
    sentences,
    subword_model,
    trained_on_digits,
    trained_on_sentences,
)

LANGUAGES = ["--source-lang", "en", "--target-lang", "de"]


def test_interactive_with_sentencepiece():
    """Translations equal the output of fairseq-generate for the same sentences."""
    subwords = ["--bpe", "sentencepiece", "--sentencepiece-model", subword_model()]
    options = [*TASK, "--path", trained_on_sentences(), *subwords]
    generated = succeed("generate", sentences(), *options)
    sources = dict(re.findall(r"^S-(\d+)\t(.*)$", generated, re.MULTILINE))
    expected = dict(re.findall(r"^D-(\d+)\t\S+\t(.*)$", generated, re.MULTILINE))
    known = sorted(index for index, source in sources.items() if "<unk>" not in source)
    assert known
    text = "".join(f"{sources[index]}\n" for index in known)
    printed = succeed("interactive", sentences(), *options, stdin=text)
    translations = re.findall(r"^D-\d+\t\S+\t(.*)$", printed, re.MULTILINE)
    assert translations == [expected[index] for index in known] and "▁" not in "".join(translations)


def test_empty_and_endless_lines_are_answered_in_order():
    endless = " ".join(["seven"] * 10_000)
    text = f"two six\n\n{endless}\n\nfive nine\n"
    printed = interactive(text, "--buffer-size", 5, "--batch-size", 5, "--max-len-b", 20)
    nbest_lists = read(printed)
    assert re.findall(r"^S-(\d+)\t", printed, re.MULTILINE) == list("01234")
    assert [nbest_lists[index][0].text for index in (0, 1, 3, 4)] == ["zwei sechs", "", "", "fünf neun"]
    assert 0 < len(nbest_lists[2][0].text.split()) <= 20
    assert all(math.isfinite(nbest[0].score) for nbest in nbest_lists.values())


def test_unknown_words_are_copied_in_interactive():
    text = "two Zoe five\nAnna nine\none two Bob\n"
    printed = interactive(text, "--replace-unk", "--buffer-size", 4, "--batch-size", 4)
    translations = [nbest[0].text for _, nbest in sorted(read(printed).items())]
    assert translations == ["zwei Zoe fünf", "Anna neun", "eins zwei Bob"]


def test_constraints_are_fairseqs_own_search():
    printed = interactive("two five\tneun\n", "--constraints")
    assert "--constraints is fairseq's own search" in printed and "neun" in read(printed)[0][0].text


def test_constraints_that_do_not_fit_cost_their_own_translation():
    """EOS in a constraint is treated as an unknown word."""
    text = "two five\tneun\none two\t" + "neun " * 9 + "\nsix one\t</s>\n"
    options = ["--constraints", "--max-len-b", 8, "--buffer-size", 3, "--batch-size", 3]
    done = run("interactive", digits(), *TASK, "--path", trained_on_digits(), *LANGUAGES, *options, stdin=text)
    assert done.code == 0, done.text[-3000:]
    first, second, third = best_translations(done.stdout)
    assert "neun" in first and second == "" and "<unk>" in third
    assert warnings(done.stderr) == [
        "warning: line 2 has constraints that no translation of the allowed length satisfies."
    ]


def best_translations(printed: str) -> list:
    """Returns the best translation of each line in order; fails if a line has none."""
    nbest_lists = read(printed)
    assert sorted(nbest_lists) == list(range(len(nbest_lists)))
    assert re.findall(r"^S-(\d+)\t", printed, re.MULTILINE) == [str(index) for index in range(len(nbest_lists))]
    return [nbest_lists[index][0].text for index in range(len(nbest_lists))]


def warnings(stderr: str) -> list:
    return [line for line in stderr.splitlines() if line.startswith("warning: ")]


def translate(text: Union[str, bytes], *options) -> Tuple[list, list]:
    """Returns the translations of the lines and the warnings of fairseq-interactive."""
    done = run("interactive", digits(), *TASK, "--path", trained_on_digits(), *LANGUAGES, *options, stdin=text)
    assert done.code == 0, done.text[-3000:]
    return best_translations(done.stdout), warnings(done.stderr)


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C.UTF-8"},
        pytest.param({"LC_ALL": "C"}, marks=pytest.mark.slow),
        pytest.param({"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, marks=pytest.mark.slow),
        pytest.param({"PYTHONIOENCODING": "ascii"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_line_is_answered_in_any_locale(environment):
    text = "two six\nsev\udce4n Zoë\nfive one\n".encode("utf-8", "surrogateescape")
    done = installed(
        "fairseq-interactive",
        digits(),
        *TASK,
        "--path",
        trained_on_digits(),
        *LANGUAGES,
        "--replace-unk",
        stdin=text,
        environment=environment,
    )
    assert done.code == 0, done.text[-3000:]
    assert best_translations(done.stdout) == ["zwei sechs", "sev\ufffdn Zoë", "fünf eins"]
    assert warnings(done.stderr) == ["warning: line 2 is not UTF-8: it has the byte 0xe4, which is read as U+FFFD."]


@pytest.mark.parametrize("by_name", [False, True], ids=["stdin", "--input"])
def test_lines_end_at_newlines_only(tmp_path, by_name):
    text = "\ufefftwo\rsix\r\nfive\u2028nine\n\r\nseven\x85one\x1ctwo\nfour one".encode("utf-8")
    (tmp_path / "text").write_bytes(text)
    options = ["--input", tmp_path / "text"] if by_name else []
    translations, warnings = translate(b"" if by_name else text, "--buffer-size", 2, *options)
    assert translations == ["zwei sechs", "fünf neun", "", "sieben eins zwei", "vier eins"]
    assert warnings == []


@pytest.mark.parametrize("limit", [["--max-source-positions", 5], ["--max-tokens", 5]], ids=lambda limit: limit[0])
def test_a_line_that_is_too_long_costs_its_own_translation(limit):
    text = "two six\none two three four five\n\nnine one two three four five\nfive nine one two\n"
    options = ["--buffer-size", 3, *limit]
    assert translate(text, *options) == (
        ["zwei sechs", "", "", "", "fünf neun eins zwei"],
        [
            f"warning: line {line} has {length} tokens, but --max-source-positions and --max-tokens allow 5: "
            "it is not translated (--truncate-source cuts it)."
            for line, length in ((2, 6), (4, 7))
        ],
    )
    assert translate(text, *options, "--truncate-source") == (
        ["zwei sechs", "eins zwei drei vier", "", "neun eins zwei drei", "fünf neun eins zwei"],
        [],
    )


def test_a_line_that_is_too_long_has_all_its_lines():
    printed = interactive("two two\nsix\n", "--max-source-positions", 2, "--print-alignment", "hard")
    lines = re.findall(r"^([A-Z]-0\t.*)$", printed, re.MULTILINE)
    assert lines.pop(1).startswith("W-0\t")
    assert lines == ["S-0\ttwo two", "H-0\t-inf\t", "D-0\t-inf\t", "P-0\t", "A-0\t"]


def test_soft_alignments_equal_fairseq_generate():
    text = "".join(f"{en}\n" for en, _ in digit_pairs(VALID, seed=2))
    printed = read(interactive(text, "--print-alignment", "soft", "--beam", 2, "--nbest", 2))
    for index, nbest in generate("--print-alignment", "soft", "--beam", 2, "--nbest", 2).items():
        for printed_hypothesis, generated_hypothesis in zip(printed[index], nbest, strict=True):
            actual, expected = (
                [[float(weight) for weight in row.split(",")] for row in hypothesis.alignment.split()]
                for hypothesis in (printed_hypothesis, generated_hypothesis)
            )
            assert len(actual) == len(printed_hypothesis.steps) and actual == [
                pytest.approx(row, abs=1e-4) for row in expected
            ]


def test_results_path_holds_the_translations(tmp_path):
    options = ["--buffer-size", 2, "--results-path", tmp_path / "new"]
    printed = interactive("two six\nfive one\n", *options)
    written = (tmp_path / "new" / "generate-interactive.txt").read_text(encoding="utf-8")
    assert best_translations(written) == ["zwei sechs", "fünf eins"] and not read(printed)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["generate-interactive.txt"]


@pytest.mark.parametrize(
    "options, words",
    [
        (["--prefix-size", 2], "fairseq-interactive has no references"),
        (["--score-reference"], "fairseq-interactive has no references"),
        (["--quiet"], "it would leave nothing to print"),
        (["--input", "no/such/file"], "no/such/file: No such file or directory: --input must name a text file"),
        (["--batch-size", 2], "--batch-size cannot be larger than --buffer-size"),
        (["--sampling"], "--sampling requires --nbest to be equal to --beam"),
        (["--results-path", "README.md"], "README.md: File exists: name a folder that can be written"),
    ],
)
def test_refused_before_the_model_is_loaded(options, words):
    done = run("interactive", digits(), *TASK, "--path", "none.pt", *LANGUAGES, *options, stdin="two\n")
    assert done.code == 1 and "Traceback" not in done.stderr
    assert words in done.stderr and "none.pt" not in done.stderr


def test_an_answer_is_there_as_soon_as_its_buffer_is_complete():
    command = [Path(sys.executable).with_name("fairseq-interactive"), digits(), *TASK, *LANGUAGES]
    command += ["--path", trained_on_digits()]
    with subprocess.Popen(list(map(str, command)), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, cwd=ROOT) as process:
        for number, (line, translation) in enumerate([("two six", "zwei sechs"), ("nine one", "neun eins")]):
            process.stdin.write(f"{line}\n".encode("utf-8"))
            process.stdin.flush()
            printed = ""
            while not printed.startswith(f"D-{number}\t"):
                printed = process.stdout.readline().decode("utf-8")
                assert printed, "fairseq-interactive ended without a translation"
            assert printed.rstrip("\n").split("\t")[2] == translation
        process.stdin.close()
        process.stdout.read()
    assert process.returncode == 0
