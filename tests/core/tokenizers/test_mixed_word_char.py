"""Tests word models and mixed word/character models: training, files and commands.

Expected vocabularies are worked out by hand.
"""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import List

import pytest
from fairseq.data import Dictionary

from fairseq_gnmt.segmentation.encoders import WordEncoder, WordsConfig
from gnmt.commands import mixed_word_char, words
from gnmt.commands.command_line import parser_of
from gnmt.errors import UserError
from gnmt.tokenizers.word_counts import count_words
from gnmt.tokenizers.word_vocabulary import WordVocabulary, learn_vocabulary, load_vocabulary

TEXT = ["the cat, the dog", "a cat <unk> a", "", "the <B>cat  sees\t▁the d\u00f4g "]
TOKENS_OF_CHARACTERS = 1 + 4 * 19  # a space alone; 19 different characters without the space, with four markers


def write(path: Path, lines: List[str]) -> Path:
    data = "".join(f"{line}\n" for line in lines).encode("utf-8")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(path: Path) -> List[str]:
    return path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")


def run(command, *arguments) -> None:
    command.run(parser_of(command, "command").parse_args(list(map(str, arguments))))


@pytest.mark.parametrize("jobs", [1, 2])
def test_counts_are_of_all_files(tmp_path, monkeypatch, jobs):
    monkeypatch.setattr("gnmt.files.lines.LINES_PER_CHUNK", 2)
    counts = count_words([write(tmp_path / "en.gz", TEXT[:2]), write(tmp_path / "de", TEXT[2:])], jobs)
    assert counts == Counter(
        {
            " the": 3,
            " a": 2,
            " cat": 2,
            " dog": 1,
            ",": 1,
            " <": 2,
            "unk": 1,
            ">": 2,
            "B": 1,
            "cat": 1,
            " ": 2,
            " sees": 1,
            "\t": 1,
            "▁": 1,
            "the": 1,
            " dôg": 1,
        }
    )


def test_learnt_vocabularies_by_hand():
    counts = Counter({" aa": 5, " ab": 3, "ab": 3, "▁": 9, " ": 9, " c": 1})
    # characters: a 5*2 + 3 + 3, ▁ 9, b 6, c 1, 32 in all. Spaces are not counted; ▁ and a space alone are not words.
    whole = learn_vocabulary(counts, size=100, character_coverage=1.0)
    assert whole == WordVocabulary(words=("▁aa", "▁ab", "ab", "▁c"), characters=("a", "▁", "b", "c"))
    assert len(list(whole.dictionary())) == 1 + 4 * 4 + 4
    small_vocabulary = learn_vocabulary(counts, size=15, character_coverage=31 / 32)
    assert small_vocabulary == WordVocabulary(words=("▁aa", "▁ab"), characters=("a", "▁", "b"))
    assert learn_vocabulary(counts, size=13, character_coverage=30 / 32).words == ()
    with pytest.raises(UserError, match="--vocab-size 12 is too small .* use at least 13, .*--character-coverage"):
        learn_vocabulary(counts, size=12, character_coverage=30 / 32)
    with pytest.raises(UserError, match="--character-coverage is 0"):
        learn_vocabulary(counts, size=100, character_coverage=0)


def test_mixed_commands_from_text_to_text(tmp_path, monkeypatch):
    monkeypatch.setattr("gnmt.files.lines.LINES_PER_CHUNK", 3)
    text, model = write(tmp_path / "text", TEXT), tmp_path / "mixed.json"
    tokens, again, dictionary = tmp_path / "tokens", tmp_path / "again", tmp_path / "dict.txt"
    run(mixed_word_char, "train", "--input", text, "--vocab-size", TOKENS_OF_CHARACTERS + 3, "--output", model)
    run(mixed_word_char, "dictionary", "--model", model, "--output", dictionary)
    assert load_vocabulary(model).words == ("▁the", "▁<", "▁a")  # as frequent as ">" and "▁cat", which come later
    known = Dictionary.load(str(dictionary))
    assert len(known) == 4 + TOKENS_OF_CHARACTERS + 3

    unseen = [*TEXT, "Жук the\u3000cat", "<s>", "<pad>", " </s> "]
    write(text, unseen)
    for jobs in (1, 2):
        more = ("--jobs", jobs, "--overwrite")
        run(mixed_word_char, "encode", "--model", model, "--input", text, "--output", tokens, *more)
        run(mixed_word_char, "decode", "--input", tokens, "--output", again, *more)
        assert read(again) == unseen
    assert read(tokens)[0] == "▁the ▁<B>c <M>a <E>t <B>, ▁the ▁<B>d <M>o <E>g" and read(tokens)[2] == ""
    ids = [known.encode_line(line, add_if_not_exist=False) for line in read(tokens)]
    assert not any(known.unk() in line for line in ids[: len(TEXT)]) and known.unk() in ids[len(TEXT)]


def test_word_commands_from_text_to_text(tmp_path):
    text, tokens, again, dictionary = (tmp_path / name for name in ("text", "tokens", "again", "dict.txt"))
    write(text, TEXT)
    run(words, "dictionary", "--input", text, "--vocab-size", 3, "--output", dictionary, "--jobs", 2)
    assert read(dictionary) == ["▁the 3", "▁ 2", "▁< 2"]
    run(words, "dictionary", "--input", text, "--vocab-size", 99, "--output", dictionary, "--overwrite")
    assert len(read(dictionary)) == 16 and "<B>U+0009 1" in read(dictionary) and "<B>▁ 1" in read(dictionary)
    run(words, "encode", "--input", text, "--output", tokens)
    run(words, "decode", "--input", tokens, "--output", again)
    assert read(again) == TEXT
    known = Dictionary.load(str(dictionary))
    for line in read(tokens):
        assert known.string(known.encode_line(line, add_if_not_exist=False)) == line


def test_mistakes_are_reported_and_leave_no_files(tmp_path):
    text, blank = write(tmp_path / "text", TEXT), write(tmp_path / "blank", ["", ""])
    foreign = tmp_path / "foreign"
    foreign.write_bytes("Bücher\n".encode("latin-1"))
    before, output = sorted(tmp_path.iterdir()), tmp_path / "out"

    def refused(sentence: str, function, *arguments, **options) -> None:
        with pytest.raises(UserError, match=sentence):
            function(*arguments, **options)
        assert sorted(tmp_path.iterdir()) == before

    refused("nothing does not exist", mixed_word_char.train, [text, tmp_path / "nothing"], 100, output)
    refused("foreign is not UTF-8: line 1", mixed_word_char.train, [foreign], 100, output)
    refused("blank: there is no text", words.write_dictionary, [blank], 100, output)
    refused("--vocab-size is 0", words.write_dictionary, [text], 0, output)
    refused("--vocab-size 5 is too small .* use at least 77,", mixed_word_char.train, [text], 5, output)
    refused("--jobs is 0", mixed_word_char.train, [text], 100, output, jobs=0)
    refused("text is an input too", words.write_dictionary, [text], 100, text)
    refused("nothing does not exist", mixed_word_char.write_dictionary, tmp_path / "nothing", output)
    refused("foreign is not UTF-8", load_vocabulary, foreign)


@pytest.mark.parametrize(
    "content",
    [
        "no model",
        "[]",
        "{}",
        json.dumps({"format": 1, "words": [], "characters": []}),
        json.dumps({"format": "mixed words and characters, version 1", "words": [1]}),
    ],
)
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    with pytest.raises(UserError, match="m.json is not a model of mixed words .*mixed_word_char train"):
        load_vocabulary(write(tmp_path / "m.json", [content]))


def test_fairseq_gets_text_of_one_line():
    """A network can generate the code of a line end, which fairseq would print."""
    assert WordEncoder(WordsConfig()).decode("▁a <B>U+000A <B>U+000D ▁<B>U+2028 ▁b") == "a   \u2028 b"
