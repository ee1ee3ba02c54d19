"""CTranslate2 with a Transformer-base of our vocabulary and random weights: a usual alternative on a CPU."""

import tempfile
from pathlib import Path
from typing import Any, List, Sequence

import numpy as np

from benchmarking.contenders.fairseq_search import search_of
from benchmarking.contenders.setting import Setting
from benchmarking.workload import Sentence
from gnmt.errors import UserError

LAYERS, MODEL_SIZE, HEADS, INNER_SIZE = 6, 512, 8, 2048  # Vaswani et al. (2017), table 3, base
POSITIONS = 1024
MARKS = ["<blank>", "<s>", "</s>", "<unk>"]  # CTranslate2's names, in fairseq's order
COMPUTE_TYPES = {"fp32": "float32", "int8": "int8"}


def translator(setting: Setting) -> "CTranslate2Translation":
    try:
        import ctranslate2  # noqa: F401
    except ImportError as error:
        raise UserError(f"ctranslate2 cannot be imported ({error}): install it, or leave it out.") from error
    return CTranslate2Translation(setting)


class CTranslate2Translation:
    def __init__(self, setting: Setting):
        import ctranslate2

        self.setting = setting
        self.words = MARKS + [str(number) for number in range(len(MARKS), len(setting.dictionary))]
        with tempfile.TemporaryDirectory() as folder:
            write_model(Path(folder) / "model", self.words, setting.seed)
            self.translator = ctranslate2.Translator(
                str(Path(folder) / "model"),
                device="cpu",
                compute_type=COMPUTE_TYPES[setting.precision],
                inter_threads=1,
                intra_threads=setting.threads,
            )
        self.sources = [
            [[self.words[word] for word in source] + ["</s>"] for source in batch.sources] for batch in setting.batches
        ]
        self.batches = len(self.sources)

    def run(self, index: int) -> List[Sentence]:
        """Returns the best translations, with one token for each step of the batch: EOS is not allowed."""
        steps = search_of(self.setting, index).max_len_b + 1
        results = self.translator.translate_batch(
            self.sources[index],
            beam_size=self.setting.search.beam,
            max_batch_size=0,
            max_decoding_length=steps,
            min_decoding_length=steps,
            return_scores=False,
        )
        return [self._numbers(result.hypotheses[0]) for result in results]

    def _numbers(self, words: Sequence[str]) -> Sentence:
        return [MARKS.index(word) if word in MARKS else int(word) for word in words]


def write_model(folder: Path, words: Sequence[str], seed: int) -> None:
    from ctranslate2.specs import TransformerSpec

    spec = TransformerSpec.from_config(LAYERS, HEADS)
    fill = RandomWeights(seed)
    for side in (spec.encoder, spec.decoder):
        embeddings = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
        embeddings.weight = fill.matrix(len(words), MODEL_SIZE)
        side.position_encodings.encodings = fill.matrix(POSITIONS, MODEL_SIZE)
        side.scale_embeddings = True
        fill.norm(side.layer_norm)
        for layer in side.layer:
            fill.attention(layer.self_attention, [3 * MODEL_SIZE, MODEL_SIZE])
            if hasattr(layer, "attention"):
                fill.attention(layer.attention, [MODEL_SIZE, 2 * MODEL_SIZE, MODEL_SIZE])
            fill.norm(layer.ffn.layer_norm)
            fill.linear(layer.ffn.linear_0, INNER_SIZE, MODEL_SIZE)
            fill.linear(layer.ffn.linear_1, MODEL_SIZE, INNER_SIZE)
    fill.linear(spec.decoder.projection, len(words), MODEL_SIZE)
    spec.register_source_vocabulary(list(words))
    spec.register_target_vocabulary(list(words))
    spec.validate()
    folder.mkdir()
    spec.save(str(folder))


class RandomWeights:
    """Fills the parts of a CTranslate2 specification."""

    def __init__(self, seed: int):
        self._random = np.random.default_rng(seed)

    def matrix(self, *shape: int) -> np.ndarray:
        return self._random.uniform(-0.1, 0.1, shape).astype(np.float32)

    def linear(self, part: Any, outputs: int, inputs: int) -> None:
        part.weight, part.bias = self.matrix(outputs, inputs), self.matrix(outputs)

    def attention(self, part: Any, outputs: List[int]) -> None:
        self.norm(part.layer_norm)
        for linear, size in zip(part.linear, outputs):
            self.linear(linear, size, MODEL_SIZE)

    def norm(self, part: Any) -> None:
        part.gamma, part.beta = np.ones(MODEL_SIZE, np.float32), np.zeros(MODEL_SIZE, np.float32)
