"""Tests the options that `gnmt train` chooses for data and machine, and how options of the user replace them.

Expected options are written by hand.
"""

import subprocess

import pytest
import torch
from fairseq.models import MODEL_REGISTRY

from gnmt.checkpoints.averaging import epoch_checkpoints
from gnmt.commands import train as command
from gnmt.commands.command_line import run_module
from gnmt.corpora.preparation import Preparation
from gnmt.errors import UserError
from gnmt.files.locks import locked
from gnmt.training.options import HIDDEN_SIZES, TrainingOptions, given_value, loss_scale
from gnmt.training.precision import is_bfloat16_faster, bfloat16_speedup
from gnmt.training.recipes import LARGE_CORPORA, MEDIUM_CORPORA, RECIPES, SMALL_CORPORA, recipe_for
from prepared_folders import ROOT, dry_run, options, prepared


def test_the_loss_scale_is_the_one_of_the_scripts():
    numbers = [1, 2, 3, 64, 100, 128, 1000, 1024, 1025, 32767, 32768, 32769, 10**6]
    script = f"source examples/environment.sh; for n in {' '.join(map(str, numbers))}; do loss_scale $n; done"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert [loss_scale(number) for number in numbers] == list(map(int, done.stdout.split()))
    assert loss_scale(1024) == 32


def test_widths_are_those_of_the_plugin():
    assert HIDDEN_SIZES == {name: MODEL_REGISTRY[name].config_class().hidden_size for name in HIDDEN_SIZES}


# -- data and machine


def test_the_recipe_follows_the_number_of_pairs():
    numbers = (1, 200_000, 200_001, 2_000_000, 2_000_001, 10**9)
    assert [RECIPES.index(recipe_for(number)) for number in numbers] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    "gpus, devices, size, update_freq, scale",
    [
        (1, "1", "128", "8", "32"),
        (2, "2", "128", "4", "64"),
        (3, "2", "128", "4", "64"),
        (6, "4", "128", "2", "128"),
        (8, "8", "128", None, "256"),
        (16, "16", "64", None, "512"),
    ],
)
def test_an_update_is_shared_by_the_gpus(gpus, devices, size, update_freq, scale, tmp_path):
    chosen = options(tmp_path, recipe=LARGE_CORPORA, gpus=gpus)
    assert chosen["--distributed-world-size"] == devices and chosen["--batch-size"] == size
    assert chosen.get("--update-freq") == update_freq and chosen["--max-update"] == "6"
    assert "--fp16" in chosen and chosen["--fp16-init-scale"] == scale and chosen["--fp16-scale-window"] == "128"
    assert "--cpu" not in chosen


def test_processes_that_divide_the_vocabulary_share_one_batch(tmp_path):
    chosen = options(tmp_path, "--vocabulary-parallel", "4", recipe=LARGE_CORPORA, gpus=8)
    assert chosen["--distributed-world-size"] == "4" and "--fp16" not in chosen
    assert (chosen["--batch-size"], chosen["--update-freq"], chosen["--max-update"]) == ("512", "2", "6")


def test_a_small_corpus_takes_one_gpu_in_fp32(tmp_path):
    on_gpus, on_cpu = options(tmp_path, gpus=8), options(tmp_path)
    assert on_gpus.pop("--distributed-world-size") == "1" and on_cpu.pop("--cpu", 0) is None
    assert on_gpus == on_cpu and not {"--fp16", "--bf16"} & set(on_gpus)


def precision_of(chosen: dict) -> set:
    return {name for name in chosen if "16" in name}


def test_precision(tmp_path):
    fp16 = {"--fp16", "--fp16-init-scale", "--fp16-scale-window"}
    for recipe, gpus, precision, expected in (
        (LARGE_CORPORA, 0, "auto", set()),
        (LARGE_CORPORA, 1, "auto", fp16),
        (MEDIUM_CORPORA, 1, "auto", fp16),
        (LARGE_CORPORA, 1, "fp32", set()),
        (LARGE_CORPORA, 1, "bf16", {"--bf16"}),
        (SMALL_CORPORA, 0, "bf16", {"--bf16"}),
        (SMALL_CORPORA, 1, "fp16", fp16),
    ):
        assert precision_of(options(tmp_path, recipe=recipe, gpus=gpus, precision=precision)) == expected
    assert precision_of(options(tmp_path, "--bf16", recipe=LARGE_CORPORA, gpus=1)) == {"--bf16"}
    for further, gpus, expected in (
        ((), 0, {"--bf16"}),
        ((), 1, set()),  # a small corpus on a GPU
        (("--fp16",), 0, {"--fp16"}),
        (("--arch", "lstm"), 0, set()),  # the width is unknown
    ):
        assert precision_of(options(tmp_path, *further, gpus=gpus, is_bf16_faster=True)) == expected
    with pytest.raises(UserError, match="--precision fp16 needs a GPU"):
        options(tmp_path, precision="fp16")
    with pytest.raises(UserError, match="--precision bf16 and --fp16 both choose"):
        options(tmp_path, "--fp16", precision="bf16", gpus=1)


def test_is_bf16_faster_where_products_are_faster_and_wide_enough():
    assert is_bfloat16_faster(256, lambda: 1.5) and is_bfloat16_faster(1024, lambda: 7.0)
    assert not is_bfloat16_faster(1024, lambda: 1.4) and not is_bfloat16_faster(255, lambda: 7.0)
    times = {"float32": 6e-3, "bfloat16": 1e-3}
    assert bfloat16_speedup(lambda: times) == 6
    assert bfloat16_speedup() > 0


def test_gpus_are_counted_unless_the_cpu_is_wanted(tmp_path, monkeypatch, capsys):
    prepared(tmp_path / "out")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(command, "recipe_for", lambda pairs: LARGE_CORPORA)
    printed = dry_run(capsys, tmp_path / "out")
    assert "--distributed-world-size 2" in printed and "--cpu" not in printed and printed.startswith("fairseq-train ")
    printed = dry_run(capsys, tmp_path / "out", "--cpu")
    assert "--distributed-world-size" not in printed and printed.count("--cpu") == 1 and "--fp16" not in printed


# -- options of the user


def test_options_of_the_user_replace_chosen_ones(tmp_path):
    chosen = options(tmp_path, "--lr", "1e-4", "--save-dir=elsewhere", "--seed", "2")
    assert chosen["--lr"] == "1e-4" and chosen["--seed"] == "2" and chosen["--save-dir=elsewhere"] is None
    assert "--save-dir" not in chosen
    assert TrainingOptions(["bin", "--save-dir=a b", "--lr", "1"], 1).value("--save-dir") == "a b"
    assert given_value(["--lr", "1", "--lr=2"], "--lr") == "2" and given_value(["--lrs", "1"], "--lr") is None


def test_updates_and_loss_scale_follow_the_users_batches(tmp_path):
    assert options(tmp_path, "--batch-size", "32")["--update-freq"] == "2"  # each update still has 64 pairs
    assert options(tmp_path, "--batch-size", "10", "--update-freq", "1")["--max-update"] == "1000"
    assert options(tmp_path, "--train-max-length", "12")["--max-update"] == "150"  # 900 pairs
    assert (
        options(tmp_path, "--batch-size", "10", "--update-freq", "1")["--warmup-steps"] == "100"
    )  # a tenth of 1,000 updates
    assert options(tmp_path, "--batch-size", "1", "--update-freq", "1")["--warmup-steps"] == "200"
    chosen = options(tmp_path, "--batch-size=512", "--update-freq", "1", recipe=LARGE_CORPORA, gpus=1)
    assert chosen["--fp16-init-scale"] == "64" and chosen["--max-update"] == "12"
    assert options(tmp_path, "--max-update", "7")["--max-update"] == "7"
    with pytest.raises(UserError, match="no training pair of at most 3 tokens"):
        options(tmp_path, "--train-max-length", "3")
    with pytest.raises(UserError, match="--batch-size is '-1', but must be a whole number"):
        options(tmp_path, "--batch-size", "-1")


def test_options_that_depend_on_another_choice_go_with_it(tmp_path):
    chosen = options(tmp_path, "--lr-scheduler", "fixed", "--arch", "gnmt_v2_tiny", recipe=MEDIUM_CORPORA)
    assert not {"--warmup-steps", "--remain-steps", "--hidden-size", "--init-range"} & set(chosen)
    chosen = options(tmp_path, "--optimizer", "adam", "--criterion", "cross_entropy", recipe=LARGE_CORPORA)
    assert not {"--adam-betas", "--label-smoothing"} & set(chosen)


def test_initial_embeddings_are_used_if_their_width_is_the_networks(tmp_path):
    def uses(*further: str, **others) -> bool:
        return "--pretrained-embeddings" in options(tmp_path, *further, **others)

    assert not uses()
    (tmp_path / "embeddings.txt").write_text("10 256\n")
    assert uses() and uses("--arch", "gnmt_v2", "--hidden-size", "256") and uses("--arch", "gnmt_v2_small")
    assert not any(map(uses, ("--hidden-size=512", "--arch=gnmt_v2_tiny", "--finetune-from-model=a.pt")))
    assert not uses(recipe=LARGE_CORPORA) and not uses(recipe=MEDIUM_CORPORA)
    (tmp_path / "embeddings.txt").write_text("10 512\n")
    assert uses(recipe=MEDIUM_CORPORA) and not uses()
    assert options(tmp_path, "--pretrained-embeddings", "mine")["--pretrained-embeddings"] == "mine"


@pytest.mark.parametrize(
    "segmentation, name",
    [
        ("subwords", "sentencepiece"),
        ("character", "sentencepiece"),
        ("word", "words"),
        ("mixed", "mixed_word_char"),
    ],
)
def test_validation_joins_the_tokens_of_the_segmentation(segmentation, name, tmp_path):
    settings = Preparation("pt-BR", "fr", ("train",), "valid", "test", segmentation)
    chosen = options(tmp_path, settings=settings)
    assert chosen["--eval-bleu-remove-bpe"] == name
    assert (chosen["--source-lang"], chosen["--target-lang"]) == ("pt-BR", "fr")


# -- the command


def test_threads(tmp_path, capsys, monkeypatch):
    prepared(tmp_path / "out")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert dry_run(capsys, tmp_path / "out").startswith("OMP_NUM_THREADS=3 fairseq-train")
    assert dry_run(capsys, tmp_path / "out", "--threads", 2).startswith("OMP_NUM_THREADS=2 fairseq-train")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(command, "available_cores", lambda: 2)
    assert dry_run(capsys, tmp_path / "out").startswith("OMP_NUM_THREADS=2 fairseq-train")


def test_a_running_training_is_not_started_again(tmp_path, monkeypatch):
    """Its record of the end does not exist yet, and fairseq-train would train beyond it."""
    folder = prepared(tmp_path / "out")
    (folder / "checkpoints").mkdir()
    monkeypatch.setattr(command, "run_fairseq", lambda *arguments: pytest.fail("fairseq-train was started"))
    with locked(folder / "checkpoints"), pytest.raises(UserError, match="checkpoints is in use by process"):
        run_module(command, "gnmt train", [str(folder)])


def test_epochs(tmp_path, capsys):
    prepared(tmp_path / "out")
    assert "--max-update 32 " in dry_run(capsys, tmp_path / "out", "--epochs", 2)


def test_mistakes_are_reported_in_a_sentence(tmp_path, capsys):
    folder = prepared(tmp_path / "out")
    for arguments, words in (
        ([folder, "--epochs", 0], "--epochs is 0"),
        ([folder, "--threads", 0], "--threads is 0"),
        ([tmp_path], f"{tmp_path} is not prepared: run `gnmt prepare"),
        (["--seed", 2, folder], "2 is not a folder: pass DIR first"),
    ):
        with pytest.raises(UserError, match=words):
            dry_run(capsys, *arguments)
    (folder / "prepare.json").write_text('{"train": 5')
    with pytest.raises(UserError, match="prepare.json is damaged"):
        dry_run(capsys, folder)


def test_epoch_checkpoints_are_in_their_order(tmp_path):
    others = "checkpoint_last.pt", "checkpoint_1_500.pt", "checkpoint2.pt.partial"
    for name in ("checkpoint10.pt", "checkpoint9.pt", *others):
        (tmp_path / name).touch()
    assert [path.name for path in epoch_checkpoints(tmp_path)] == ["checkpoint9.pt", "checkpoint10.pt"]
