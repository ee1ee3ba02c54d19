"""Translation from Python through fairseq's hub interface."""

import logging
from typing import Any, Dict, List

import torch
from fairseq.hub_utils import GeneratorHubInterface
from torch import LongTensor

from fairseq_gnmt.data.alignment_text import alignment_text
from fairseq_gnmt.data.open_dictionary import OpenDictionary, forget_words
from fairseq_gnmt.data.source_length import fit_sources, longest_source, no_translation, too_long_warning
from fairseq_gnmt.fairseq_option_checks import check_generation_options
from fairseq_gnmt.fairseq_options import GENERATE, INTERACTIVE
from gnmt.errors import UserError
from gnmt.files.lines import as_line

logger = logging.getLogger("fairseq.hub_utils")

Hypotheses = List[Dict[str, Any]]  # hypotheses of one sentence, best first


class GNMTHub(GeneratorHubInterface):
    """fairseq's hub interface, extended by copying of unknown source words.

    fairseq's own class maps unknown source words to UNK; with `replace_unk` their text is kept so that it can be
    copied. Every text gets a translation, as in fairseq-interactive. Line breaks become spaces. A source that is too
    long gets an empty translation of score -inf, with a warning.
    """

    def encode(self, sentence: str) -> LongTensor:
        return super().encode(as_line(sentence))

    def binarize(self, sentence: str) -> LongTensor:
        copying = self.cfg.generation.replace_unk is not None and isinstance(self.src_dict, OpenDictionary)
        return self.src_dict.encode_line(sentence, add_if_not_exist=copying).long()

    def sample(self, sentences, *args, **kwargs):
        """Returns the translations of one sentence or a list, and then removes the temporary ids of copied words."""
        forget_words()
        try:
            return super().sample(sentences, *args, **kwargs)
        finally:
            forget_words()

    def generate(self, tokenized_sentences, beam: int = 5, verbose: bool = False, **options) -> Any:
        """Returns the hypotheses of each sentence.

        Args:
            tokenized_sentences: token ids of one sentence or a list.
            beam: number of hypotheses that continue at each step.
            verbose: log the hypotheses.
            options: further options of fairseq's `generate`, checked by the task.

        Raises:
            UserError: for an option that is refused.
        """
        if "replace_unk" in options:
            raise UserError(
                "Pass replace_unk to from_pretrained(...): the text of unknown words is not available here."
            )
        for command in (GENERATE, INTERACTIVE):  # references, constraints and language models are unavailable here
            check_generation_options(options, [command])
        if torch.is_tensor(tokenized_sentences) and tokenized_sentences.dim() == 1:
            return self.generate([tokenized_sentences], beam, verbose, **options)[0]
        sentences = list(tokenized_sentences)
        if not sentences:
            return []
        source_bos = int(getattr(self.task.cfg, "nvidia_conventions", False))
        longest = longest_source(self.max_positions, self.cfg.dataset.max_tokens, source_bos)
        sources, too_long = fit_sources(sentences, longest, self.task.cfg.truncate_source)
        nbest_lists = super().generate(sources, beam, verbose=False, **options)
        for position in too_long:
            logger.warning(too_long_warning(f"sentence {position}", len(sentences[position]), longest))
            nbest_lists[position] = [no_translation()]
        if verbose:
            kind = options.get("print_alignment", self.cfg.generation.print_alignment)
            for source, hypotheses in zip(sentences, nbest_lists):
                self._log(source, hypotheses, kind)
        return nbest_lists

    def _log(self, source: LongTensor, hypotheses: Hypotheses, print_alignment) -> None:
        """Logs a sentence as fairseq does, also with soft alignments, for which fairseq's own method fails.

        Args:
            source: token ids of the sentence.
            hypotheses: n-best list.
            print_alignment: "hard", "soft" or None.
        """
        logger.info(f"S\t{self.string(source)}")
        for hypothesis in hypotheses:
            logger.info(f"H\t{hypothesis['score']}\t{self.decode(hypothesis['tokens'])}")
            logger.info("P\t" + " ".join(f"{step:.4f}" for step in hypothesis["positional_scores"].tolist()))
            if print_alignment:
                logger.info("A\t" + alignment_text(hypothesis["alignment"], soft=print_alignment == "soft"))

    def score(self, sentences, *args, **kwargs):
        """Not available: fairseq's signature is for language models and has no references.

        Raises:
            UserError: always.
        """
        raise UserError(
            "A translation is scored together with its source: binarise both with fairseq-preprocess, and use "
            "fairseq-generate --score-reference."
        )
