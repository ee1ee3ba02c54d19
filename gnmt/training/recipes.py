"""Recipes: settings of training for each size of corpus.

The recipe for small corpora is used in examples/multi30k/train.sh (29,000 pairs). The recipe for large corpora is NVIDIA's
for WMT16 English-German (examples/wmt16_en_de/train.sh, 4.5 million pairs). The recipe for medium corpora has half its
hidden size.
"""

from typing import Dict, NamedTuple, Optional

from gnmt.corpora.preparation import SMALL

Options = Dict[str, Optional[str]]  # of fairseq-train; None for an option without value


class Recipe(NamedTuple):
    """Settings of a training run.

    Args:
        pairs: maximum number of training pairs; None means any number.
        batch: number of sentence pairs of one update on all devices together.
        epochs: number of passes through the training pairs.
        averaged: number of last epochs with checkpoints to average.
        several_devices: True trains on all GPUs in fp16; False on one GPU in fp32.
        options: further options of fairseq-train.
    """

    pairs: Optional[int]
    batch: int
    epochs: int
    averaged: int
    several_devices: bool
    options: Options


COMMON: Options = {
    "--task": "gnmt_translation",
    "--criterion": "gnmt_label_smoothed_cross_entropy",
    "--sentence-avg": None,
    "--optimizer": "gnmt_adam",
    "--lr-scheduler": "gnmt_warmup_step_decay",
    "--clip-norm": "5.0",
    "--log-format": "simple",
    "--log-interval": "10",
    "--seed": "1",
}
WITH_BLEU: Options = {
    "--batch-size-valid": "128",
    "--eval-bleu": None,
    "--eval-bleu-args": '{"beam": 1}',
    "--best-checkpoint-metric": "bleu",
    "--maximize-best-checkpoint-metric": None,
}
SMALL_CORPORA = Recipe(
    SMALL, batch=64, epochs=10, averaged=3, several_devices=False,
    options={
        "--arch": "gnmt_v2_small", "--share-decoder-input-output-embed": None, "--dropout": "0.3",
        "--lr": "3e-3", "--warmup-steps": "200", "--remain-steps": "0.5", "--num-workers": "0", **WITH_BLEU,
    },
)  # fmt: skip
MEDIUM_CORPORA = Recipe(
    2_000_000, batch=128, epochs=8, averaged=3, several_devices=True,
    options={
        "--arch": "gnmt_v2", "--hidden-size": "512", "--init-range": "0.14", "--share-decoder-input-output-embed": None,
        "--dropout": "0.2", "--lr": "2e-3", "--warmup-steps": "200", "--remain-steps": "0.5", **WITH_BLEU,
    },
)  # fmt: skip
LARGE_CORPORA = Recipe(
    None, batch=1024, epochs=6, averaged=1, several_devices=True,
    options={
        "--arch": "gnmt_v2", "--train-max-length": "50", "--label-smoothing": "0.1", "--adam-betas": "(0.9, 0.999)",
        "--lr": "2e-3", "--warmup-steps": "200", "--remain-steps": "0.666", "--decay-steps": "4",
        "--decay-factor": "0.5", "--save-interval-updates": "1000", "--keep-interval-updates": "1",
    },
)  # fmt: skip
RECIPES = (SMALL_CORPORA, MEDIUM_CORPORA, LARGE_CORPORA)


def recipe_for(pairs: int) -> Recipe:
    """Returns the recipe for a number of training pairs."""
    return next(recipe for recipe in RECIPES if recipe.pairs is None or pairs <= recipe.pairs)


def fine_tuning(recipe: Recipe) -> Recipe:
    """Returns the recipe to continue a trained model, which gives the options of the network.

    The learning rate is a tenth. Example: a model of Multi30k is trained for another epoch, on a tenth of its training
    text. It loses 4 BLEU with the full rate, and nothing with a tenth of the rate.
    """
    options = {**recipe.options, "--lr": f"{float(recipe.options['--lr'] or 0) / 10:g}"}
    options.pop("--share-decoder-input-output-embed", None)
    return recipe._replace(options=options)
