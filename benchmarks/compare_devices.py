"""Results of a device against float64 on the CPU: loss, gradient and translations in every precision.

    NVIDIA_TF32_OVERRIDE=0 python benchmarks/compare_devices.py --device cuda
    python benchmarks/compare_devices.py --device cpu --hidden 32 --vocabulary 50 --batch 4

The network has large random weights, so that a wrong term shows in the loss. Deviations are relative; the deviation of the
gradient is the Euclidean norm of the difference divided by the norm of the gradient in float64. Prints a Markdown table.
The exit code is 1 if a deviation is above its limit.
"""

import argparse
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Dict, Iterator, List, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)  # hides fairseq's messages

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from benchmarking import environment  # noqa: E402
from benchmarking.command_line import check_cuda, check_positive  # noqa: E402
from benchmarking.contenders.fairseq_samples import fairseq_sample, task_of  # noqa: E402
from benchmarking.contenders.first_batch import without_dropout  # noqa: E402
from benchmarking.contenders.network import enliven, forbid_marks  # noqa: E402
from benchmarking.contenders.setting import LABEL_SMOOTHING  # noqa: E402
from benchmarking.workload import Batch, make_dictionary, synthetic_batches  # noqa: E402
from fairseq_gnmt.criterions.label_smoothed_cross_entropy import GNMTLabelSmoothedCrossEntropy  # noqa: E402
from fairseq_gnmt.models.gnmt import GNMTModel, GNMTv2  # noqa: E402
from fairseq_gnmt.search.generator import GNMTGenerator  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402
from gnmt.search.options import SearchOptions  # noqa: E402

LAYERS = 4
BEAMS = (1, 5)
VARIANTS: Dict[str, dict] = {
    "plain": {},
    "attention of the previous state": {"attention_query": "previous"},
    "clipped": {"activation_clip": 1.0, "activation_clip_start": 1.0},
    "recomputed": {"checkpoint_activations": True},
}


class Kind(NamedTuple):
    """A precision, and the limits of its deviations from float64."""

    name: str
    weights: torch.dtype
    products: torch.dtype
    loss: float
    gradient: float


KINDS = (
    Kind("fp64", torch.float64, torch.float64, 1e-9, 1e-9),
    Kind("fp32", torch.float32, torch.float32, 1e-5, 1e-3),
    Kind("bf16", torch.float32, torch.bfloat16, 2**-7, 0.3),
    Kind("fp16", torch.float32, torch.float16, 2**-10, 0.1),
)
REFERENCE = KINDS[0]
# Share of sentences of float32 searches that differ: rounding decides between equal scores.
LIMIT_OF_TRANSLATIONS = 0.05


class Result(NamedTuple):
    loss: float
    gradient: Tensor  # of all parameters, float64, on the CPU


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--hidden", type=int, default=256, help="hidden size")
    parser.add_argument("--vocabulary", type=int, default=4000, help="vocabulary size")
    parser.add_argument("--batch", type=int, default=32, help="sentences")
    parser.add_argument("--length", type=int, default=20, help="tokens per sentence, including EOS")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for the tables and the environment")
    parser.add_argument("--overwrite", action="store_true", help="replace the --json file")
    options = parser.parse_args()
    check_output(options.json, options.overwrite)
    check_positive(options, ("hidden", "batch"))
    if options.device == "cuda":
        check_cuda([], [])
    return options


def build(options: argparse.Namespace, variant: str, weights: torch.dtype, device: str) -> GNMTModel:
    """Returns a network with the same weights for the same options and variant.

    Args:
        options: options of the command line.
        variant: name of the network variant.
        weights: type of the weights.
        device: "cpu" or "cuda".
    """
    dictionary = make_dictionary(options.vocabulary)
    config = GNMTv2.config_class(
        hidden_size=options.hidden, encoder_layers=LAYERS, decoder_layers=LAYERS, dropout=0.0, **VARIANTS[variant]
    )
    torch.manual_seed(1)
    model = GNMTv2.build_model(config, task_of(dictionary))
    enliven(model)
    forbid_marks(model.decoder.output_projection, dictionary)
    return model.to(device, weights)


def loss_and_gradient(model: GNMTModel, batch: Batch, kind: Kind, device: str) -> Result:
    """Returns the label-smoothed loss of a batch in nats, and its gradient.

    Args:
        model: network to run.
        batch: batch of the comparison.
        kind: arithmetic.
        device: "cpu" or "cuda".
    """
    dictionary = model.decoder.dictionary
    criterion = GNMTLabelSmoothedCrossEntropy(task_of(dictionary), LABEL_SMOOTHING, sentence_avg=True)
    sample = fairseq_sample(batch, dictionary, device)
    is_mixed = kind.products != kind.weights
    with without_dropout(model):
        with torch.autocast(device, kind.products if is_mixed else None, enabled=is_mixed):
            loss = criterion(model, sample)[0]
        loss.backward()
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return Result(loss.item(), torch.cat(gradients).double().cpu())


@torch.no_grad()
def translate(model: GNMTModel, batch: Batch, beam: int, precision: str, device: str) -> List[List[int]]:
    """Returns the best translation of each source, by the project's beam search.

    Args:
        model: network to run.
        batch: batch of the comparison.
        beam: beam size.
        precision: precision of decoding.
        device: "cpu" or "cuda".
    """
    options = SearchOptions(beam=beam, max_len_b=max(len(source) for source in batch.sources) + 5)
    model.prepare_for_inference_(SimpleNamespace(generation=SimpleNamespace()))  # as fairseq-generate does
    generator = GNMTGenerator([model], model.decoder.dictionary, options, precision=precision)
    hypotheses = generator.generate([model], fairseq_sample(batch, model.decoder.dictionary, device))
    return [nbest[0]["tokens"].tolist() for nbest in hypotheses]


def row(variant: str, quantity: str, deviation: float, limit: float) -> Dict[str, str]:
    return {
        "network": variant,
        "compared": quantity,
        "deviation": f"{deviation:.1e}",
        "limit": f"{limit:.1e}",
        "within": "yes" if deviation <= limit else "NO",
    }


def compare(options: argparse.Namespace, batch: Batch) -> Iterator[Dict[str, str]]:
    """Yields a row of the table for each comparison.

    Args:
        options: options of the command line.
        batch: batch of the comparison.
    """
    for variant in VARIANTS:
        expected = loss_and_gradient(build(options, variant, torch.float64, "cpu"), batch, REFERENCE, "cpu")
        for kind in KINDS:
            if kind.name == "fp16" and options.device == "cpu":
                continue
            model = build(options, variant, kind.weights, options.device)
            actual = loss_and_gradient(model, batch, kind, options.device)
            yield row(variant, f"loss, {kind.name}", abs(actual.loss / expected.loss - 1), kind.loss)
            difference = (actual.gradient - expected.gradient).norm() / expected.gradient.norm()
            yield row(variant, f"gradient, {kind.name}", float(difference), kind.gradient)
    for beam in BEAMS:
        on_cpu, on_device = (build(options, "plain", torch.float32, device) for device in ("cpu", options.device))
        expected_text = translate(on_cpu, batch, beam, "fp32", "cpu")
        for precision, limit in (("fp32", LIMIT_OF_TRANSLATIONS), ("bf16", 1.0), ("fp16", 1.0)):
            if precision == "fp16" and options.device == "cpu":
                continue
            actual_text = translate(on_device, batch, beam, precision, options.device)
            difference_count = sum(first != second for first, second in zip(expected_text, actual_text, strict=True))
            yield row("plain", f"translations, beam {beam}, {precision}", difference_count / len(expected_text), limit)


def main() -> None:
    options = parse_options()
    make_dictionary(options.vocabulary)  # refuses a vocabulary without words
    (batch,) = synthetic_batches(options.vocabulary, 1, options.batch, options.length, options.length, seed=1)
    rows = []
    for comparison in compare(options, batch):
        rows.append(comparison)
        print(comparison, file=sys.stderr, flush=True)  # kept if a later comparison fails
    print(markdown_table(rows))
    if options.json:
        machine = environment.record(torch.get_num_threads(), options.device)
        write_json(options.json, {"environment": machine, "options": vars(options), "table": rows})
    if any(comparison["within"] == "NO" for comparison in rows):
        sys.exit("error: a deviation is above its limit")


if __name__ == "__main__":
    run_command(main)
