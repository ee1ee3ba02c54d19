"""Tests the progress output of training. Expected lines are shortened from fairseq-train's log by hand."""

from gnmt.training.progress import INTERVAL, TrainingProgress

PREFIX = "2026-01-02 03:04:05 | INFO | "


def inner(updates: int, perplexity: float = 8.0, speed: float = 4) -> str:
    stats = f"loss=9, nll_loss=3, ppl={perplexity}, ups={speed}, num_updates={updates}, lr=0.001"
    return f"{PREFIX}train_inner | epoch 001: {updates:6d} / 1000 {stats}"


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_time_left_is_for_the_remaining_updates():
    clock = Clock()
    progress = TrainingProgress(2000, clock)
    assert progress.shorten(inner(200)) == "update 200 of 2,000: perplexity 8, 4 updates/s, 0:07:30 left"  # 1800 / 4
    clock.seconds += INTERVAL / 2
    assert progress.shorten(inner(210)) is None  # too early
    clock.seconds += 35  # 160 updates in 40 s: 4 updates/s; 1640 / 4 = 410 s
    assert progress.shorten(inner(360, 123.456)) == "update 360 of 2,000: perplexity 123.5, 4 updates/s, 0:06:50 left"
    clock.seconds += INTERVAL / 2
    assert progress.shorten(inner(2000)).endswith("0:00:00 left")  # the last update is always shown


def test_the_total_may_be_unknown():
    assert TrainingProgress(None).shorten(inner(200)) == "update 200: perplexity 8, 4 updates/s"


def test_validations_are_shown_and_sums_of_epochs_are_not():
    shorten = TrainingProgress(2000).shorten
    valid = f"{PREFIX}valid | epoch 002 | valid on 'dev' subset | loss 9 | nll_loss 2 | ppl 4 | bleu 12.345 | num_updates 20"
    assert shorten(valid) == "epoch 2 (dev): perplexity 4, BLEU 12.35"
    assert shorten(f"{PREFIX}train | epoch 002 | loss 8.6 | nll_loss 7.5 | ppl 181 | num_updates 20 | lr 0.002") is None


def test_warnings_and_messages_of_the_plugin_are_shown_whole():
    shorten = TrainingProgress(2000).shorten
    assert shorten(f"{PREFIX}fairseq.trainer | begin training epoch 1") is None
    assert shorten("GNMTv2(") is None  # the second line of a message
    assert shorten(f"{PREFIX}fairseq_gnmt.models | two") == "two"
    assert shorten("lines") == "lines"
    assert shorten(f"{PREFIX}fairseq_gnmtx.models | other package") is None
    warning = "2026-01-02 03:04:05,678 | WARNING | fairseq.trainer | overflow"
    assert shorten(warning) == "warning: overflow"


def test_large_numbers_are_written_out():
    shown = TrainingProgress(None).shorten(inner(10, 32123.4, speed=123.4))
    assert shown == "update 10: perplexity 32,123, 123 updates/s"


def test_refinement_shows_the_reward():
    line = inner(10).replace("ppl=8.0,", "ppl=8.0, reward=0.21046,")
    assert TrainingProgress(None).shorten(line) == "update 10: perplexity 8, reward 0.2105, 4 updates/s"
