"""Unknown words are replaced by what they attend to, by hand."""
import torch

from conftest import make_dictionary
from fairseq_gnmt.search.copying import copy_unknown_words
from gnmt.search.alignment import Alignment

# four target tokens and the end mark over three source words and theirs
ATTENTION = torch.tensor([
    [0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.2, 0.6, 0.1, 0.1], [0.3, 0.4, 0.2, 0.1], [0.0, 0.0, 0.0, 1.0]
])


def test_copies_by_hand():
    dictionary = make_dictionary(6)
    unknown, known, end = dictionary.unk(), dictionary.index("w1"), dictionary.eos()
    tokens = torch.tensor([known, unknown, unknown, unknown, end])
    hypothesis = {"tokens": tokens, "alignment": Alignment(ATTENTION, soft=False)}
    copied = copy_unknown_words(hypothesis, ["w0", "▁Zoe", "Rome"], {"Rome": "▁Rom"}, dictionary)
    assert dictionary.string(copied) == "w1 ▁Rom ▁Zoe ▁Zoe"  # the end mark of the source is no word
    assert copied[[0, 4]].tolist() == [known, end] and tokens[1] == unknown
    assert len(dictionary) == 6 + 2
    assert copy_unknown_words({**hypothesis, "tokens": copied}, [], {}, dictionary).tolist() == copied.tolist()
