"""Translation from Python."""
from fairseq.hub_utils import GeneratorHubInterface
from torch import LongTensor

from gnmt.errors import UserError


class GNMTHub(GeneratorHubInterface):
    """fairseq's interface, which loses the unknown words of the source; with replace_unk they keep their text."""

    def binarize(self, sentence: str) -> LongTensor:
        copying = self.cfg.generation.replace_unk is not None
        return self.src_dict.encode_line(sentence, add_if_not_exist=copying).long()

    def generate(self, tokenized_sentences, *args, **kwargs):
        if "replace_unk" in kwargs:
            raise UserError('replace_unk is too late here, the unknown words are lost: give it to from_pretrained(...).')
        return super().generate(tokenized_sentences, *args, **kwargs)
