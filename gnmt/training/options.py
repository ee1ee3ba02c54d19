"""Options of fairseq-train for a prepared corpus, a recipe and a machine."""

from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence

from gnmt.corpora.preparation import Preparation
from gnmt.errors import UserError
from gnmt.training.precision import is_bfloat16_faster
from gnmt.training.recipes import COMMON, Options, Recipe

TRAINING_PRECISIONS = ("auto", "fp32", "bf16", "fp16")
PRECISION_OPTIONS = ("--fp16", "--bf16", "--memory-efficient-fp16", "--memory-efficient-bf16", "--amp")
MAX_PAIRS_PER_DEVICE = 128  # maximum number of sentence pairs in a batch of one device
SHARDED = "--vocabulary-parallel"  # its processes act as one device, in fp32
# Maximum tokens of either side of a training pair with BOS and EOS: default of --train-max-length.
MAX_TRAINING_LENGTH = 1024
WARMUP_PART = 10  # the learning rate warms up in at most a tenth of the updates
MAX_SCALED_GRADIENT = 1 << 15  # half of the largest float16, 65,504
SCALE_WINDOW = 128  # updates without overflow before the fp16 loss scale doubles
JOINED_BY = {"subwords": "sentencepiece", "character": "sentencepiece", "word": "words", "mixed": "mixed_word_char"}
# Hidden size of each architecture, unless --hidden-size is given.
HIDDEN_SIZES = {"gnmt_v2": 1024, "gnmt_v2_8_layers": 1024, "gnmt_v2_small": 256, "gnmt_v2_tiny": 32, "gnmt": 1024}
# Options that apply only to the default value of another option; they are left out if the user gives another value.
DEPENDENT = {
    "--lr-scheduler": ("--warmup-steps", "--remain-steps", "--decay-steps", "--decay-factor"),
    "--criterion": ("--label-smoothing",),
    "--optimizer": ("--adam-betas",),
    "--arch": ("--hidden-size", "--init-range"),
}


class Batches(NamedTuple):
    """Number of devices, sentence pairs in a batch of one device, and batches of one device in an update."""

    devices: int
    size: int
    update_freq: int


class TrainingOptions(NamedTuple):
    """Arguments of fairseq-train, and the number of epochs to average afterwards."""

    arguments: List[str]
    averaged: int

    def value(self, option: str) -> str:
        """Returns the value of an option; an empty string if the option is not given."""
        return given_value(self.arguments, option) or ""

    def has(self, option: str) -> bool:
        """Returns True if an option is given."""
        return option in self.arguments


def given_value(arguments: Sequence[str], *names: str) -> Optional[str]:
    """Returns the last value of an option (`--name value` or `--name=value`) in a command line; None if not given.

    Args:
        arguments: command line.
        names: spellings of the option, such as --lr.
    """
    value = None
    for place, argument in enumerate(arguments):
        name, equals, text = argument.partition("=")
        if name in names:
            value = text if equals else next(iter(arguments[place + 1 : place + 2]), None)
    return value


def loss_scale(sentences: int) -> int:
    """Returns the initial loss scale for fp16: the largest power of two up to 2^15 / sentences, at least 1.

    fairseq's loss is a sum over sentences, so the largest gradients grow with the number of sentences. The largest
    gradients belong to the output biases of frequent words: 0.9 per occurrence, with label smoothing 0.1. With this
    scale, the gradient of a word that occurs twice in each sentence does not overflow.

    Args:
        sentences: number of sentences in the gradient that one device accumulates for an update.
    """
    return 1 << max(0, (MAX_SCALED_GRADIENT // sentences).bit_length() - 1)


def training_options(
    folder: Path,
    settings: Preparation,
    lengths: Sequence[int],
    recipe: Recipe,
    gpus: int,
    precision: str,
    plugin: Path,
    further: Sequence[str],
    is_bf16_faster: Callable[[int], bool] = is_bfloat16_faster,
) -> TrainingOptions:
    """Returns the arguments of fairseq-train.

    Args:
        folder: output folder of the preparation.
        settings: settings of the preparation.
        lengths: number of training pairs for each number of tokens of the longer side.
        recipe: recipe for this number of pairs.
        gpus: number of GPUs of this machine; 0 means training on the CPU.
        precision: one of TRAINING_PRECISIONS.
        plugin: folder of fairseq_gnmt.
        further: options of the user, which take precedence.
        is_bf16_faster: returns True if a network of a hidden size trains faster in bf16 on this CPU; used for "auto".

    Raises:
        UserError: if the options contradict each other, or no training pair is short enough.
    """
    chosen: Options = {
        "--user-dir": str(plugin), "--save-dir": str(folder / "checkpoints"),
        "--source-lang": settings.source_language, "--target-lang": settings.target_language,
        **COMMON, **recipe.options,
    }  # fmt: skip
    if "--eval-bleu" in chosen:
        chosen["--eval-bleu-remove-bpe"] = JOINED_BY[settings.segmentation]
    chosen.update(_embeddings(folder, recipe, further))
    batches = _batches(recipe, gpus, further)
    chosen["--batch-size"] = str(batches.size)
    if batches.update_freq > 1:
        chosen["--update-freq"] = str(batches.update_freq)
    longest = _number(further, "--train-max-length") or int(
        recipe.options.get("--train-max-length") or MAX_TRAINING_LENGTH
    )
    updates = recipe.epochs * _updates_per_epoch(lengths, longest, batches)
    chosen["--max-update"] = str(updates)
    chosen["--warmup-steps"] = str(min(int(recipe.options["--warmup-steps"] or 0), updates // WARMUP_PART))
    processes = _number(further, SHARDED) or batches.devices
    chosen.update({"--distributed-world-size": str(processes)} if gpus else {"--cpu": None})
    given = [option for option in PRECISION_OPTIONS if option in further]
    if given and precision != "auto":
        raise UserError(f"--precision {precision} and {given[0]} both choose the precision: leave one out.")
    if precision == "auto":
        precision = "fp32" if given else _automatic_precision(recipe, gpus, further, is_bf16_faster)
    chosen.update(_precision(precision, gpus, batches))
    return TrainingOptions([str(folder / "bin"), *_without(chosen, further), *further], recipe.averaged)


def _batches(recipe: Recipe, gpus: int, further: Sequence[str]) -> Batches:
    """Returns batches that together make the recipe's update, on the largest possible number of GPUs.

    Args:
        recipe: recipe of the training.
        gpus: number of GPUs of this machine.
        further: options of the user.
    """
    shards = _number(further, SHARDED)
    if shards:  # all processes read the same batch
        size = _number(further, "--batch-size", "--max-sentences") or min(recipe.batch, shards * MAX_PAIRS_PER_DEVICE)
        return Batches(1, size, _number(further, "--update-freq") or max(1, recipe.batch // size))
    usable = gpus if recipe.several_devices else 1
    chosen = max(count for count in range(1, max(usable, 1) + 1) if recipe.batch % count == 0)
    devices = _number(further, "--distributed-world-size") or chosen
    size = _number(further, "--batch-size", "--max-sentences") or max(
        1, min(recipe.batch // devices, MAX_PAIRS_PER_DEVICE)
    )
    update_freq = _number(further, "--update-freq") or max(1, recipe.batch // (devices * size))
    return Batches(devices, size, update_freq)


def _number(arguments: Sequence[str], *names: str) -> Optional[int]:
    """Returns the last value of an option as a number; None if the option is not given.

    Args:
        arguments: command line.
        names: spellings of the option; the first one is named in the error.

    Raises:
        UserError: if the value is not a positive integer.
    """
    value = given_value(arguments, *names)
    if value is None:
        return None
    if not value.isdecimal() or int(value) == 0:
        raise UserError(f"{names[0]} is {value!r}, but must be a whole number of at least 1.")
    return int(value)


def _updates_per_epoch(lengths: Sequence[int], longest: int, batches: Batches) -> int:
    """Returns the number of updates for the training pairs that are short enough.

    Args:
        lengths: number of training pairs for each number of tokens of the longer side.
        longest: maximum number of tokens, including BOS and EOS.
        batches: batches of an update.

    Raises:
        UserError: if no pair is short enough.
    """
    pairs = sum(lengths[: max(0, longest - 1)])
    if pairs == 0:
        raise UserError(f"There is no training pair of at most {longest} tokens: raise --train-max-length.")
    return -(-pairs // (batches.devices * batches.size * batches.update_freq))


def _embeddings(folder: Path, recipe: Recipe, further: Sequence[str]) -> Options:
    """Returns the option for initial embeddings, if their file exists and they fit the hidden size of a new network.

    Args:
        folder: output folder of the preparation.
        recipe: recipe of the training.
        further: options of the user.
    """
    path = folder / "embeddings.txt"
    if not path.exists() or any(given_value(further, name) for name in ("--finetune-from-model", "--restore-file")):
        return {}
    with open(path, encoding="utf-8") as file:
        header = file.readline().split()
    return {"--pretrained-embeddings": str(path)} if header[1:] == [_hidden_size(recipe, further)] else {}


def _hidden_size(recipe: Recipe, further: Sequence[str]) -> str:
    """Returns the hidden size of the network; an empty string for an architecture of another plugin.

    Args:
        recipe: recipe of the training.
        further: options of the user.
    """
    arch, hidden_size = given_value(further, "--arch", "-a"), given_value(further, "--hidden-size")
    if arch is None:
        arch, hidden_size = recipe.options["--arch"], hidden_size or recipe.options.get("--hidden-size")
    return hidden_size or str(HIDDEN_SIZES.get(str(arch), ""))


def _automatic_precision(
    recipe: Recipe, gpus: int, further: Sequence[str], is_bf16_faster: Callable[[int], bool]
) -> str:
    """Returns the fastest supported precision for "auto".

    Args:
        recipe: recipe of the training.
        gpus: number of GPUs of this machine.
        further: options of the user.
        is_bf16_faster: returns True if a network of a given hidden size trains faster in bf16 on this CPU.
    """
    if given_value(further, SHARDED):
        return "fp32"
    if gpus:
        return "fp16" if recipe.several_devices else "fp32"
    hidden_size = _hidden_size(recipe, further)
    return "bf16" if hidden_size.isdecimal() and is_bf16_faster(int(hidden_size)) else "fp32"


def _precision(precision: str, gpus: int, batches: Batches) -> Options:
    """Returns fairseq's options for a precision other than "auto".

    Args:
        precision: "fp32", "bf16" or "fp16".
        gpus: number of GPUs of this machine.
        batches: batches of an update, which determine the loss scale.
    """
    if precision == "fp32":
        return {}
    if precision == "bf16":
        return {"--bf16": None}
    if not gpus:
        raise UserError("--precision fp16 needs a GPU: give bf16 or fp32.")
    scale = loss_scale(batches.size * batches.update_freq)
    return {"--fp16": None, "--fp16-init-scale": str(scale), "--fp16-scale-window": str(SCALE_WINDOW)}


def _without(chosen: Options, further: Sequence[str]) -> List[str]:
    """Returns the chosen options as arguments, without options that the user's options replace or exclude.

    Args:
        chosen: options by name.
        further: options of the user.
    """
    given = {argument.partition("=")[0] for argument in further if argument.startswith("-")}
    left_out = given | {option for choice, options in DEPENDENT.items() if choice in given for option in options}
    kept = {name: value for name, value in chosen.items() if name not in left_out}
    return [argument for option in kept.items() for argument in option if argument is not None]
