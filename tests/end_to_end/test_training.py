"""Tests training with fairseq-train. Expected BLEU comes from fairseq-generate and expected losses from the formula."""

import json
import re

import pytest
import torch
from commands import succeed
from fairseq.checkpoint_utils import load_model_ensemble_and_task
from tiny_corpora import (
    DIGITS,
    MODEL,
    OBJECTIVE,
    TASK,
    TEST,
    TO_TEXT,
    VALID,
    digits,
    scratch,
    sentences,
)

from fairseq_gnmt.models.pretrained_embeddings import read_vectors
from gnmt.corpora.cooccurrence import write_vectors


SEARCH = {"beam": 3, "max_len_a": 1.5, "max_len_b": 6, "length_norm_factor": 0.8, "coverage_penalty": 0.3}
SEARCH_OPTIONS = [part for name, value in SEARCH.items() for part in (f"--{name.replace('_', '-')}", value)]


@pytest.fixture(scope="module")
def training():
    """Fixture: the output of fairseq-train --eval-bleu, and its --save-dir."""
    folder = scratch() / "eval-bleu"
    printed = succeed(
        "train",
        sentences(),
        *TASK,
        *MODEL,
        *OBJECTIVE,
        "--lr",
        "1e-2",
        "--init-range",
        0.3,
        "--batch-size",
        8,
        "--max-epoch",
        4,
        "--save-dir",
        folder,
        "--eval-bleu",
        "--eval-bleu-args",
        json.dumps(SEARCH),
        "--eval-bleu-remove-bpe",
        "sentencepiece",
        "--best-checkpoint-metric",
        "bleu",
        "--maximize-best-checkpoint-metric",
        "--log-format",
        "json",
        "--batch-size-valid",
        5,
    )
    return printed, folder


def validations(printed: str) -> list:
    lines = [line.split(" | ")[-1] for line in printed.splitlines() if " | valid | " in line]
    return [json.loads(line) for line in lines]


def generate(checkpoint, subset: str, *options) -> str:
    return succeed(
        "generate",
        sentences(),
        *TASK,
        *TO_TEXT,
        *SEARCH_OPTIONS,
        "--path",
        checkpoint,
        "--gen-subset",
        subset,
        *options,
    )


def bleu(printed: str) -> float:
    return float(re.search(r"^Generate .*: BLEU = ([\d.]+) ", printed, re.MULTILINE)[1])


def test_validation_bleu_equals_generate(training):
    printed, folder = training
    scores = [float(stats["valid_bleu"]) for stats in validations(printed)]
    assert len(scores) == 4 and 0 < scores[-1] < 100
    for epoch in (2, 4):
        translated = generate(folder / f"checkpoint{epoch}.pt", "valid")
        assert "<<unk>>" in translated  # unknown words are counted equally in both
        assert bleu(translated) == scores[epoch - 1]
    signatures = [set(re.findall(r"nrefs:1\|case:mixed\S+", text)) for text in (printed, translated)]
    assert signatures[0] == signatures[1] and len(signatures[0]) == 1


def test_best_checkpoint_has_the_best_bleu(training):
    printed, folder = training
    scores = [float(stats["valid_bleu"]) for stats in validations(printed)]
    assert float(validations(printed)[-1]["valid_best_bleu"]) == max(scores)
    assert bleu(generate(folder / "checkpoint_best.pt", "valid")) == max(scores)


def test_every_sentence_counts(training):
    printed, folder = training
    for subset, size in (("valid", VALID), ("test", TEST)):
        translated = generate(folder / "checkpoint4.pt", subset, "--batch-size", 4)
        for kind in "STHD":
            numbers = re.findall(rf"^{kind}-(\d+)\t", translated, re.MULTILINE)
            assert sorted(map(int, numbers)) == list(range(size))
        assert f"Translated {size} sentences" in translated


def test_validation_loss_is_over_all_tokens(training):
    """The logged loss equals the mean over all tokens of the validation set."""
    printed, folder = training
    (model,), _, task = load_model_ensemble_and_task([str(folder / "checkpoint4.pt")])
    task.load_dataset("valid")
    dataset = task.dataset("valid")
    nll = tokens = 0
    for index in range(VALID):
        batch = dataset.collater([dataset[index]])
        with torch.no_grad():
            log_probs = model.eval()(**batch["net_input"])[0].log_softmax(dim=-1)
        nll -= log_probs.gather(2, batch["target"][:, :, None]).sum().item()
        tokens += batch["target"].numel()
    assert len(dataset) == VALID
    assert float(validations(printed)[-1]["valid_nll_loss"]) == pytest.approx(nll / tokens / 0.693147, abs=1e-3)


def test_stock_parts_of_fairseq_work_with_the_network(tmp_path):
    """Uses --task translation, and fairseq's criterion, optimizer, schedule and search."""
    succeed(
        "train",
        sentences(),
        "--user-dir",
        TASK[1],
        *MODEL,
        "--cpu",
        "--num-workers",
        0,
        "--optimizer",
        "adam",
        "--lr",
        "1e-3",
        "--lr-scheduler",
        "inverse_sqrt",
        "--criterion",
        "label_smoothed_cross_entropy",
        "--label-smoothing",
        0.1,
        "--max-tokens",
        400,
        "--max-update",
        3,
        "--save-dir",
        tmp_path,
    )
    printed = succeed(
        "generate",
        sentences(),
        "--user-dir",
        TASK[1],
        "--cpu",
        "--num-workers",
        0,
        "--path",
        tmp_path / "checkpoint_last.pt",
        "--max-len-b",
        5,
        "--required-batch-size-multiple",
        1,
    )
    assert len(re.findall(r"^H-\d+\t", printed, re.MULTILINE)) == TEST


def test_other_objectives_of_fairseq_train_the_network(tmp_path):
    printed = succeed(
        "train",
        sentences(),
        *TASK,
        *MODEL,
        "--optimizer",
        "sgd",
        "--lr",
        0.5,
        "--criterion",
        "cross_entropy",
        "--batch-size",
        8,
        "--max-update",
        3,
        "--save-dir",
        tmp_path,
        "--no-save",
    )
    assert "num_updates: 3" in printed


def test_embeddings_of_a_file_are_read_only_when_training_begins(tmp_path):
    """The file is deleted before training resumes and before the model translates."""
    text, vectors = digits().with_name("digits"), tmp_path / "vectors.txt"
    write_vectors(text / "train.en", text / "train.de", text / "dict.txt", 32, vectors)
    training = [
        digits(),
        *TASK,
        *MODEL,
        *OBJECTIVE,
        "--lr",
        "1e-9",
        "--batch-size",
        32,
        "--save-dir",
        tmp_path / "out",
        "--pretrained-embeddings",
        vectors,
        "--disable-validation",
    ]
    assert "embeddings of 18 of 22 tokens are initialised from" in succeed("train", *training, "--max-update", 1)
    written = dict(read_vectors(vectors, 32))
    vectors.unlink()
    assert "are initialised from" not in succeed("train", *training, "--max-update", 2)
    checkpoint = tmp_path / "out" / "checkpoint_last.pt"
    (model,), _, task = load_model_ensemble_and_task([str(checkpoint)])
    tokens = [task.source_dictionary.index(word) for word in DIGITS]
    actual = model.encoder.embed_tokens.weight[tokens].detach()
    expected = torch.stack([written[word] for word in DIGITS])
    assert torch.allclose(torch.nn.functional.normalize(actual), expected, atol=1e-3)
    assert "H-0" in succeed("generate", digits(), *TASK, "--path", checkpoint)
