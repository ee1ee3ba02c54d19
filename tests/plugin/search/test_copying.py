"""Tests replacement of unknown words by the source words that they attend to. Expected texts are written by hand."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from fairseq_gnmt.data.open_dictionary import OpenDictionary, forget_words, request_words
from fairseq_gnmt.search.copying import copy_unknown_words
from fairseq_gnmt.search.alignment import Alignment

# four target tokens and EOS over three source words and EOS
ATTENTION = torch.tensor(
    [[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.2, 0.6, 0.1, 0.1], [0.3, 0.4, 0.2, 0.1], [0.0, 0.0, 0.0, 1.0]]
)


def open_dictionary() -> OpenDictionary:
    """Fixture: a dictionary with four special tokens, w0 and w1."""
    dictionary = OpenDictionary()
    for word in ("w0", "w1"):
        dictionary.add_symbol(word)
    return dictionary


def test_copies_by_hand():
    dictionary = open_dictionary()
    unknown, known, end = dictionary.unk(), dictionary.index("w1"), dictionary.eos()
    tokens = torch.tensor([known, unknown, unknown, unknown, end])
    hypothesis = {"tokens": tokens, "alignment": Alignment(ATTENTION, soft=False)}
    copied = copy_unknown_words(hypothesis, ["w0", "▁Zoe", "Rome"], {"Rome": "▁Rom"}, dictionary)
    assert dictionary.string(copied) == "w1 ▁Rom ▁Zoe ▁Zoe"  # EOS of the source is not a word
    assert copied[[0, 4]].tolist() == [known, end] and tokens[1] == unknown
    assert len(dictionary) == 6
    assert copy_unknown_words({**hypothesis, "tokens": copied}, [], {}, dictionary).tolist() == copied.tolist()


def test_unknown_words_have_numbers_for_one_request():
    dictionary = open_dictionary()
    forget_words()
    encoded = dictionary.encode_line("w0 Zoe w1 Zoe Rome", add_if_not_exist=True)
    assert dictionary.string(encoded) == "w0 Zoe w1 Zoe Rome" and encoded[1] == encoded[3]
    # source and target of a request have one numbering
    assert open_dictionary().string(encoded) == "w0 Zoe w1 Zoe Rome"
    backwards = dictionary.encode_line("w0 Zoe Rome", add_if_not_exist=True, reverse_order=True, append_eos=False)
    assert backwards.tolist() == encoded[[4, 1, 0]].tolist()
    assert dictionary.string(dictionary.encode_line("w0 Zoe", add_if_not_exist=False)) == "w0 <unk>"
    assert len(dictionary) == 6 and pickle.loads(pickle.dumps(dictionary)) == dictionary
    forget_words()
    assert dictionary.string(encoded) == "w0 <unk> w1 <unk> <unk>" and request_words().words == []


def test_threads_have_their_own_words():
    """Two threads number their words at the same time; each reads back its own."""
    dictionary, barrier = open_dictionary(), threading.Barrier(2)

    def request(name: str) -> str:
        forget_words()
        barrier.wait()
        encoded = dictionary.encode_line(" ".join(f"{name}{index}" for index in range(50)), add_if_not_exist=True)
        barrier.wait()
        return dictionary.string(encoded)

    with ThreadPoolExecutor(2) as threads:
        texts = list(threads.map(request, ("Zoe", "Bob")))
    assert texts == [" ".join(f"{name}{index}" for index in range(50)) for name in ("Zoe", "Bob")]
    assert len(dictionary) == 6
