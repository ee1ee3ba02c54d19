"""Tests refinement by the expected reward: rewards increase, and refinement can be resumed.

Expected values come from the trained model.
"""

import json
from pathlib import Path
from typing import List

import torch
from commands import succeed
from test_distributed import run_two
from tiny_corpora import MODEL, TASK, TO_TEXT, sentences, trained_on_sentences

REFINEMENT = (
    "--criterion gnmt_mixed_objective --samples 6 --reward-post-process sentencepiece --optimizer gnmt_adam --lr 1e-3 "
    "--clip-norm 5.0 --sentence-avg --batch-size 20 --no-epoch-checkpoints --log-format json --log-interval 1"
).split()
SIZE = "--hidden-size 64 --encoder-layers 2 --decoder-layers 2 --dropout 0.1".split()


def arguments(folder: Path, updates: int, *more) -> list:
    return [
        sentences(),
        *TASK,
        *MODEL,
        *SIZE,
        *REFINEMENT,
        "--finetune-from-model",
        trained_on_sentences(),
        "--save-dir",
        folder,
        "--max-update",
        updates,
        *more,
    ]


def logged(printed: str, kind: str) -> List[dict]:
    lines = [line.split(" | ")[-1] for line in printed.splitlines() if f" | {kind} | " in line]
    return [json.loads(line) for line in lines]


def parameters(folder: Path) -> dict:
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)["model"]


def test_reward_rises(tmp_path):
    printed = succeed("train", *arguments(tmp_path, 60, "--likelihood-weight", 0))
    epochs = logged(printed, "train")
    rewards = [float(stats["train_reward"]) for stats in epochs]
    first, last = sum(rewards[:3]) / 3, sum(rewards[-3:]) / 3
    assert 0.1 < first < last - 0.02  # three seeds: 0.18 and 0.23
    for name in ("reward_spread", "sample_entropy", "sample_length", "nll_loss", "ppl"):
        assert all(float(stats[f"train_{name}"]) > 0 for stats in epochs)
    validation = logged(printed, "valid")[-1]
    assert float(validation["valid_nll_loss"]) > 0 and "valid_reward" not in validation
    translated = succeed("generate", sentences(), *TASK, *TO_TEXT, "--path", tmp_path / "checkpoint_best.pt")
    assert "BLEU" in translated


def test_a_refinement_is_continued(tmp_path):
    """The same command resumes from its last checkpoint, not from the trained model, and draws new samples."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    succeed("train", *arguments(whole, 7, "--disable-validation"))
    for updates in (4, 7):
        succeed("train", *arguments(parts, updates, "--disable-validation"))
    assert all(torch.equal(value, parameters(whole)[name]) for name, value in parameters(parts).items())


def test_two_processes(tmp_path):
    assert run_two(*arguments(tmp_path, 3, "--batch-size", 8, "--disable-validation")) == [0, 0]
    refined = parameters(tmp_path)
    trained = torch.load(trained_on_sentences(), weights_only=True)["model"]
    assert all(value.isfinite().all() for value in refined.values())
    assert not torch.equal(refined["decoder.output_projection.weight"], trained["decoder.output_projection.weight"])
