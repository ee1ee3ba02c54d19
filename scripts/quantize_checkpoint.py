"""Stores a checkpoint's matrices as 8-bit integers: a quarter of the size, loaded by the same commands.

    python scripts/quantize_checkpoint.py --input checkpoints/averaged.pt --output checkpoints/averaged.int8.pt

Translate with `--precision int8` to compute in 8-bit integers, too. The optimizer's state is left out.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

import torch  # noqa: E402
from fairseq.models import MODEL_REGISTRY  # noqa: E402

from fairseq_gnmt.models.gnmt import GNMTModel  # noqa: E402
from gnmt.checkpoints.training_state import architecture, read_training_state  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.outputs import atomic_outputs  # noqa: E402
from gnmt.quantization.storage import INTEGERS, to_integers  # noqa: E402


def quantize_checkpoint(source: Path, output: Path, overwrite: bool) -> None:
    """Writes a checkpoint with matrices in 8-bit integers.

    Args:
        source: checkpoint of this plugin.
        output: file to write.
        overwrite: replace an existing output.

    Raises:
        UserError: if source is no checkpoint of this plugin, or output exists or cannot be written.
    """
    with atomic_outputs([output], inputs=[source], overwrite=overwrite) as (file,):
        checkpoint = read_training_state(source)
        if not issubclass(MODEL_REGISTRY.get(architecture(checkpoint), object), GNMTModel):
            raise UserError(f"{source} is of another architecture, but must be a GNMT of this plugin.")
        if any(name.endswith(INTEGERS) for name in checkpoint["model"]):
            raise UserError(f"{source} is stored in 8-bit integers already.")
        checkpoint["model"] = to_integers(checkpoint["model"])
        checkpoint["last_optimizer_state"] = None
        torch.save(checkpoint, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--input", type=Path, required=True, help="a checkpoint of fairseq-train or of average_checkpoints.py"
    )
    parser.add_argument("--output", type=Path, required=True, help="file for the smaller checkpoint")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --output")
    args = parser.parse_args()
    quantize_checkpoint(args.input, args.output, args.overwrite)
    input_size, output_size = (path.stat().st_size / 1e6 for path in (args.input, args.output))
    print(
        f"{args.output}: {output_size:.1f} MB, {output_size / input_size:.2f} of the {input_size:.1f} MB of {args.input}"
    )


if __name__ == "__main__":
    run_command(main)
