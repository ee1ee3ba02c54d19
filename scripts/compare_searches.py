"""BLEU, GLEU and time of one model, or an ensemble, under every combination of search options.

`gnmt grid` does this for model folders and text; this script is for checkpoints and binarised data.

    python scripts/compare_searches.py DATA --path CHECKPOINT[:CHECKPOINT...] --gen-subset valid \\
        --post-process sentencepiece --references valid.de --length-norm-factor 0 0.6 1 --coverage-penalty 0 0.1 0.2

Each option may have several values. Prints a Markdown table with BLEU (sacreBLEU's default), the mean GLEU of sentences
(0 to 100), the length ratio and the seconds of the search. The last line is the log-perplexity of the references (nats
per token) in the precision of the search. --json stores the numbers. Choose options on a validation set, and report the
scores of a test set.
"""

import argparse
import itertools
import logging
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)

import torch  # noqa: E402
from fairseq import checkpoint_utils, utils  # noqa: E402
from fairseq.data import encoders  # noqa: E402
from sacrebleu.metrics import BLEU  # noqa: E402
from tqdm import tqdm  # noqa: E402

import fairseq_gnmt  # noqa: E402, F401  registers everything
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402
from fairseq_gnmt.models.gnmt import GNMTModel  # noqa: E402
from fairseq_gnmt.segmentation.encoders import join_tokens  # noqa: E402
from fairseq_gnmt.tasks.gnmt_translation import GNMTTranslationTask  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.evaluation.gleu import mean_gleu  # noqa: E402
from gnmt.files.lines import read_lines  # noqa: E402
from gnmt.inference.model import inference_model_for  # noqa: E402
from gnmt.precision import PRECISIONS  # noqa: E402
from gnmt.search.ensemble import Ensemble  # noqa: E402
from gnmt.search.options import SearchOptions  # noqa: E402
from gnmt.search.forced_decoding import reference_log_probs  # noqa: E402

VARIED = {
    "beam": int,
    "length_norm_factor": float,
    "coverage_penalty": float,
    "prune_tokens": float,
    "prune_hypotheses": float,
}


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder of fairseq-preprocess")
    parser.add_argument("--path", required=True, metavar="CHECKPOINT", help="checkpoint, or an ensemble: A:B:C")
    parser.add_argument("--gen-subset", default="valid", metavar="SPLIT")
    parser.add_argument(
        "--post-process",
        default=None,
        metavar="SCHEME",
        help="scheme that joins subwords, or words, or mixed_word_char",
    )
    parser.add_argument(
        "--references", type=Path, required=True, metavar="FILE", help="raw text, one sentence per line"
    )
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", choices=PRECISIONS, help="precision of translation (default: the model's)")
    parser.add_argument("--quantize", choices=("none", "int8"), default="none", help="earlier spelling of --precision")
    parser.add_argument("--threads", type=int, default=None)
    for name, kind in VARIED.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, nargs="+", default=[getattr(SearchOptions, name)])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --json")
    args = parser.parse_args()
    if args.quantize == "int8":
        print("--quantize int8 is now --precision int8; the earlier spelling will be removed", file=sys.stderr)
        args.precision = args.precision or "int8"
    join_tokens("", args.post_process)  # raises fairseq's error for an unknown scheme
    if args.json:
        check_output(args.json, args.overwrite)
    for name, value in (("batch-size", args.batch_size), ("threads", args.threads)):
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}, but must be at least 1.")
    return args


def combinations(args: argparse.Namespace) -> List[SearchOptions]:
    """Returns the search options of all combinations.

    Raises:
        UserError: for a value out of range, before anything is translated.
    """
    values = [getattr(args, name) for name in VARIED]
    return [SearchOptions(**dict(zip(VARIED, chosen))) for chosen in itertools.product(*values)]


class Workload:
    """Models, batches of a split, and references."""

    def __init__(self, args: argparse.Namespace):
        overrides = {"data": args.data, "precision": args.precision}
        self.models, config, self.task = checkpoint_utils.load_model_ensemble_and_task(
            utils.split_paths(args.path), overrides
        )
        if not isinstance(self.task, GNMTTranslationTask) or not all(isinstance(one, GNMTModel) for one in self.models):
            raise UserError(
                f"{args.path} was not trained as a GNMT of --task gnmt_translation: fairseq's own search, which it would "
                "get, has none of these options."
            )
        for model in self.models:
            model.prepare_for_inference_(config)
            inference_model_for(model, args.precision)  # built now, so that it is not part of the first measured time
        self.tokenizer = encoders.build_tokenizer(config.tokenizer)
        self.task.load_dataset(args.gen_subset)
        dataset = self.task.dataset(args.gen_subset)
        self.references = read_lines(args.references)
        if len(dataset) != len(self.references):
            raise UserError(
                f"{args.references} has {len(self.references)} lines, but the split {args.gen_subset} {len(dataset)} "
                "sentences: give the references of this split."
            )
        if dataset.tgt is None:
            raise UserError(
                f"{args.gen_subset} has no {self.task.cfg.target_lang} text in {args.data}: binarise it with its references."
            )
        epoch = self.task.get_batch_iterator(dataset, max_sentences=args.batch_size)
        self.batches = list(epoch.next_epoch_itr(shuffle=False))
        self.post_process = args.post_process
        self.precision = args.precision

    def translate(self, options: SearchOptions) -> Tuple[List[str], float]:
        """Returns the translations and the seconds of the search."""
        generator = self.task.build_generator(self.models, argparse.Namespace(**vars(options)))
        texts: Dict[int, str] = {}
        seconds = 0.0
        for batch in tqdm(self.batches, desc=f"beam {options.beam}", leave=False):
            start = time.perf_counter()
            hypotheses = self.task.inference_step(generator, self.models, batch)
            seconds += time.perf_counter() - start
            for sentence, nbest in zip(batch["id"].tolist(), hypotheses):
                texts[sentence] = self._text(nbest[0]["tokens"], generator)
        return [texts[sentence] for sentence in range(len(self.references))], seconds

    def log_perplexity(self) -> float:
        """Returns the mean of -log P in nats per token of the binarised references, including EOS."""
        ensemble, pad = Ensemble(self.models, precision=self.precision), self.task.target_dictionary.pad()
        log_prob, tokens = 0.0, 0
        for batch in tqdm(self.batches, desc="log-perplexity", leave=False):
            source, read = (batch["net_input"][name] for name in ("src_tokens", "prev_output_tokens"))
            log_prob += float(reference_log_probs(ensemble, source, read, batch["target"], pad).sum())
            tokens += batch["ntokens"]
        return -log_prob / tokens

    def _text(self, tokens: torch.Tensor, generator) -> str:
        ignored = generator.symbols_to_strip_from_output
        joined = join_tokens(
            self.task.target_dictionary.string(tokens, extra_symbols_to_ignore=ignored), self.post_process
        )
        return self.tokenizer.decode(joined) if self.tokenizer else joined


def measure(workload: Workload, options: SearchOptions, bleu: BLEU) -> Dict[str, Any]:
    texts, seconds = workload.translate(options)
    score = bleu.corpus_score(texts, [workload.references])
    return {
        **{name: getattr(options, name) for name in VARIED},
        "bleu": score.score,
        "gleu": 100 * mean_gleu(texts, workload.references),
        "length_ratio": score.sys_len / score.ref_len,
        "seconds": seconds,
    }


def as_row(args: argparse.Namespace, figures: Dict[str, Any]) -> Dict[str, str]:
    """Returns a row of the table: the options with more than one value, then the figures."""
    row = {name.replace("_", " "): f"{figures[name]:g}" for name in VARIED if len(getattr(args, name)) > 1}
    return {
        **row,
        "BLEU": f"{figures['bleu']:.2f}",
        "GLEU": f"{figures['gleu']:.2f}",
        "length ratio": f"{figures['length_ratio']:.3f}",
        "seconds": f"{figures['seconds']:.1f}",
    }


def main() -> None:
    args = parse_options()
    searches = combinations(args)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    workload, bleu = Workload(args), BLEU()
    measured = [measure(workload, options, bleu) for options in tqdm(searches, desc="searches")]
    print(markdown_table([as_row(args, figures) for figures in measured]))
    log_perplexity, signature = workload.log_perplexity(), str(bleu.get_signature())
    print(f"\n{signature}; log-perplexity of the references {log_perplexity:.4f}")
    if args.json:
        found = {"signature": signature, "log_perplexity": log_perplexity, "measured": measured}
        write_json(args.json, {"options": vars(args), **found})


if __name__ == "__main__":
    run_command(main)
