"""Translation from Python."""
from fairseq.hub_utils import GeneratorHubInterface
from torch import LongTensor

from fairseq_gnmt.errors import UserError


class GNMTHub(GeneratorHubInterface):
    """fairseq's interface, which loses the unknown words of the source; with replace_unk they keep their text."""

    def binarize(self, sentence: str) -> LongTensor:
        copying = self.cfg.generation.replace_unk is not None
        return self.src_dict.encode_line(sentence, add_if_not_exist=copying).long()

    def sample(self, sentences, beam: int = 1, verbose: bool = False, **kwargs):
        if "replace_unk" in kwargs:
            raise UserError("replace_unk is for from_pretrained(..., replace_unk=\"\"): give it there.")
        return super().sample(sentences, beam, verbose, **kwargs)
