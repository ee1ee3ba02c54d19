"""Tests models widened to a larger hidden size. Expected translations come from the original model."""

import sys
from pathlib import Path

import pytest
import torch
from model_folders import make_model_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import widen_model  # noqa: E402

from gnmt import Translator  # noqa: E402
from gnmt.errors import UserError  # noqa: E402

TEXTS = ["the dog runs .", "a cat sees the dog .", ""]


def widen(monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["widen_model.py", *map(str, arguments)])
    widen_model.main()


@pytest.mark.parametrize("attention_query", ["current", "previous"])
def test_translations_and_scores_equal_the_narrow_model(attention_query, tmp_path, monkeypatch):
    narrow = make_model_folder(tmp_path / "narrow", attention_query=attention_query)
    widen(monkeypatch, narrow, tmp_path / "wide", "--hidden-size", 24)
    first, second = (Translator.from_pretrained(tmp_path / name).translate(TEXTS) for name in ("narrow", "wide"))
    assert [translation.text for translation in first] == [translation.text for translation in second]
    torch.testing.assert_close(
        [translation.score for translation in first], [translation.score for translation in second]
    )


def test_the_gates_of_an_lstm_are_widened_one_by_one():
    weight = torch.arange(1.0, 9).view(8, 1)  # 4 gates of 2 units
    widened = widen_model.widen(weight, [12, 1], 2, 3)
    assert widened.flatten().tolist() == [1, 2, 0, 3, 4, 0, 5, 6, 0, 7, 8, 0]


def test_a_smaller_size_is_refused(tmp_path, monkeypatch):
    narrow = make_model_folder(tmp_path / "narrow")
    with pytest.raises(UserError, match="--hidden-size is 16, but must be larger than 16"):
        widen(monkeypatch, narrow, tmp_path / "wide", "--hidden-size", 16)
    assert not (tmp_path / "wide").exists()
