"""Tests the vocabulary: ids and files are compared with fairseq's Dictionary."""

import pytest
from fairseq.data import Dictionary

from gnmt.errors import UserError
from gnmt.tokenizers.vocabulary import BOS, EOS, PAD, UNK, Vocabulary

FILE = "the 7\n▁dog 3\na b 2\nthe 1 #fairseq:overwrite\nmadeupword0000 0\n"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "dict.txt").write_text(FILE, encoding="utf-8")
    return tmp_path / "dict.txt"


def test_tokens_have_fairseqs_ids(path):
    vocabulary, dictionary = Vocabulary.from_dictionary(path), Dictionary.load(str(path))
    assert vocabulary.tokens == dictionary.symbols and len(vocabulary) == len(dictionary) == 9
    assert (BOS, PAD, EOS, UNK) == (dictionary.bos(), dictionary.pad(), dictionary.eos(), dictionary.unk())
    for token in ("the", "▁dog", "a b", "</s>", "never"):
        assert vocabulary.index(token) == dictionary.index(token)
        assert (token in vocabulary) == (token in dictionary)
    assert vocabulary.encode("▁dog  never the") == [5, UNK, 7]
    assert vocabulary[5] == "▁dog" and vocabulary.words[0] == "the"


@pytest.mark.parametrize(
    "text, error_message",
    [
        ("the 7\nthe 1\n", "line 2 has 'the' again"),
        ("</s> 7\n", "line 1 has '</s>' again"),
        ("the\n", "line 1 is 'the'"),
        ("the seven\n", "line 1 is 'the seven'"),
    ],
)
def test_a_file_that_fairseq_refuses_is_refused(tmp_path, text, error_message):
    (tmp_path / "dict.txt").write_text(text)
    with pytest.raises((ValueError, RuntimeError)):
        Dictionary.load(str(tmp_path / "dict.txt"))
    with pytest.raises(UserError, match=error_message):
        Vocabulary.from_dictionary(tmp_path / "dict.txt")
