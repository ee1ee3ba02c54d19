"""Tests token vectors from co-occurrence counts, against values worked out by hand and against plain formulas."""

import math
from itertools import product
from pathlib import Path

import pytest
import torch

from gnmt.corpora import cooccurrence
from gnmt.corpora.cooccurrence import (
    CONTEXT_EXPONENT,
    Counts,
    positive_mutual_information,
    principal_directions,
    token_ids,
    token_vectors,
    write_vectors,
)
from gnmt.errors import UserError
from gnmt.tokenizers.vocabulary import BOS, EOS, UNK, Vocabulary

# one token for each word, in different orders on the two sides
LEXICON = dict(
    zip("one two three four five six seven eight".split(), "eins zwei drei vier fünf sechs sieben acht".split())
)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Fixture: all ordered pairs of number words in English, their reversed German translations, and a dictionary."""
    pairs = list(product(LEXICON, repeat=2))
    (tmp_path / "en").write_text("".join(f"{a} {b}\n" for a, b in pairs), encoding="utf-8")
    (tmp_path / "de").write_text("".join(f"{LEXICON[b]} {LEXICON[a]}\n" for a, b in pairs), encoding="utf-8")
    tokens = [*LEXICON, *LEXICON.values(), "unseen"]
    (tmp_path / "dict").write_text("".join(f"{token} 1\n" for token in tokens), encoding="utf-8")
    return tmp_path


def write(corpus: Path, size: int = 12, source: str = "en", output: str = "vectors", **options) -> Path:
    write_vectors(corpus / source, corpus / "de", corpus / "dict", size, corpus / output, **options)
    return corpus / output


def counted(sources, targets, tokens: int) -> Counts:
    counts = Counts.zero(tokens)
    counts.add([torch.tensor(sentence) for sentence in sources], [torch.tensor(sentence) for sentence in targets])
    return counts


def test_counts_by_hand():
    """Ids 0 and 1 are BOS and EOS; token 2 is in both pairs, twice in the first."""
    counts = counted([[0, 2, 3, 2, 1], [0, 2, 1]], [[0, 4, 1], [0, 3, 1]], tokens=6)
    assert counts.same_pair.tolist() == [
        [2, 2, 2, 2, 1, 0],
        [2, 2, 2, 2, 1, 0],
        [2, 2, 2, 2, 1, 0],
        [2, 2, 2, 2, 1, 0],
        [1, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    assert counts.after[2].tolist() == [0, 2, 1, 1, 0, 0]  # 3 2 | 1, which ends the first pair | 1 of the second pair
    assert counts.before[2].tolist() == [2, 0, 1, 1, 0, 0]
    assert torch.equal(counts.before, counts.after.t())


def test_rare_tokens_are_not_contexts(monkeypatch):
    all_contexts = counted([[0, 5, 3, 1]], [[0, 4, 1]], tokens=6)
    monkeypatch.setattr(cooccurrence, "CONTEXTS", 4)
    four_contexts = counted([[0, 5, 3, 1]], [[0, 4, 1]], tokens=6)
    for expected, actual in zip(all_contexts, four_contexts):
        assert torch.equal(expected[:, :4], actual)


def test_mutual_information_by_hand():
    """The contexts have 4 and 1 of 5 occurrences; the second token never occurs with the first context."""
    counts = torch.tensor([[4.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    frequent, rare = 4**CONTEXT_EXPONENT, 1.0
    expected = [
        [math.log(1 / (frequent / (frequent + rare))), 0],
        [0, math.log(1 / (rare / (frequent + rare)))],
        [0, 0],
    ]
    assert torch.allclose(positive_mutual_information(counts), torch.tensor(expected))


def test_mutual_information_is_not_negative():
    counts = torch.tensor([[8.0, 1.0], [1.0, 8.0]])
    assert positive_mutual_information(counts)[0, 1] == 0 < positive_mutual_information(counts)[0, 0]


def test_directions_equal_the_full_decomposition():
    """Singular vectors are unique up to their sign, so inner products of rows are compared."""
    torch.manual_seed(2)
    matrix = torch.randn(30, 5) @ torch.randn(5, 40) + 0.01 * torch.randn(30, 40)
    left, values, _ = torch.linalg.svd(matrix)
    expected = torch.nn.functional.normalize(left[:, :4] * values[:4].sqrt(), dim=1)
    directions = principal_directions(matrix, 4)
    assert torch.allclose(directions @ directions.t(), expected @ expected.t(), atol=1e-3)


def test_vectors_are_the_same_in_every_run_and_leave_the_random_numbers_alone():
    torch.manual_seed(3)
    counts = Counts(*(torch.randint(0, 9, (20, 20)).float() for _ in range(3)))
    before = torch.random.get_rng_state()
    first = token_vectors(counts, 8)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    assert torch.equal(token_vectors(counts, 8), first)
    assert torch.allclose(first.norm(dim=1), torch.ones(20))


def test_bos_and_eos_enclose_a_line():
    vocabulary = Vocabulary(["a"])
    assert token_ids("a  never", vocabulary).tolist() == [BOS, 4, UNK, EOS]
    assert token_ids("", vocabulary).tolist() == [BOS, EOS]


@pytest.mark.parametrize("size", [12, 50])  # 50 dimensions: more than there are tokens
def test_translations_have_the_nearest_vectors(corpus, size):
    header, *lines = write(corpus, size).read_text(encoding="utf-8").splitlines()
    assert header == f"16 {size}"  # neither fairseq's special tokens nor tokens that the text lacks
    vectors = {line.split()[0]: torch.tensor([float(number) for number in line.split()[1:]]) for line in lines}
    assert vectors.keys() == {*LEXICON, *LEXICON.values()}
    for english, german in LEXICON.items():
        assert max(LEXICON.values(), key=lambda other: float(vectors[english] @ vectors[other])) == german


def test_chunks_make_no_difference(corpus, monkeypatch):
    whole = write(corpus).read_bytes()
    monkeypatch.setattr("gnmt.files.lines.LINES_PER_CHUNK", 7)
    assert write(corpus, output="other").read_bytes() == whole


def test_existing_files_are_kept_by_default(corpus):
    output = write(corpus)
    with pytest.raises(UserError, match="--overwrite"):
        write(corpus, size=8)
    write(corpus, size=8, overwrite=True)
    assert output.read_text(encoding="utf-8").startswith("16 8\n")


@pytest.mark.parametrize(
    "text, size, error_message",
    [
        ("one two\n", 12, "en has 1 lines but"),
        ("", 12, "is empty"),
        (None, 12, "does not exist"),
        ("one two\n" * 64, 1, "--size is 1, but must be at least 2"),
        ("one two\n" * 64, 99999999999999999999, "--size is 99999999999999999999, but must be at most"),
    ],
)
def test_unusable_files_are_refused(corpus, text, size, error_message):
    (corpus / "en").unlink() if text is None else (corpus / "en").write_text(text)
    with pytest.raises(UserError, match=error_message):
        write(corpus, size)
    assert not (corpus / "vectors").exists()


def test_text_of_another_segmentation(corpus):
    for side in ("en", "de"):
        (corpus / side).write_text("o n e\n" * 3)
    with pytest.raises(UserError, match="have no token of .*dict"):
        write(corpus)
    assert not (corpus / "vectors").exists()


@pytest.mark.parametrize(
    "content, error_message",
    [
        (b"one two three\n", "is not a dictionary of fairseq"),
        (b"one 1\none 2\n", "is not a dictionary of fairseq"),
        (b"\xff 1\n", "is not UTF-8"),
    ],
)
def test_files_that_are_no_dictionary_are_refused(corpus, content, error_message):
    (corpus / "dict").write_bytes(content)
    with pytest.raises(UserError, match=error_message):
        write(corpus)
