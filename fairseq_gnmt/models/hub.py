"""Translation from Python."""
from fairseq.hub_utils import GeneratorHubInterface
from torch import LongTensor

from fairseq_gnmt.errors import UserError
from fairseq_gnmt.fairseq_options import GENERATE, INTERACTIVE, check_generation_options


class GNMTHub(GeneratorHubInterface):
    """fairseq's interface, which loses the unknown words of the source; with replace_unk they keep their text."""

    def binarize(self, sentence: str) -> LongTensor:
        copying = self.cfg.generation.replace_unk is not None
        return self.src_dict.encode_line(sentence, add_if_not_exist=copying).long()

    def generate(self, tokenized_sentences, *args, **kwargs):
        if "replace_unk" in kwargs:
            raise UserError('replace_unk is too late here, the unknown words are lost: give it to from_pretrained(...).')
        for command in (GENERATE, INTERACTIVE):  # here are neither references nor constraints nor language models
            check_generation_options(kwargs, [command])
        return super().generate(tokenized_sentences, *args, **kwargs)

    def score(self, sentences, *args, **kwargs):
        """Not available: fairseq's signature has the sentences of a language model, and no references.

        Raises:
            UserError: always
        """
        raise UserError(
            "A translation is scored together with its source: binarise both with fairseq-preprocess, and use "
            "fairseq-generate --score-reference."
        )

    def _build_batches(self, tokens, skip_invalid_size_inputs: bool):
        limit, longest = self.cfg.dataset.max_tokens, max(map(len, tokens), default=0)
        if limit is not None and longest > limit:
            raise UserError(
                f"A sentence has {longest} tokens, but max_tokens is {limit}: raise it, or give batch_size instead."
            )
        return super()._build_batches(tokens, skip_invalid_size_inputs)
