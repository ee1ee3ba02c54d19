"""Tests the options that --vocabulary-parallel and --use-bmuf refuse. Expected messages are written by hand."""

import pytest
from fairseq_configurations import configuration

from conftest import make_dictionary, make_model
from fairseq_gnmt.fairseq_option_checks import check_options
from fairseq_gnmt.fairseq_options import GENERATE, INTERACTIVE, TRAIN, VALIDATE
from fairseq_gnmt.patches.trainers import trainer_class
from fairseq_gnmt.tasks.vocabulary_parallel import divide_over_processes
from gnmt.errors import UserError

CRITERION = ["--criterion", "gnmt_label_smoothed_cross_entropy"]
SHARDED = dict(vocabulary_parallel=2, distributed_world_size=2)
REPLICAS = dict(use_bmuf=True, distributed_world_size=2)


@pytest.mark.parametrize("values", [SHARDED, REPLICAS, dict(SHARDED, vocabulary_parallel=1)])
def test_accepted(values):
    check_options(configuration(TRAIN, *CRITERION, **values), TRAIN)


@pytest.mark.parametrize(
    "values, words",
    [
        (dict(SHARDED, bf16=True), "--bf16 cannot be combined with --vocabulary-parallel 2: it trains in float32"),
        (dict(SHARDED, fp16=True), "--fp16 cannot be combined with --vocabulary-parallel 2: it trains in float32"),
        (dict(SHARDED, distributed_world_size=3), "--distributed-world-size is 3: give both the same number"),
        (dict(SHARDED, store_ema=True), "average checkpoints instead"),
        (dict(SHARDED, use_bmuf=True), "BMUF's replicas are whole models"),
        (dict(SHARDED, fix_batches_to_gpus=True), "all processes read the same batches"),
        (dict(SHARDED, asynchronous_replicas=2), "asynchronous replicas are whole models"),
        (dict(vocabulary_parallel=0), "must be at least 1"),
        (dict(REPLICAS, memory_efficient_fp16=True), "cannot be combined with --use-bmuf: it trains in float32"),
        (dict(REPLICAS, store_ema=True), "each replica would average its own weights"),
        (dict(REPLICAS, asynchronous_replicas=2), "both decide when replicas exchange"),
        (dict(REPLICAS, layer_devices="cpu,cpu"), "exchange the weights of one device"),
        (dict(use_bmuf=True), "give --distributed-world-size 2 or more"),
        (dict(REPLICAS, global_sync_iter=0), "--global-sync-iter is 0, but must be at least 1"),
        (dict(REPLICAS, block_momentum=1.0), "--block-momentum is 1.0, but must be below 1"),
        (dict(REPLICAS, block_lr=0.0), "--block-lr is 0.0, but must be above 0"),
        (dict(REPLICAS, warmup_iterations=-1), "--warmup-iterations is -1, but must be at least 0"),
    ],
    ids=str,
)
def test_refused(values, words):
    with pytest.raises(UserError, match=words):
        check_options(configuration(TRAIN, *CRITERION, **values), TRAIN)


@pytest.mark.parametrize(
    "components, words",
    [
        (["--criterion", "gnmt_mixed_objective"], "needs --criterion gnmt_label_smoothed_cross_entropy"),
        ([*CRITERION, "--arch", "lstm"], "needs an --arch of GNMT, not lstm"),
    ],
)
def test_refused_components(components, words):
    with pytest.raises(UserError, match=words):
        check_options(configuration(TRAIN, *components, **SHARDED), TRAIN)


def test_a_model_is_divided_over_the_processes_that_run():
    with pytest.raises(UserError, match="needs as many processes, but there are 1"):
        divide_over_processes(make_model("gnmt_v2_tiny", make_dictionary(9)), 2)


def test_no_process_is_without_symbols(monkeypatch):
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 10)
    with pytest.raises(UserError, match="more than the 9 tokens of the target vocabulary"):
        divide_over_processes(make_model("gnmt_v2_tiny", make_dictionary(9)), 10)


@pytest.mark.parametrize(
    "values, trainer",
    [
        ({}, "Trainer"),
        (SHARDED, "VocabularyParallelTrainer"),
        (REPLICAS, "BMUFTrainer"),
        (dict(asynchronous_replicas=2), "AsynchronousTrainer"),
    ],
    ids=str,
)
def test_options_choose_the_trainer(values, trainer):
    assert trainer_class(configuration(TRAIN, *CRITERION, **values)).__name__ == trainer


@pytest.mark.parametrize("command", [GENERATE, INTERACTIVE, VALIDATE])
def test_translation_refuses_it(command):
    with pytest.raises(UserError, match="checkpoints are whole"):
        check_options(configuration(command, vocabulary_parallel=2), command)
