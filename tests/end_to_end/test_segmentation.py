"""Tests word models and mixed word/character models in fairseq's commands.

Expected texts and BLEU come from the tokenizers and fairseq-generate.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, NamedTuple

import pytest
from commands import run, script, succeed
from corpus_mirror import sentence_pairs
from tiny_corpora import (
    MODEL,
    OBJECTIVE,
    TASK,
    VALID,
    binarise,
    digit_pairs,
    digits,
    scratch,
    trained_on_digits,
    write,
)

from fairseq_gnmt.data.open_dictionary import request_words
from fairseq_gnmt.models.gnmt import GNMTModel
from gnmt.tokenizers import mixed_word_char
from gnmt.tokenizers.word_tokenizer import encode_words
from gnmt.tokenizers.word_vocabulary import load_vocabulary

LANGUAGES = ["--source-lang", "en", "--target-lang", "de"]


def texts(printed: str) -> List[str]:
    """Returns the detokenised translations of a log, in the order of the sentences."""
    detokenised = re.findall(r"^D-(\d+)\t\S+\t(.*)$", printed, re.MULTILINE)
    return [text for _, text in sorted(detokenised, key=lambda line: int(line[0]))]


def bleu(printed: str) -> float:
    return float(re.search(r"^Generate .*: BLEU = ([\d.]+) ", printed, re.MULTILINE)[1])


# -- words: the network of the digits corpus, with the tokens "▁one ▁two" of a word model


@pytest.fixture(scope="module")
def words() -> Path:
    """Fixture: the validation set as tokens, and the dictionaries."""
    folder = write(
        scratch() / "words", {"valid.en-de": [tuple(map(encode_words, pair)) for pair in digit_pairs(VALID, 2)]}
    )
    for language in ("en", "de"):
        lines = (digits() / f"dict.{language}.txt").read_text(encoding="utf-8").splitlines()
        marked = "".join(line + "\n" if line.startswith("madeup") else f"▁{line}\n" for line in lines)
        (folder / f"dict.{language}.txt").write_text(marked, encoding="utf-8")
    return folder


def test_unknown_words_are_copied_in_interactive(words):
    options = [*TASK, *LANGUAGES, "--path", trained_on_digits(), "--bpe", "words"]
    text = "two Zoe five\nAnna nine\n\none two Bob\n"
    assert texts(succeed("interactive", words, *options, stdin=text)) == ["zwei ⁇ fünf", "⁇ neun", "", "eins zwei ⁇"]
    printed = succeed("interactive", words, *options, "--replace-unk", stdin=text)
    assert texts(printed) == ["zwei Zoe fünf", "Anna neun", "", "eins zwei Bob"]
    assert "\t▁zwei ▁Zoe ▁fünf\n" in printed  # the H- lines have tokens
    tokens = "▁two ▁Zoe ▁five\n▁Anna ▁nine\n"  # unknown words are copied before the tokens are joined
    printed = succeed(
        "interactive", words, *options[:-2], "--replace-unk", "--post-process", "sentencepiece", stdin=tokens
    )
    assert texts(printed) == ["zwei Zoe fünf", "Anna neun"]


def test_unknown_words_are_looked_up(words, tmp_path):
    (tmp_path / "names").write_text("▁Anna ▁Änne\n", encoding="utf-8")
    printed = succeed(
        "interactive",
        words,
        *TASK,
        *LANGUAGES,
        "--path",
        trained_on_digits(),
        "--bpe",
        "words",
        "--replace-unk",
        tmp_path / "names",
        stdin="Anna nine\nBob two\n",
    )
    assert texts(printed) == ["Änne neun", "Bob zwei"]


def test_unknown_words_are_copied_in_generate(words):
    printed = succeed(
        "generate",
        words,
        *TASK,
        *LANGUAGES,
        "--path",
        trained_on_digits(),
        "--gen-subset",
        "valid",
        "--bpe",
        "words",
        "--replace-unk",
        "--dataset-impl",
        "raw",
        "--scoring",
        "gnmt_bleu",
    )
    references = [german for _, german in digit_pairs(VALID, 2)]
    right = [translation == reference for translation, reference in zip(texts(printed), references, strict=True)]
    assert sum(right) >= VALID - 2 and any("Name" in text for text in texts(printed))
    assert bleu(printed) > 90


def test_unknown_words_are_copied_from_python(words):
    checkpoint = trained_on_digits()
    place = str(checkpoint.parent), checkpoint.name, str(words)
    languages = {"source_lang": "en", "target_lang": "de"}
    model = GNMTModel.from_pretrained(*place, bpe="words", replace_unk="", **languages)
    sizes = len(model.src_dict), len(model.tgt_dict)
    for _ in range(2):
        assert model.translate(["two Zoe five", "Anna nine"]) == ["zwei Zoe fünf", "Anna neun"]
    names = [f"Name{number}" for number in range(25)]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(model.translate, [f"two {name} five" for name in names])) == [
            f"zwei {name} fünf" for name in names
        ]
    assert (len(model.src_dict), len(model.tgt_dict)) == sizes and request_words().words == []
    ((hypothesis, *_),) = model.generate([model.encode("Anna nine")])
    assert model.decode(hypothesis["tokens"]) == "Anna neun"
    with pytest.raises(ValueError, match="replace_unk .*from_pretrained"):
        model.translate(["Anna nine"], replace_unk="")
    plain = GNMTModel.from_pretrained(*place, bpe="words", **languages)
    assert plain.translate("Anna nine") == "⁇ neun"


# -- mixed words and characters


class Mixed(NamedTuple):
    vocabulary: Path
    binary: Path
    checkpoint: Path
    printed: str  # output of fairseq-train

    @property
    def bpe(self) -> list:
        return ["--bpe", "mixed_word_char", "--mixed-word-char-model", self.vocabulary]


@pytest.fixture(scope="module")
def mixed() -> Mixed:
    """Fixture: a partly trained model that spells rare words, some numbers among them."""
    folder = scratch() / "mixed"
    pairs = {"train": sentence_pairs(100, seed=1), "valid": sentence_pairs(VALID, 2), "test": sentence_pairs(5, 3)}
    text = write(folder / "text", pairs)
    vocabulary = folder / "mixed.json"
    mixed_word_char.train([text / "train.en", text / "train.de"], 190, vocabulary)
    loaded = load_vocabulary(vocabulary)
    encoded = {split: [tuple(map(loaded.encode, pair)) for pair in split_pairs] for split, split_pairs in pairs.items()}
    binary = binarise(write(folder / "encoded", encoded), list(loaded.dictionary()))
    size = "--hidden-size 64 --encoder-layers 2 --decoder-layers 2 --init-range 0.3 --dropout 0.1".split()
    printed = succeed(
        "train",
        binary,
        *TASK,
        *MODEL,
        *size,
        *OBJECTIVE,
        "--lr",
        "6e-3",
        "--batch-size",
        8,
        "--max-epoch",
        8,
        "--save-dir",
        folder / "model",
        "--no-epoch-checkpoints",
        "--validate-interval",
        8,
        "--log-format",
        "json",
        "--eval-bleu",
        "--eval-bleu-args",
        '{"beam": 2}',
        "--eval-bleu-remove-bpe",
        "mixed_word_char",
    )
    return Mixed(vocabulary, binary, folder / "model" / "checkpoint_last.pt", printed)


def test_validation_bleu_of_a_mixed_model_equals_generate(mixed):
    printed = succeed(
        "generate",
        mixed.binary,
        *TASK,
        "--path",
        mixed.checkpoint,
        "--gen-subset",
        "valid",
        "--beam",
        2,
        *mixed.bpe,
        "--scoring",
        "gnmt_bleu",
    )
    (score,) = re.findall(r'"valid_bleu": "([\d.]+)"', mixed.printed)
    assert 0 < bleu(printed) < 100 and bleu(printed) == float(score)
    references = re.findall(r"^T-(\d+)\t(.*)$", printed, re.MULTILINE)
    assert sorted(references) == sorted((str(n), de) for n, (_, de) in enumerate(sentence_pairs(VALID, 2)))
    assert not re.search("<[BME]>|▁", "".join(texts(printed)))
    assert re.search(r"^H-.*▁<B>\d", printed, re.MULTILINE)  # some words are spelt in characters


def test_interactive_and_python_equal_generate(mixed):
    sources = [english for english, _ in sentence_pairs(5, 3)]
    expected = texts(succeed("generate", mixed.binary, *TASK, "--path", mixed.checkpoint, *mixed.bpe))
    stdin = "".join(f"{source}\n" for source in sources)
    printed = succeed("interactive", mixed.binary, *TASK, "--path", mixed.checkpoint, *mixed.bpe, stdin=stdin)
    assert texts(printed) == expected
    model = GNMTModel.from_pretrained(
        str(mixed.checkpoint.parent),
        mixed.checkpoint.name,
        str(mixed.binary),
        bpe="mixed_word_char",
        mixed_word_char_model=str(mixed.vocabulary),
    )
    assert model.translate(sources) == expected


def test_attention_of_words_that_were_spelt(mixed, tmp_path):
    sources = [english for english, _ in sentence_pairs(5, 3)]
    expected = texts(succeed("generate", mixed.binary, *TASK, "--path", mixed.checkpoint, *mixed.bpe))
    stdin = "".join(f"{source}\n" for source in sources)
    done = script(
        "plot_attention.py",
        "--path",
        mixed.checkpoint,
        "--data",
        mixed.binary,
        "--mixed-word-char-model",
        mixed.vocabulary,
        "--words",
        "mixed_word_char",
        "--output-dir",
        tmp_path,
        stdin=stdin,
    )
    assert done.code == 0, done.stderr
    assert re.findall(r"^sentence \d, score \S+: (.*)$", done.stdout, re.MULTILINE) == expected
    assert len(list(tmp_path.glob("attention-*.png"))) == 5


# -- mistakes


def error_message(name: str, *arguments) -> str:
    done = run(name, *arguments)
    assert done.code == 1 and "Traceback" not in done.stderr, done.text[-3000:]
    return next(line for line in done.stderr.splitlines() if line.startswith("error: "))


def test_mistakes(words, tmp_path):
    options = [
        words,
        *TASK,
        *LANGUAGES,
        "--path",
        trained_on_digits(),
        "--gen-subset",
        "valid",
        "--dataset-impl",
        "raw",
    ]
    message = error_message("generate", *options, "--bpe", "mixed_word_char")
    assert message == "error: --bpe mixed_word_char needs --mixed-word-char-model, the model of the training data."
    message = error_message(
        "generate", *options, "--bpe", "mixed_word_char", "--mixed-word-char-model", tmp_path / "nothing"
    )
    assert "nothing does not exist" in message
    assert "words and mixed_word_char are names for --bpe" in error_message(
        "generate", *options, "--post-process", "words"
    )
    message = error_message(
        "train",
        digits(),
        *TASK,
        *MODEL,
        *OBJECTIVE,
        "--lr",
        "1e-3",
        "--batch-size",
        32,
        "--save-dir",
        tmp_path / "out",
        "--eval-bleu",
        "--eval-bleu-args",
        '{"replace_unk": ""}',
    )
    assert "replace_unk in --eval-bleu-args has no effect" in message
