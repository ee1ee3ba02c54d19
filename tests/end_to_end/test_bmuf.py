"""Tests block momentum with two processes (--use-bmuf).

Expected values come from data-parallel and uninterrupted training.
"""

import pytest
import torch
from test_distributed import TWO, arguments, free_address, parameters
from commands import start
from test_vocabulary_parallel import assert_close, statistics

SGD = "--optimizer gnmt_adam_then_sgd --adam-updates 0 --clip-norm 0 --lr 0.5".split()
EVERY_UPDATE = "--use-bmuf --global-sync-iter 1 --warmup-iterations 0 --block-momentum 0".split()


def succeed_two(*command) -> str:
    """Runs two processes; returns the output of the first."""
    two = [*TWO, "--distributed-init-method", free_address()]
    running = [start("train", *command, *two, "--distributed-rank", rank) for rank in range(2)]
    done = [process.finish() for process in running]
    assert [result.code for result in done] == [0, 0], "".join(result.text[-2500:] for result in done)
    return done[0].stdout


@pytest.mark.parametrize("options", [[], ["--sentence-avg", "--update-freq", 2]], ids=["tokens", "sentences"])
def test_synchronising_every_update_is_data_parallelism(tmp_path, options):
    """Compares weights and the logs of an epoch in whose last update only one replica has a batch."""
    command = ["--batch-size", 20, "--max-update", 8, *SGD, *options]
    printed = succeed_two(*arguments(tmp_path / "parallel", *command))
    printed_by_bmuf = succeed_two(*arguments(tmp_path / "blocks", *command, *EVERY_UPDATE))
    assert_close(parameters(tmp_path / "blocks"), parameters(tmp_path / "parallel"))
    actual, expected = statistics(printed_by_bmuf, "train")[0], statistics(printed, "train")[0]
    for name in ("loss", "nll_loss", "wpb", "bsz", "num_updates"):
        assert actual[f"train_{name}"] == expected[f"train_{name}"], name


BLOCKS = "--use-bmuf --global-sync-iter 4 --block-momentum 0.5 --save-interval-updates 5 --max-update 11".split()


@pytest.mark.parametrize(
    "options",
    [
        ["--warmup-iterations", 7],
        ["--warmup-iterations", 7, "--average-sync"],
        "--warmup-iterations 2 --use-nbm --optimizer gnmt_adam_then_sgd --adam-updates 6 --lr 0.01".split(),
    ],
    ids=["in the warm-up", "averaged moments", "Nesterov; Adam, then SGD"],
)
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path, options):
    """Update 5, after which the checkpoint is written, is neither a synchronisation nor the end of the warm-up."""
    command = ["--batch-size", 12, *BLOCKS, *options]
    succeed_two(*arguments(tmp_path / "whole", *command))
    source = tmp_path / "whole" / "checkpoint_1_5.pt"
    succeed_two(*arguments(tmp_path / "resumed", *command, "--restore-file", source))
    whole, resumed = (
        torch.load(tmp_path / name / "checkpoint_last.pt", weights_only=True) for name in ("whole", "resumed")
    )
    for name, value in whole["model"].items():
        assert torch.equal(resumed["model"][name], value), name
    blocks, resumed_blocks = (state["last_optimizer_state"]["bmuf"] for state in (whole, resumed))
    assert blocks["updates"] == resumed_blocks["updates"] == 11
    assert all(map(torch.equal, blocks["momentum"], resumed_blocks["momentum"]))
    assert any(momentum.any() for momentum in blocks["momentum"])


@pytest.mark.parametrize("objective", [[], "--criterion gnmt_mixed_objective --samples 2".split()], ids=["", "mixed"])
def test_logs_count_all_replicas(tmp_path, objective):
    """300 sentences in batches of 20 are 15 batches; the second replica has none in the last update."""
    command = ["--batch-size", 20, "--required-batch-size-multiple", 1, "--max-epoch", 1, "--max-update", 100]
    blocks = ["--use-bmuf", "--warmup-iterations", 0, "--global-sync-iter", 3]
    printed = succeed_two(*arguments(tmp_path, *command, *blocks, *objective))
    (epoch,) = statistics(printed, "train")
    assert (epoch["train_num_updates"], float(epoch["train_bsz"])) == ("8", 37.5)
    assert 0 < float(epoch["train_loss"]) < 100
    assert ("train_reward" in epoch) == bool(objective)
