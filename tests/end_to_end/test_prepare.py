"""Tests `gnmt prepare` for each form of parallel text.

Expected files come from the tools called one after the other.
"""

import gzip
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from commands import ROOT, run, succeed
from corpus_mirror import sentence_pairs
from tiny_corpora import write

from gnmt.commands import prepare as command
from gnmt.commands.command_line import parser_of
from gnmt.corpora.cleaning import CleanOutputs, clean_corpus
from gnmt.corpora.cleaning_rules import CleaningRules
from gnmt.corpora.cooccurrence import write_vectors
from gnmt.corpora.preparation import read_lengths
from gnmt.errors import UserError
from gnmt.files.line_conversion import convert_file
from gnmt.files.locks import LOCKED_BY_PARENT, lock_folder
from gnmt.tokenizers import mixed_word_char, subwords, words
from gnmt.tokenizers.subword_training import train_subwords
from gnmt.tokenizers.word_tokenizer import encode_words
from gnmt.tokenizers.word_vocabulary import load_vocabulary

SIZES = {"subwords": 120, "word": 60, "character": 200, "mixed": 200}
PAIRS = {"train": sentence_pairs(60, 1) + [("", "Leer .")], "valid": sentence_pairs(7, 2), "test": sentence_pairs(5, 3)}
PRODUCTS = {"raw", "clean", "encoded", "bin", "dict.txt", "subwords.model", "subwords.vocab", "prepare.json", ".lock"}


@pytest.fixture
def text(tmp_path) -> Path:
    return write(tmp_path / "text", PAIRS)


@pytest.fixture(autouse=True)
def preprocess_in_a_fork(monkeypatch):
    """Runs fairseq-preprocess in a fork that has already imported fairseq; the command itself runs in this process."""
    monkeypatch.delenv(LOCKED_BY_PARENT, raising=False)

    def run_fairseq(name, arguments, messages):
        done = run(name, *arguments)
        if done.code:
            sys.exit(done.code)

    monkeypatch.setattr(command, "run_fairseq_quietly", run_fairseq)


def prepare(folder: Path, text: Path, *further, train: str = "train", valid: str = "valid", size: int = 120) -> None:
    arguments = [
        "--train",
        text / train,
        "--valid",
        text / valid,
        "--test",
        text / "test",
        "--source-lang",
        "en",
        "--target-lang",
        "de",
        "--vocab-size",
        size,
        "--embedding-size",
        0,
        "--jobs",
        1,
        "--output",
        folder,
    ]
    arguments += further
    command.run(parser_of(command, "gnmt prepare").parse_args(list(map(str, arguments))))


def contents(folder: Path) -> dict:
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in files.items() if name.name not in (".lock", "preprocess.log")}


def binary(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "preprocess.log"}


# -- the result


class OneByOne:
    """Slow twin: calls the tools one after the other."""

    def __init__(self, text: Path, folder: Path, segmentation: str):
        self.text, self.folder, self.segmentation = text, folder, segmentation
        self.model = folder / ("mixed.json" if segmentation == "mixed" else "subwords.model")
        outputs = CleanOutputs.with_prefix(str(folder / "clean"), "en", "de")
        sides = [text / "train.en"], [text / "train.de"]
        clean_corpus(*sides, outputs, CleaningRules(), drop_duplicates=False, jobs=1, overwrite=False)
        self.training = [folder / "clean.en", folder / "clean.de"]
        self.learn()
        for split in PAIRS:
            for language in ("en", "de"):
                source = folder / f"clean.{language}" if split == "train" else text / f"{split}.{language}"
                self.encode(source, folder / f"{split}.{language}")
        self.binarise()

    def learn(self) -> None:
        size = SIZES[self.segmentation]
        if self.segmentation == "mixed":
            mixed_word_char.train(self.training, size, self.model)
            mixed_word_char.write_dictionary(self.model, self.folder / "dict.txt")
        elif self.segmentation == "word":
            words.write_dictionary(self.training, size, self.folder / "dict.txt")
        else:
            kind = "char" if self.segmentation == "character" else "bpe"
            train_subwords(self.training, str(self.folder / "subwords"), size, model_type=kind)
            subwords.write_dictionary(self.model, self.folder / "dict.txt")

    def encode(self, source: Path, output: Path) -> None:
        if self.segmentation == "mixed":
            convert_file(load_vocabulary(self.model).encode, source, output, jobs=1, overwrite=False)
        elif self.segmentation == "word":
            convert_file(encode_words, source, output, jobs=1, overwrite=False)
        else:
            subwords.encode_file(self.model, source, output)

    def binarise(self) -> None:
        from fairseq.data import Dictionary

        dictionary = Dictionary.load(str(self.folder / "dict.txt"))
        dictionary.pad_to_multiple_(8)
        dictionary.save(str(self.folder / "dict.txt"))
        splits = [part for split in PAIRS for part in (f"--{split}pref", self.folder / split)]
        succeed(
            "preprocess",
            "--user-dir",
            ROOT / "fairseq_gnmt",
            "--source-lang",
            "en",
            "--target-lang",
            "de",
            "--joined-dictionary",
            "--srcdict",
            self.folder / "dict.txt",
            *splits,
            "--destdir",
            self.folder / "bin",
        )
        if self.segmentation == "word":
            for split in ("valid", "test"):
                for language in ("en", "de"):
                    shutil.copy(self.folder / f"{split}.{language}", self.folder / "bin" / f"{split}.en-de.{language}")


@pytest.mark.parametrize("segmentation", SIZES)
def test_the_result_equals_the_tools_called_one_by_one(segmentation, text, tmp_path):
    (tmp_path / "expected").mkdir()
    expected = OneByOne(text, tmp_path / "expected", segmentation)
    folder = tmp_path / "prepared"
    prepare(folder, text, "--segmentation", segmentation, "--embedding-size", 8, size=SIZES[segmentation])
    assert (folder / "dict.txt").read_bytes() == (expected.folder / "dict.txt").read_bytes()
    assert binary(folder / "bin") == binary(expected.folder / "bin")
    assert len(binary(folder / "bin")) == (18 if segmentation == "word" else 14)
    if segmentation != "word":
        assert (folder / expected.model.name).read_bytes() == expected.model.read_bytes()
    sides = [expected.folder / "train.en", expected.folder / "train.de"]
    write_vectors(*sides, expected.folder / "dict.txt", 8, expected.folder / "embeddings.txt")
    assert (folder / "embeddings.txt").read_bytes() == (expected.folder / "embeddings.txt").read_bytes()
    assert (folder / "raw" / "test.de").read_bytes() == (text / "test.de").read_bytes()
    pairs = zip(*(side.read_text(encoding="utf-8").splitlines() for side in sides))
    lengths = [max(len(side.split()) for side in pair) for pair in pairs]
    assert read_lengths(folder) == [lengths.count(length) for length in range(max(lengths) + 1)] and len(lengths) == 60


def tsv(pairs, packer=bytes) -> bytes:
    return packer("".join(f"{en}\t{de}\tmore\n" for en, de in pairs).encode("utf-8"))


def test_every_form_of_text_gives_the_same_data(text, tmp_path):
    prepare(tmp_path / "plain", text)
    packers = (("train", "gz", gzip.compress), ("valid", "xz", lzma.compress), ("test", "zst", zstandard.compress))
    (tmp_path / "packed").mkdir()
    for split, suffix, packer in packers:
        for language in ("en", "de"):
            content = packer((text / f"{split}.{language}").read_bytes())
            (tmp_path / "packed" / f"{split}.{language}.{suffix}").write_bytes(content)
    prepare(tmp_path / "from packed", tmp_path / "packed")
    (tmp_path / "columns").mkdir()
    (tmp_path / "columns" / "train.tsv.zst").write_bytes(tsv(PAIRS["train"], zstandard.compress))
    (tmp_path / "columns" / "dev").write_bytes(tsv(PAIRS["valid"]))
    (tmp_path / "columns" / "test.tsv").write_bytes(tsv(PAIRS["test"]))
    prepare(tmp_path / "from columns", tmp_path / "columns", valid="dev")
    expected = {name: content for name, content in contents(tmp_path / "plain").items() if name.name != "prepare.json"}
    for folder, more in (("from packed", set()), ("from columns", {Path("raw/train-1.en"), Path("raw/train-1.de")})):
        actual = contents(tmp_path / folder)
        assert set(actual) - set(expected) == {Path("prepare.json"), *more}
        assert {name: actual[name] for name in expected} == expected


def test_several_corpora_are_joined_in_their_order(text, tmp_path):
    (text / "more.tsv").write_text("one\teins\n", encoding="utf-8")
    prepare(tmp_path / "out", text, "--train", text / "more")
    assert (tmp_path / "out" / "clean" / "train.de").read_bytes().endswith(b" .\neins\n")


def test_cleaning_rules_are_options(text, tmp_path):
    (text / "train.tsv").write_text("a b\tc d\na\tb c\na b\tc d\na b ж\tc d\n" + "x y\tz w\n" * 20, encoding="utf-8")
    options = ("--min-length", 2, "--require-encoding", "latin-1", "--drop-duplicates", "--segmentation", "word")
    for language in ("en", "de"):
        (text / f"train.{language}").unlink()
    prepare(tmp_path / "out", text, *options)
    assert (tmp_path / "out" / "clean" / "train.en").read_text() == "a b\nx y\n"


def test_initial_embeddings_are_made_for_small_corpora(text, tmp_path, monkeypatch):
    arguments = [
        "--train",
        text / "train",
        "--valid",
        text / "valid",
        "--test",
        text / "test",
        "--source-lang",
        "en",
        "--target-lang",
        "de",
        "--vocab-size",
        120,
        "--jobs",
        1,
    ]
    parser = parser_of(command, "gnmt prepare")
    command.run(parser.parse_args(list(map(str, [*arguments, "--output", tmp_path / "small"]))))
    assert (tmp_path / "small" / "embeddings.txt").read_text(encoding="utf-8").split("\n", 1)[0].endswith(" 256")
    monkeypatch.setattr("gnmt.corpora.preparation.SMALL", 59)
    command.run(parser.parse_args(list(map(str, [*arguments, "--output", tmp_path / "large"]))))
    assert not (tmp_path / "large" / "embeddings.txt").exists()


# -- repeated, interrupted, with other settings


def test_a_prepared_folder_is_left_alone(text, tmp_path, capsys):
    folder = tmp_path / "out"
    prepare(folder, text)
    assert {path.name for path in folder.iterdir()} == PRODUCTS
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    shutil.move(text, tmp_path / "gone")
    prepare(folder, text)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert capsys.readouterr().out.endswith(f"ready: {folder}\n")
    changed = "was prepared with vocab-size=120, max-length=80, but this command has vocab-size=130, max-length=9: pass"
    with pytest.raises(UserError, match=changed):
        prepare(folder, text, "--max-length", 9, size=130)


STEPS = ["clean_corpus", "write_lengths", "write_padded_dictionary", "run_fairseq_quietly"]


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_preparation_goes_on(step, text, tmp_path, monkeypatch):
    place = command if step == "run_fairseq_quietly" else sys.modules["gnmt.corpora.preparation_steps"]

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    prepare(tmp_path / "expected", text)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(place, step, interrupt)
        prepare(tmp_path / "out", text)
    assert not (tmp_path / "out" / "prepare.json").exists()
    made = {path: path.stat().st_ino for path in (tmp_path / "out" / "unfinished").rglob("*.en")}
    prepare(tmp_path / "out", text)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")
    again = {path.stat().st_ino for path in (tmp_path / "out").rglob("*.en")}
    assert set(made.values()) <= again  # no step was run twice


@pytest.mark.parametrize("moves", range(7))
def test_an_interrupted_move_into_place_goes_on(moves, text, tmp_path, monkeypatch):
    prepare(tmp_path / "expected", text, size=100)
    prepare(tmp_path / "out", text)
    left = iter(range(moves))
    rename = Path.rename

    def rename_some(path, target):
        if path.parent.name == "unfinished" and path.name != "bin.partial":
            next(left)
        return rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(StopIteration):
        patch.setattr(Path, "rename", rename_some)
        prepare(tmp_path / "out", text, "--overwrite", size=100)
    monkeypatch.setattr(command, "steps", None)  # everything has been made
    prepare(tmp_path / "out", text, size=100)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_text_that_is_corrected_is_read_again(text, tmp_path):
    right = (text / "test.en").read_bytes()
    (text / "test.en").write_bytes(right.replace(b"the", "thé".encode("latin-1")))
    with pytest.raises(UserError, match="test.en is not UTF-8"):
        prepare(tmp_path / "out", text)
    (text / "train.en").write_bytes((text / "train.en").read_bytes().replace(b"dog", b""))
    with pytest.raises(UserError, match="--vocab-size 9000 is too large"):
        (text / "test.en").write_bytes(right)
        prepare(tmp_path / "out", text, size=9000)
    (text / "train.en").write_bytes((text / "train.en").read_bytes().replace(b"cat", b""))
    with pytest.raises(UserError, match="--vocab-size 9000 is too large"):
        prepare(tmp_path / "out", text, size=9000)
    cleaned = (tmp_path / "out" / "unfinished" / "clean" / "train.en").read_text(encoding="utf-8")
    assert "cat" not in cleaned and "dog" not in cleaned and "child" in cleaned


def test_overwrite_loses_nothing_if_a_step_fails(text, tmp_path):
    folder = tmp_path / "out"
    prepare(folder, text)
    before = contents(folder)
    with pytest.raises(UserError, match="--vocab-size 90000 is too large"):
        prepare(folder, text, "--overwrite", size=90000)
    with pytest.raises(SystemExit):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(command, "run_fairseq_quietly", lambda *arguments: sys.exit(1))
            prepare(folder, text, "--overwrite")
    after = {name: content for name, content in contents(folder).items() if name.parts[0] != "unfinished"}
    assert after == before


def test_overwrite_removes_what_other_settings_made(text, tmp_path):
    folder = tmp_path / "out"
    prepare(folder, text, "--embedding-size", 8)
    prepare(folder, text, "--overwrite", "--segmentation", "word")
    others = ("subwords.model", "subwords.vocab", "embeddings.txt", "unfinished")
    assert not any((folder / name).exists() for name in others)
    prepare(tmp_path / "new", text, "--segmentation", "word")
    assert contents(folder) == contents(tmp_path / "new")


def test_files_of_others_are_not_replaced(text, tmp_path):
    folder = tmp_path / "out"
    (folder / "clean").mkdir(parents=True)
    (folder / "clean" / "mine").write_text("precious")
    with pytest.raises(UserError, match="has no prepare.json, but .*clean: give another --output"):
        prepare(folder, text)
    for name in ("clean", "bin"):
        corpus = write(tmp_path / name / name, PAIRS)
        with pytest.raises(UserError, match="would be replaced by the preparation"):
            prepare(tmp_path / name, corpus, "--overwrite")
        assert (corpus / "train.en").exists()


def test_text_in_its_final_place_is_read_there(text, tmp_path):
    """Reads raw/, which has all corpora, as the examples do; raw/ is not changed."""
    folder = tmp_path / "out"
    folder.mkdir()
    shutil.move(text, folder / "raw")
    before = {path: path.stat().st_mtime_ns for path in (folder / "raw").iterdir()}
    prepare(folder, folder / "raw")
    assert {path: path.stat().st_mtime_ns for path in (folder / "raw").iterdir()} == before
    with pytest.raises(UserError, match="train.en would be replaced|valid.en would be replaced"):
        prepare(folder, folder / "raw", "--overwrite", train="valid", valid="train")


# -- mistakes


def test_a_folder_in_use_is_refused(text, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    lock = lock_folder(folder)
    with pytest.raises(UserError, match=f"out is in use by process {os.getpid()}"):
        prepare(folder, text)
    assert [path.name for path in folder.iterdir()] == [".lock"]
    monkeypatch.setenv(LOCKED_BY_PARENT, str(folder))  # a script sets this if it calls the command under its own lock
    prepare(folder, text)
    lock.release()


def test_mistakes_are_reported_before_anything_is_made(text, tmp_path):
    def error_message(*further, **options) -> str:
        with pytest.raises(UserError) as raised:
            prepare(tmp_path / "out", text, *further, **options)
        assert "\n" not in str(raised.value) and not (tmp_path / "out" / "unfinished").exists()
        return str(raised.value)

    assert "--source-lang is missing" in error_message("--source-lang", "")
    assert "--target-lang is '../de'" in error_message("--target-lang", "../de")
    assert "--source-lang and --target-lang are both en" in error_message("--target-lang", "en")
    assert "valid.en is given twice" in error_message(train="valid")
    assert "train.en is given twice" in error_message("--train", text / "train")
    assert "there must be" in error_message(train="nothing") and "nothing.tsv" in error_message(train="nothing")
    assert f"train.en has no {text / 'train.fr'} in its directory" in error_message("--target-lang", "fr")
    both = f"without its language, {text / 'train'}, for {text / 'train.en'} and {text / 'train.de'}."
    for name in ("train.en", "train.de", "train.de.gz"):
        assert error_message(train=name) == f"{text / name} is the file of one language: name the corpus {both}"
    message = error_message("--segmentation", "syllables")
    assert message == "--segmentation is 'syllables', but must be subwords, word, character or mixed."
    assert "leave it out for --segmentation word" in error_message("--segmentation", "word", "--input-sentence-size", 9)
    assert "--vocab-size is 0" in error_message(size=0)
    assert "--jobs is 0" in error_message("--jobs", 0)
    (text / "valid.en").write_text("one\n")
    assert "valid.en has 1 lines but" in error_message()
    (text / "valid.en").write_text("")
    assert "valid.en is empty" in error_message()


def test_training_text_that_cannot_be_used_is_reported_in_a_sentence(text, tmp_path):
    for content, message in (
        (b"", "bad.tsv is empty"),
        (b"one\teins\ntwo zwei\n", "Line 2 of .*bad.tsv has no tab"),
        (b"one\t\xe4\n", "bad.tsv is not UTF-8: line 1"),
        (b"\t\n" * 3, "None of the 3 pairs can be kept"),
        (lzma.compress(b"one\teins\n")[:-9], "bad.tsv is not a complete xz file"),
    ):
        (text / "bad.tsv").write_bytes(content)
        with pytest.raises(UserError, match=message):
            prepare(tmp_path / "out", text, train="bad")


def test_without_fairseq_the_extra_is_named():
    code = "import sys; sys.modules['fairseq'] = None; from gnmt.__main__ import main; main()"
    options = "prepare --train a --valid b --test c --source-lang en --target-lang fr --output out".split()
    done = subprocess.run([sys.executable, "-c", code, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr
        == "error: This command needs the package fairseq: run pip install -e '.[fairseq]' in the checkout of fairseq-gnmt.\n"
    )
