"""fairseq-interactive: text in, text out, nothing lost."""
import math
import re

from commands import succeed
from hypotheses import interactive, read
from tiny_corpora import TASK, sentences, subword_model, trained_on_sentences


def test_interactive_with_sentencepiece():
    """Text in, text out; the same as what fairseq-generate makes of the same sentences."""
    subwords = ["--bpe", "sentencepiece", "--sentencepiece-model", subword_model()]
    options = [*TASK, "--path", trained_on_sentences(), *subwords]
    generated = succeed("generate", sentences(), *options)
    sources = dict(re.findall(r"^S-(\d+)\t(.*)$", generated, re.MULTILINE))
    expected = dict(re.findall(r"^D-(\d+)\t\S+\t(.*)$", generated, re.MULTILINE))
    known = sorted(index for index, source in sources.items() if "<unk>" not in source)
    assert known
    text = "".join(f"{sources[index]}\n" for index in known)
    printed = succeed("interactive", sentences(), *options, stdin=text)
    found = re.findall(r"^D-\d+\t\S+\t(.*)$", printed, re.MULTILINE)
    assert found == [expected[index] for index in known] and "▁" not in "".join(found)


def test_empty_and_endless_lines_are_answered_in_order():
    endless = " ".join(["seven"] * 10_000)
    text = f"two six\n\n{endless}\n\nfive nine\n"
    printed = interactive(text, "--buffer-size", 5, "--batch-size", 5, "--max-len-b", 20)
    found = read(printed)
    assert re.findall(r"^S-(\d+)\t", printed, re.MULTILINE) == list("01234")
    assert [found[index][0].text for index in (0, 1, 3, 4)] == ["zwei sechs", "", "", "fünf neun"]
    assert 0 < len(found[2][0].text.split()) <= 20
    assert all(math.isfinite(nbest[0].score) for nbest in found.values())


def test_unknown_words_are_copied_in_interactive():
    text = "two Zoe five\nAnna nine\none two Bob\n"
    printed = interactive(text, "--replace-unk", "--buffer-size", 4, "--batch-size", 4)
    found = [nbest[0].text for _, nbest in sorted(read(printed).items())]
    assert found == ["zwei Zoe fünf", "Anna neun", "eins zwei Bob"]


def test_constraints_are_fairseqs_own_search():
    printed = interactive("two five\tneun\n", "--constraints")
    assert "--constraints is fairseq's own search" in printed and "neun" in read(printed)[0][0].text
