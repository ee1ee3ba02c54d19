"""Tests subword models: training, encoding and decoding, and dictionaries. Decoding must return the original text."""

import gzip
from collections import Counter
from pathlib import Path
from typing import List

import pytest
import sentencepiece
from fairseq.data import Dictionary

from gnmt.commands import subwords
from gnmt.commands.command_line import parser_of
from gnmt.errors import UserError
from gnmt.tokenizers import subword_training
from gnmt.tokenizers.subword_training import train_subwords
from gnmt.tokenizers.subwords import decode_file, encode_file, load_model, write_dictionary

FAIRSEQ_SYMBOLS = ["<s>", "<pad>", "</s>", "<unk>"]

ENGLISH = [f"the {color} cat sees {number} dogs ." for color in ("black", "white", "old") for number in range(20)]
ENGLISH += "we bought bread , then the teacher was walking along a river with friendly children".split() * 3
GERMAN = [f"die {color} Katze sieht {number} Hunde ." for color in ("schwarze", "weiße") for number in range(20)]
# Characters that nmt_nfkc would change, and names of special tokens, alone and inside words, often enough to be learnt.
AWKWARD = ["H₂O ﬁne m² ½ ﬀ … “quoted” ™ Å", "x<s>y <s> </s>z</s> <pad><pad>a <unk> b<unk>", "<<<s>> < >"] * 20

PIECES = 80
TEXT = ENGLISH + GERMAN + AWKWARD


def write(path: Path, lines: List[str]) -> Path:
    data = "".join(f"{line}\n" for line in lines).encode("utf-8")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(path: Path) -> List[str]:
    return path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fixture: a model of TEXT, trained from two files, one of them compressed, in a folder with a comma and a space in
    its name.
    """
    folder = tmp_path_factory.mktemp("a, b")
    inputs = [write(folder / "en", ENGLISH + AWKWARD), write(folder / "de.gz", GERMAN)]
    train_subwords(inputs, str(folder / "joint"), PIECES, model_type=request.param)
    return folder / "joint.model"


def test_vocabulary_lists_the_pieces_of_the_model(model: Path) -> None:
    pieces = load_model(model)
    assert len(pieces) == PIECES
    vocabulary = [line.split("\t") for line in read(model.with_suffix(".vocab"))]
    assert [piece for piece, _ in vocabulary] == [pieces.id_to_piece(index) for index in range(PIECES)]
    assert float(vocabulary[-1][1]) == pytest.approx(pieces.get_score(PIECES - 1), rel=1e-4)  # written with 6 digits


@pytest.mark.parametrize("jobs", [1, 2])
def test_decoding_gives_back_the_text(model: Path, tmp_path: Path, jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnmt.files.lines.LINES_PER_CHUNK", 16)
    text = TEXT + ["", "unseen Ж letters 日本 and words", "<s>", "<unk>", "日<pad>日", "</s> <pad>", ""]
    source = write(tmp_path / "text", text)
    encode_file(model, source, tmp_path / "pieces", jobs=jobs)
    decode_file(model, tmp_path / "pieces", tmp_path / "again", jobs=jobs)
    assert read(tmp_path / "again") == text
    pieces = read(tmp_path / "pieces")
    assert len(pieces) == len(text) and pieces[-1] == pieces[len(TEXT)] == ""
    assert not {piece for line in pieces for piece in line.split()} & set(FAIRSEQ_SYMBOLS)


def test_number_of_jobs_does_not_change_a_byte(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnmt.files.lines.LINES_PER_CHUNK", 7)
    source = write(tmp_path / "text", TEXT)
    for jobs in (1, 2):
        encode_file(model, source, tmp_path / f"pieces{jobs}", jobs=jobs)
    assert (tmp_path / "pieces1").read_bytes() == (tmp_path / "pieces2").read_bytes()
    twin = sentencepiece.SentencePieceProcessor(model_file=str(model))  # one line at a time
    assert read(tmp_path / "pieces1") == [" ".join(twin.encode(line, out_type=str)) for line in TEXT]


def test_white_space_of_all_kinds_is_one_space_and_breaks_no_line(model: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "text", ["  the\tcat\u00a0 sees\u2028dogs\x85.\x1cthe\u3000cat\u2581dogs\r", "cat"])
    encode_file(model, source, tmp_path / "pieces")
    decode_file(model, tmp_path / "pieces", tmp_path / "again")
    assert read(tmp_path / "again") == ["the cat sees dogs . the cat dogs", "cat"]


def test_dictionary_knows_every_piece(model: Path, tmp_path: Path) -> None:
    write_dictionary(model, tmp_path / "dict.txt")
    dictionary = Dictionary.load(str(tmp_path / "dict.txt"))
    pieces = load_model(model)
    # sentencepiece begins with <unk>, <s>, </s> and fairseq with its four tokens; the pieces follow
    assert dictionary.symbols == FAIRSEQ_SYMBOLS + [pieces.id_to_piece(index) for index in range(3, PIECES)]
    encode_file(model, write(tmp_path / "text", TEXT), tmp_path / "pieces")
    for line in read(tmp_path / "pieces"):
        ids = dictionary.encode_line(line, add_if_not_exist=False)
        assert ids[-1] == dictionary.eos()
        assert all(index >= dictionary.nspecial for index in ids[:-1])
        assert dictionary.string(ids) == line


def test_dictionary_refuses_pieces_that_fairseq_would_misread(tmp_path: Path) -> None:
    text = write(tmp_path / "text", TEXT)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(tmp_path / "foreign"),
        vocab_size=70,
        user_defined_symbols=["<pad>"],
        minloglevel=2,
    )
    with pytest.raises(UserError, match="piece '<pad>'.*subwords train"):
        write_dictionary(tmp_path / "foreign.model", tmp_path / "dict.txt")
    assert not (tmp_path / "dict.txt").exists()


def test_characters_are_pieces_too(tmp_path: Path) -> None:
    train_subwords([write(tmp_path / "text", TEXT)], str(tmp_path / "joint"), 4000, model_type="char")
    pieces = load_model(tmp_path / "joint.model")
    characters = [pieces.id_to_piece(index) for index in range(3, len(pieces))]  # after <unk>, <s>, </s>
    assert set(characters) == {*"".join(TEXT).replace(" ", "▁")} and len(set(characters)) == len(
        characters
    )  # at most 4000 pieces
    encode_file(tmp_path / "joint.model", tmp_path / "text", tmp_path / "pieces")
    assert read(tmp_path / "pieces")[0] == "▁ t h e ▁ b l a c k ▁ c a t ▁ s e e s ▁ 0 ▁ d o g s ▁ ."
    decode_file(tmp_path / "joint.model", tmp_path / "pieces", tmp_path / "again")
    assert read(tmp_path / "again") == TEXT


def test_training_again_gives_the_same_model(tmp_path: Path) -> None:
    text = write(tmp_path / "text", TEXT)
    for name in ("one", "two"):
        train_subwords([text], str(tmp_path / name), 60, input_sentence_size=110, seed=7)
    train_subwords([text], str(tmp_path / "other"), 60, input_sentence_size=110, seed=8)
    pieces = {name: (tmp_path / f"{name}.vocab").read_bytes() for name in ("one", "two", "other")}
    assert pieces["one"] == pieces["two"] != pieces["other"]


def test_lines_are_drawn_in_order_each_as_likely_as_the_others() -> None:
    lines = [str(number) for number in range(10)]
    assert list(subword_training.draw_lines(lines, 10, 10, seed=1)) == lines
    assert list(subword_training.draw_lines(lines, 10, 99, seed=1)) == lines
    drawn: Counter = Counter()
    for seed in range(2000):
        sample = list(subword_training.draw_lines(lines, 10, 3, seed))
        assert len(sample) == 3 and sample == sorted(sample)
        drawn.update(sample)
    # binomial(2000, 0.3): mean 600, standard deviation 20.5; the seeds are fixed, so the result is always the same
    assert all(abs(drawn[line] - 600) < 6 * 20.5 for line in lines)


def test_letters_of_very_long_lines_are_learnt(tmp_path: Path) -> None:
    text = write(tmp_path / "text", ["a b c " * 2000 + "Ж"])  # 12 kB; sentencepiece itself skips lines over 4 kB
    train_subwords([text], str(tmp_path / "joint"), 15)
    assert "Ж" in (tmp_path / "joint.vocab").read_text(encoding="utf-8")


def test_refused_trainings_leave_no_files(tmp_path: Path) -> None:
    text = write(tmp_path / "text", TEXT)
    blank, prefix = write(tmp_path / "blank", ["", " "]), str(tmp_path / "joint")
    before = sorted(tmp_path.iterdir())

    def refused(sentence: str, inputs: List[Path], vocab_size: int, **options: float) -> str:
        with pytest.raises(UserError, match=sentence) as error:
            train_subwords(inputs, prefix, vocab_size, **options)
        assert sorted(tmp_path.iterdir()) == before
        return str(error.value)

    refused("--vocab-size is 0", [text], 0)
    refused("--character-coverage is 1.5", [text], 90, character_coverage=1.5)
    refused("--input-sentence-size is 0", [text], 90, input_sentence_size=0)
    refused("nothing does not exist", [text, tmp_path / "nothing"], 90)
    refused("cannot learn from this text", [blank], 90)
    refused("--vocab-size 20 is too small .* use at least \\d+,", [text], 20)
    too_large = refused("--vocab-size 32000 is too large .* use at most \\d+,", [text], 32000)
    limit = int(too_large.split("at most ")[1].split(",")[0])
    train_subwords([text], prefix, limit)  # the advice in the message works
    with pytest.raises(UserError, match="joint.vocab exists"):
        train_subwords([text], prefix, limit)


def test_missing_and_damaged_models(tmp_path: Path) -> None:
    text, damaged = write(tmp_path / "text", TEXT), write(tmp_path / "damaged.model", ["no model"])
    for convert in (encode_file, decode_file):
        with pytest.raises(UserError, match="nothing.model does not exist"):
            convert(tmp_path / "nothing.model", text, tmp_path / "out")
        with pytest.raises(UserError, match="damaged.model is not a sentencepiece model"):
            convert(damaged, text, tmp_path / "out")
        with pytest.raises(UserError, match="--jobs is 0"):
            convert(damaged, text, tmp_path / "out", jobs=0)
    with pytest.raises(UserError, match="nothing.model does not exist"):
        write_dictionary(tmp_path / "nothing.model", tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == [damaged, text]


def test_white_space_rule_is_what_fairseq_splits_at() -> None:
    codes = {int(line.split("\t")[0], 16) for line in subword_training.white_space_rule().splitlines()}
    assert codes >= {0x09, 0x0A, 0x0D, 0x1C, 0x85, 0xA0, 0x2028, 0x3000, 0x2581}
    assert not codes & {0x20, 0x00, ord("a"), 0xAD, 0x200B}  # soft hyphen and zero-width space are kept


def test_commands_from_text_to_text(tmp_path: Path) -> None:
    text, model = str(write(tmp_path / "text", TEXT)), str(tmp_path / "joint.model")
    pieces, again, dictionary = (str(tmp_path / name) for name in ("pieces", "again", "dict.txt"))
    for arguments in (
        ["train", "--input", text, "--model-prefix", model.removesuffix(".model"), "--vocab-size", str(PIECES)],
        ["encode", "--model", model, "--input", text, "--output", pieces, "--jobs", "2"],
        ["decode", "--model", model, "--input", pieces, "--output", again],
        ["dictionary", "--model", model, "--output", dictionary],
    ):
        subwords.run(parser_of(subwords, "subwords").parse_args(arguments))
    assert read(Path(again)) == TEXT
    assert len(read(Path(dictionary))) == PIECES - 3
