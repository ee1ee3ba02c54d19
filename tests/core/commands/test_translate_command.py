"""Tests `gnmt translate` in this process. Expected translations come from `Translator`."""

import json
import sys
from pathlib import Path

import pytest
from model_folders import LINES, make_model_folder

from gnmt.commands import translate
from gnmt.commands.command_line import run_module
from gnmt.errors import UserError
from gnmt.files import progress
from gnmt.search.beam_search import BeamSearch
from gnmt.translator import Translator

ROOT = Path(__file__).resolve().parents[3]


def write(path: Path, lines) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def run(model_folder: Path, *arguments) -> None:
    run_module(translate, "gnmt translate", [str(model_folder), *map(str, arguments)])


# -- forms of the output


def test_text_is_one_line_for_each_line(model_folder, translated_lines, tmp_path, capsys):
    run(model_folder, write(tmp_path / "text", LINES))
    assert capsys.readouterr().out.split("\n") == [*(translation.text for translation in translated_lines), ""]


def test_json_has_the_nbest_list(model_folder, tmp_path, capsys):
    run(model_folder, write(tmp_path / "text", LINES), "--output", "json", "--nbest", 2, "--beam", 3)
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = Translator.from_pretrained(model_folder).translate(LINES, nbest=2, beam=3)
    assert [record["line"] for record in objects] == [1, 2, 3, 4] and objects[1]["text"] == ""
    (sentence,) = objects[0]["sentences"]
    assert [hypothesis["text"] for hypothesis in sentence["nbest"]] == [
        hypothesis.text for hypothesis in expected[0].nbest
    ]
    assert sentence["nbest"][1]["score"] == pytest.approx(expected[0].nbest[1].score)
    assert sentence["source"] == LINES[0] and not sentence["is_truncated"]


def test_tsv_has_line_score_and_text_of_each_hypothesis(model_folder, translated_lines, tmp_path, capsys):
    run(model_folder, write(tmp_path / "text", LINES), "--output", "tsv", "--nbest", 2)
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [number for number, _, _ in rows] == ["1", "1", "2", "3", "3", "4", "4"]
    assert rows[0][1:] == [f"{translated_lines[0].score:.6f}", translated_lines[0].text] and rows[2] == [
        "2",
        "0.000000",
        "",
    ]


def test_several_hypotheses_do_not_fit_into_text(model_folder):
    with pytest.raises(UserError, match="--nbest 2 needs --output json or tsv"):
        run(model_folder, "--nbest", 2)


# -- input


def test_files_are_translated_one_after_another(model_folder, translated_lines, tmp_path, capsys):
    run(model_folder, write(tmp_path / "one", LINES[:2]), write(tmp_path / "two", LINES[2:]))
    assert capsys.readouterr().out.split("\n") == [*(translation.text for translation in translated_lines), ""]


def test_a_missing_file_is_reported_before_anything_is_translated(model_folder, tmp_path, capsys):
    with pytest.raises(UserError, match="none does not exist: .* text is read from standard input or from files"):
        run(model_folder, write(tmp_path / "one", LINES), tmp_path / "none")
    assert capsys.readouterr().out == ""


def test_a_training_folder_is_not_accepted_as_a_model(tmp_path):
    model_folder = make_model_folder(tmp_path / "training" / "model")
    with pytest.raises(UserError, match=f"training is not a model folder, but {model_folder} is one"):
        run(tmp_path / "training")


def test_progress_is_shown_if_only_stderr_is_a_terminal(model_folder, tmp_path, capsys, monkeypatch):
    text = write(tmp_path / "text", LINES)
    (tmp_path / "bad").write_bytes(b"The c\xe4t\n")
    monkeypatch.setattr(progress, "SECONDS_BEFORE", 0)
    run(model_folder, text)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run(model_folder, text, tmp_path / "bad")
    shown = capsys.readouterr().err
    assert "5.00/5.00" in shown and f"\rwarning: {tmp_path / 'bad'}: line 1 is not UTF-8" in shown
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run(model_folder, text)
    assert capsys.readouterr().err == ""


def test_a_long_line_is_cut_with_a_warning(model_folder, tmp_path, capsys):
    text = write(tmp_path / "text", ["The dog", "The dog sees the cat and the dog", "The cat"])
    run(model_folder, text, "--max-length", 2, "--batch-size", 1)
    printed = capsys.readouterr()
    expected = Translator.from_pretrained(model_folder).translate(["The dog", "The dog", "The cat"])
    assert printed.out.splitlines() == [translation.text for translation in expected]
    assert printed.err == "warning: line 2 has a sentence of more than 2 tokens, the rest of which is not translated.\n"


def test_bytes_that_are_not_utf8_get_a_warning_and_an_answer(model_folder, tmp_path, capsys):
    good = write(tmp_path / "good", ["The dog"])
    (tmp_path / "bad").write_bytes(b"The dog\nThe c\xe4t\nThe dog")
    run(model_folder, good, tmp_path / "bad")
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 4
    assert (
        printed.err
        == f"warning: {tmp_path / 'bad'}: line 2 is not UTF-8: it has the byte 0xe4, which is read as U+FFFD.\n"
    )


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_refused(model_folder, tmp_path, capsys, encoding):
    (tmp_path / "text").write_bytes("\ufeffThe dog\nThe cat\n".encode(encoding))
    with pytest.raises(UserError, match=r"text is UTF-16, not UTF-8: convert it, .* iconv -f utf-16 -t utf-8\.$"):
        run(model_folder, tmp_path / "text")
    assert capsys.readouterr().out == ""


def test_other_line_breaks_and_byte_order_marks_make_no_lines(model_folder, tmp_path, capsys):
    (tmp_path / "text").write_bytes("\ufeffThe dog\r\nThe\u2028cat\r\n".encode("utf-8"))
    run(model_folder, tmp_path / "text", "--output", "json")
    sources = [json.loads(line)["sentences"][0]["source"] for line in capsys.readouterr().out.split("\n")[:-1]]
    assert sources == ["The dog", "The\u2028cat"]


def test_a_translation_is_reported_before_later_ones_begin(model_folder, monkeypatch):
    reported, reported_at_joins = [], []
    join = BeamSearch.join

    def counting(*arguments):
        reported_at_joins.append(len(reported))
        join(*arguments)

    monkeypatch.setattr(BeamSearch, "join", counting)
    # The longest text is translated first.
    texts = ["The dog sees the cat and the dog runs.", "", "The dog sees.", "The cat"]
    translations = Translator.from_pretrained(model_folder).translate(texts, batch_size=1, progress=reported.append)
    assert reported_at_joins == [0, 2, 3] and reported == translations


def test_options_may_precede_the_files(model_folder, translated_lines, tmp_path, capsys):
    run(model_folder, "--batch-size", 2, write(tmp_path / "text", LINES), "--precision", "fp32")
    assert capsys.readouterr().out.split("\n") == [*(translation.text for translation in translated_lines), ""]
