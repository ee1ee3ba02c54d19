"""Translation from Python."""
from fairseq.hub_utils import GeneratorHubInterface
from torch import LongTensor

from fairseq_gnmt.data.open_dictionary import OpenDictionary, forget_words
from fairseq_gnmt.errors import UserError


class GNMTHub(GeneratorHubInterface):
    """fairseq's interface, which loses the unknown words of the source; with replace_unk they keep their text."""

    def binarize(self, sentence: str) -> LongTensor:
        copying = self.cfg.generation.replace_unk is not None and isinstance(self.src_dict, OpenDictionary)
        return self.src_dict.encode_line(sentence, add_if_not_exist=copying).long()

    def sample(self, sentences, *args, **kwargs):
        """Translations of one sentence or a list; the words that were copied are forgotten."""
        forget_words()
        try:
            return super().sample(sentences, *args, **kwargs)
        finally:
            forget_words()

    def generate(self, tokenized_sentences, *args, **kwargs):
        if "replace_unk" in kwargs:
            raise UserError('replace_unk is too late here, the unknown words are lost: give it to from_pretrained(...).')
        return super().generate(tokenized_sentences, *args, **kwargs)
