"""BLEU, GLEU and time of one model, or an ensemble, under every combination of search options.

`gnmt grid` does this with model folders and text; here it is for checkpoints and binarised data.

    python scripts/compare_searches.py DATA --path CHECKPOINT[:CHECKPOINT...] --gen-subset valid \\
        --post-process sentencepiece --references valid.de --length-norm-factor 0 0.6 1 --coverage-penalty 0 0.1 0.2

Each option may have several values. Prints a Markdown table with BLEU (sacreBLEU's default), the mean GLEU of sentences
(0 to 100), the length ratio and the seconds of the search alone, and below it the log-perplexity of the references (natural,
per token) in the precision of the search; --json keeps the numbers. Choose on a validation set, and report another one.
"""

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import Dict, List, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)

import torch  # noqa: E402
from fairseq import checkpoint_utils, utils  # noqa: E402
from fairseq.data import encoders  # noqa: E402
from tqdm import tqdm  # noqa: E402

import fairseq_gnmt  # noqa: E402, F401  registers everything
from gnmt.commands.declared_options import add_options, given_options  # noqa: E402
from gnmt.commands.report import check_output, markdown_table, write_json  # noqa: E402
from fairseq_gnmt.models.gnmt import GNMTModel  # noqa: E402
from fairseq_gnmt.segmentation.encoders import join_tokens  # noqa: E402
from fairseq_gnmt.tasks.gnmt_translation import GNMTTranslationTask  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.evaluation.bleu import corpus_bleu  # noqa: E402
from gnmt.evaluation.search_figures import combinations, figures, row  # noqa: E402
from gnmt.files.lines import read_lines  # noqa: E402
from gnmt.inference.model import inference_model_for  # noqa: E402
from gnmt.precision import PRECISION_HELP, PRECISIONS  # noqa: E402
from gnmt.search.ensemble import Ensemble  # noqa: E402
from gnmt.search.options import SearchOptions  # noqa: E402
from gnmt.search.forced_decoding import force_decode  # noqa: E402

VARIED = ("beam", "length_norm_factor", "coverage_penalty", "prune_tokens", "prune_hypotheses")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder of fairseq-preprocess")
    parser.add_argument("--path", required=True, metavar="CHECKPOINT", help="several make an ensemble: A:B:C")
    parser.add_argument("--gen-subset", default="valid", metavar="SPLIT")
    parser.add_argument(
        "--post-process", default=None, metavar="SCHEME", help="how subwords are joined, or words, or mixed_word_char"
    )
    parser.add_argument("--references", type=Path, required=True, metavar="FILE", help="raw text, one sentence a line")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", choices=PRECISIONS, help=PRECISION_HELP)
    parser.add_argument("--quantize", choices=("none", "int8"), default="none", help="earlier spelling of --precision")
    parser.add_argument("--threads", type=int, default=None)
    add_options(parser, SearchOptions, VARIED, several=True)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --json")
    args = parser.parse_args()
    if args.quantize == "int8":
        print("--quantize int8 is now --precision int8; the earlier spelling will be removed", file=sys.stderr)
        args.precision = args.precision or "int8"
    join_tokens("", args.post_process)  # raises an error for an unknown scheme
    check_output(args.json, args.overwrite)
    for name, value in (("batch-size", args.batch_size), ("threads", args.threads)):
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}, but must be at least 1.")
    return args


class Workload:
    """Models, batches of a split, and references."""

    def __init__(self, args: argparse.Namespace):
        overrides = {"data": args.data, "precision": args.precision}
        self.models, config, self.task = checkpoint_utils.load_model_ensemble_and_task(
            utils.split_paths(args.path), overrides
        )
        if not isinstance(self.task, GNMTTranslationTask) or not all(
            isinstance(model, GNMTModel) for model in self.models
        ):
            raise UserError(
                f"{args.path} was not trained as a GNMT of --task gnmt_translation: it would use fairseq's own "
                "search, which has none of these options."
            )
        for model in self.models:
            model.prepare_for_inference_(config)
            inference_model_for(model, args.precision)  # before the first search, whose time excludes it
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
            log_prob += float(force_decode(ensemble, source, read, batch["target"], pad).log_probs.sum())
            tokens += batch["ntokens"]
        return -log_prob / tokens

    def _text(self, tokens: torch.Tensor, generator) -> str:
        ignored = generator.symbols_to_strip_from_output
        text = join_tokens(
            self.task.target_dictionary.string(tokens, extra_symbols_to_ignore=ignored), self.post_process
        )
        return self.tokenizer.decode(text) if self.tokenizer else text


def main() -> None:
    args = parse_options()
    given = given_options(args, VARIED)
    searches = [SearchOptions(**combination) for combination in combinations(given)]  # checks values out of range
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    workload = Workload(args)
    measured = []
    for options in tqdm(searches, desc="searches"):
        texts, seconds = workload.translate(options)
        varied = {name: getattr(options, name) for name in VARIED}
        measured.append(figures(varied, texts, workload.references, seconds))
    print(markdown_table([row(result, given) for result in measured]))
    log_perplexity = workload.log_perplexity()
    _, signature = corpus_bleu(workload.references, workload.references)
    print(f"\n{signature}; log-perplexity of the references {log_perplexity:.4f}")
    if args.json:
        results = {"signature": signature, "log_perplexity": log_perplexity, "measured": measured}
        write_json(args.json, {"options": vars(args), **results})


if __name__ == "__main__":
    run_command(main)
