"""Tests words and spelt words, against tokens written by hand; decoding must return each text."""

import random
import sys

import pytest
from fairseq.data import Dictionary
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from gnmt.tokenizers.word_tokenizer import decode, encode_words, spell, split_words
from gnmt.tokenizers.word_vocabulary import WordVocabulary

FAIRSEQ_SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>")
# Parts of random texts: markers and special tokens as text, all kinds of white space, letters of several scripts,
# combining characters, joiners, characters outside the basic plane.
WHITE_SPACE = [chr(code) for code in range(0x3001) if chr(code).isspace()]
MARKS = ["<B>", "<M>", "<E>", "▁", "▁<B>x", "<B>U+0009", "U+0009", "⁇", "<<unk>>", "@@", *FAIRSEQ_SYMBOLS]
LETTERS = [*"aBzß09.,'<>_-", "é", "e\u0301", "\u0301", "и", "日本", "हिन्दी", "\u200d", "👩\u200d🚀", "\0", "\ufeff"]
MIXED = WordVocabulary(words=("▁a", "a", "▁.", ".", "▁<", "▁B", "B", "日本"), characters=tuple("aB<>.M"))


def random_text(choose: random.Random) -> str:
    pieces = [choose.choice([" ", *choose.choice([WHITE_SPACE, MARKS, LETTERS, LETTERS, [" "]])]) for _ in range(60)]
    return "".join(pieces[: choose.randrange(60)])


def random_characters(choose: random.Random) -> str:
    codes = (choose.randrange(sys.maxunicode + 1) for _ in range(choose.randrange(40)))
    return "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)  # texts contain no surrogates


@pytest.mark.parametrize("encode", [encode_words, MIXED.encode], ids=["words", "mixed"])
@pytest.mark.parametrize("draw", [random_text, random_characters])
def test_every_text_is_decoded_unchanged(encode, draw):
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    for _ in range(400):
        text = draw(choose)
        line = encode(text)
        assert decode(line) == text, f"seed {seed}"
        tokens = line.split(" ") if line else []
        assert tokens == line.split(), f"seed {seed}: white space in a token"
        assert not set(tokens) & set(FAIRSEQ_SYMBOLS), f"seed {seed}"


@pytest.mark.parametrize("encode", [encode_words, MIXED.encode], ids=["words", "mixed"])
@pytest.mark.parametrize(
    "text", ["", " ", "  ", " a", "a ", "a  a", "\n", "\t", "▁", " ▁", "<s> <unk>", "<B>M <M>i", *MARKS]
)
def test_difficult_texts_are_decoded_unchanged(encode, text):
    assert decode(encode(text)) == text


def test_words_by_hand():
    assert split_words("A dog, Miki!") == [" A", " dog", ",", " Miki", "!"]
    assert encode_words("A dog, Miki!") == "▁A ▁dog , ▁Miki !"
    assert encode_words("3.5 km  (ca.)") == "▁3 . 5 ▁km ▁ ▁( ca . )"
    assert encode_words("x_y don't") == "▁x _ y ▁don ' t"
    assert encode_words("हिन्दी e\u0301t") == "▁हिन्दी ▁e\u0301t"  # combining marks belong to their letters
    assert encode_words("") == "" and encode_words(" ") == "▁ ▁" and encode_words(" a") == "▁ ▁a"
    assert encode_words("a\tb\u00a0▁") == "▁a <B>U+0009 b <B>U+00A0 <B>▁"
    assert encode_words("<unk>") == "▁< unk >"


def test_spelling_by_hand():
    assert spell("Miki") == ["<B>M", "<M>i", "<M>k", "<E>i"]
    assert spell(" Miki") == ["▁<B>M", "<M>i", "<M>k", "<E>i"]
    assert spell("no") == ["<B>n", "<E>o"]
    assert spell("x") == ["<B>x"] and spell(" 7") == ["▁<B>7"]
    assert spell(" ") == ["▁"] and spell(" \t") == ["▁<B>U+0009"]


def test_mixed_by_hand():
    vocabulary = WordVocabulary(words=("▁A", "▁dog", ","), characters=tuple("Mik!"))
    assert vocabulary.encode("A dog, Miki!") == "▁A ▁dog , ▁<B>M <M>i <M>k <E>i <B>!"
    assert vocabulary.encode("dog dogs") == "▁dog ▁<B>d <M>o <M>g <E>s"
    assert vocabulary.encode("(dog)") == "▁<B>( <B>d <M>o <E>g <B>)"  # "▁dog" is another word than "dog"


def test_any_generated_tokens_decode_to_text():
    assert decode("<M>i <E>k ▁<B>M ▁dog <E>s") == "ik M dogs"
    assert decode("▁the <unk> , ▁<B>M <unk> <E>i") == "the ⁇, M ⁇i"
    assert decode("▁the <<unk>> .") == "the ⁇⁇."  # an unknown word of a reference never equals a word of a translation
    for unknown in ("<unk>", "<<unk>>"):  # and has as many words for BLEU
        assert len(Tokenizer13a()(decode(f"▁the {unknown} .")).split()) == 3
    assert decode("<B>U+D800 <B>U+0041 <B>") == "U+D800U+0041<B>"  # only white space is written as its code


def test_dictionary_has_every_token_of_its_words_and_characters(tmp_path):
    vocabulary = WordVocabulary(words=("▁A", "▁dog", ","), characters=("M", "i", "\t"))
    path = tmp_path / "dict.txt"
    path.write_text("".join(f"{token} 1\n" for token in vocabulary.dictionary()), encoding="utf-8")
    dictionary = Dictionary.load(str(path))
    assert dictionary.symbols[4:] == [
        "▁",
        "▁<B>M",
        "<B>M",
        "<M>M",
        "<E>M",
        "▁<B>i",
        "<B>i",
        "<M>i",
        "<E>i",
        "▁<B>U+0009",
        "<B>U+0009",
        "<M>U+0009",
        "<E>U+0009",
        "▁A",
        "▁dog",
        ",",
    ]
    text = " A  dog, Mi iM\tdog iiM M "
    ids = dictionary.encode_line(vocabulary.encode(text), add_if_not_exist=False)
    unknown = dictionary.string(ids).split().count("<unk>")
    assert unknown == 3  # d, o, g of "dog" after a tab
    known = text.replace("\tdog", "\t")
    assert decode(dictionary.string(dictionary.encode_line(vocabulary.encode(known), add_if_not_exist=False))) == known
