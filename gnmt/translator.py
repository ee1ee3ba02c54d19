"""Translation of texts with a model folder, or with an ensemble of several.

Example:
    translator = Translator.from_pretrained("MODEL", precision="int8")
    translator.translate(["Two dogs play in the snow."], beam=5)[0].text
"""

import itertools
from pathlib import Path
from typing import Any, Callable, Collection, Iterable, Iterator, List, Optional, Sequence, Union

import torch

from gnmt.checkpoints.model_folder import Model, read_model_folder
from gnmt.errors import UserError
from gnmt.inference.model import default_precision, inference_model_for
from gnmt.precision import check_precision
from gnmt.search.beam_rules import BeamSearchRules
from gnmt.search.beam_search import BeamSearch, translate_batch
from gnmt.search.ensemble import Ensemble
from gnmt.search.forced_decoding import force_decode
from gnmt.search.options import SamplingOptions
from gnmt.search.sampling_batch import SamplingBatch
from gnmt.search.search_queue import JOINING_SHARE, Batch, SearchQueue, padded
from gnmt.tokenizers.vocabulary import EOS, PAD
from gnmt.translation.device import available_device
from gnmt.translation.options import MAX_TOKENS, TranslationOptions
from gnmt.translation.pending_texts import PendingTexts
from gnmt.translation.results import Translation
from gnmt.translation.sentence_codec import SentenceCodec
from gnmt.translation.text_source import IterableSource, TextSource

DEFAULTS = TranslationOptions()
# On a CPU, a closed batch of sentences of similar length is 6 to 14 % faster than continuous batching: the cost of a step
# grows with its rows, and new sentences are encoded in smaller groups (benchmarks/benchmark_batching.py).
CLOSED = 1.0
BATCHES_AHEAD = 16  # texts are sorted by length within this number of batches


class Translator:
    """Translates texts. Safe to use from several threads; calls share no state.

    Several threads that compute on a CPU at the same time need `threads=1`: see the FAQ.
    """

    def __init__(self, models: Sequence[Model], precision: Optional[str] = None, device: str = "cpu"):
        """Prepares the models for decoding.

        Args:
            models: one model, or several whose probabilities are averaged.
            precision: "fp32", "bf16", "fp16" or "int8"; None means the precision in which the model is stored.
            device: torch device, such as "cuda:0"; int8 needs the CPU.

        Raises:
            UserError: if there are no models, or they have different vocabularies or conventions.
        """
        if not models:
            raise UserError("There is no model to translate with: name at least one model folder.")
        self.model = models[0]
        for model in models[1:]:
            _check_same_tokens(self.model, model)
        self._device = available_device(device)
        self.precision = precision or default_precision(self.model.config.precision, self._device)
        self._networks = [model.network.to(self._device) for model in models]
        for network in self._networks:
            inference_model_for(network, self.precision)  # builds the copies now instead of during the first call
        self.codec = SentenceCodec(self.model)

    @classmethod
    def from_pretrained(
        cls,
        folders: Union[str, Path, Sequence[Union[str, Path]]],
        *,
        precision: Optional[str] = None,
        threads: Optional[int] = None,
        device: str = "cpu",
    ) -> "Translator":
        """Loads model folders of `gnmt export`.

        Args:
            folders: one folder, or several for an ensemble.
            precision: "fp32", "bf16", "fp16" or "int8"; None means the precision in which the model is stored.
            threads: number of torch threads in this process; None keeps torch's setting.
            device: torch device, such as "cuda:0"; int8 needs the CPU.

        Raises:
            UserError: if a folder is missing, incomplete, damaged, or does not fit the others.
        """
        if precision is not None:
            check_precision(precision)
        if threads is not None:
            if threads < 1:
                raise UserError(f"threads is {threads}, but must be at least 1.")
            torch.set_num_threads(threads)
        paths = [folders] if isinstance(folders, (str, Path)) else list(folders)
        return cls([read_model_folder(Path(path)) for path in paths], precision, device)

    def __repr__(self) -> str:
        ensemble = f", ensemble of {len(self._networks)} models" if len(self._networks) > 1 else ""
        languages = f"{self.source_language} to {self.target_language}"
        return f"<Translator from {languages}, {self.precision} on {self._device}{ensemble}>"

    @property
    def source_language(self) -> str:
        """Language code of the source texts."""
        return self.model.config.source_language

    @property
    def target_language(self) -> str:
        """Language code of the translations."""
        return self.model.config.target_language

    def translate(
        self,
        texts: Sequence[str],
        *,
        beam: Optional[int] = None,
        nbest: int = 1,
        length_norm_factor: Optional[float] = None,
        coverage_penalty: Optional[float] = None,
        no_repeat_ngram_size: int = 0,
        prune_tokens: float = 0.0,
        prune_hypotheses: float = 0.0,
        prefix: Optional[Sequence[str]] = None,
        replace_unk: bool = False,
        sampling: Optional[SamplingOptions] = None,
        split_sentences: bool = False,
        batch_size: int = 64,
        max_length: int = MAX_TOKENS,
        progress: Optional[Callable[[Translation], None]] = None,
    ) -> List[Translation]:
        """Translates texts.

        Args:
            texts: one sentence or paragraph each; blank texts are returned unchanged.
            beam: number of hypotheses that continue at each step; None means the model's own.
            nbest: number of translations to return per sentence, at most `beam`.
            length_norm_factor: a in the length penalty ((c + length) / (c + 1))^a; None means the model's own.
            coverage_penalty: weight of the coverage penalty; None means the model's own.
            no_repeat_ngram_size: forbid n-grams of this size to occur twice in a translation; 0 allows all.
            prune_tokens: prune tokens whose log-probability is lower than the best of their hypothesis by more than
                this; 0 keeps all.
            prune_hypotheses: prune hypotheses whose score is lower than the best finished one by more than this;
                0 keeps all.
            prefix: beginnings of the translations, one text per source text; only for beam search, without
                `split_sentences`.
            replace_unk: replace unknown tokens by the source tokens with the largest attention weights.
            sampling: draw `nbest` random translations of each sentence instead of searching; best score first.
            split_sentences: split texts into sentences and translate each separately; line breaks are kept.
            batch_size: number of sentences that are translated at the same time; does not change the result.
            max_length: maximum number of tokens of a sentence; the rest of a longer sentence is not translated.
            progress: called with each translation, in order, as soon as it and all earlier ones are complete.

        Returns:
            A translation of each text, in order.

        Raises:
            UserError: if an option is out of range, `texts` is not a list of strings, or `prefix` does not fit the texts
                or cannot be combined with another option.
        """
        if not _is_list_of_strings(texts):
            raise UserError("texts must be a list of strings: translate([text]); stream(texts) accepts any iterable.")
        if prefix is not None and sampling is not None:
            raise UserError("prefix is for beam search: leave sampling out.")
        if prefix is not None and (split_sentences or len(prefix) != len(texts)):
            raise UserError("prefix must have one entry per text, and cannot be combined with split_sentences.")
        options = TranslationOptions(
            beam=beam,
            nbest=nbest,
            length_norm_factor=length_norm_factor,
            coverage_penalty=coverage_penalty,
            no_repeat_ngram_size=no_repeat_ngram_size,
            prune_tokens=prune_tokens,
            prune_hypotheses=prune_hypotheses,
            replace_unk=replace_unk,
            sampling=sampling,
            split_sentences=split_sentences,
            batch_size=batch_size,
            max_length=max_length,
        )
        translations = []
        for translation in self._stream(IterableSource(texts), options, prefix or (), first=max(len(texts), 1)):
            translations.append(translation)
            if progress is not None:
                progress(translation)
        return translations

    def stream(
        self, texts: Union[Iterable[str], TextSource], options: TranslationOptions = DEFAULTS
    ) -> Iterator[Translation]:
        """Translates texts while further texts arrive.

        On a GPU, a text joins the running batch as soon as enough slots are free. On a CPU, a batch is translated to
        its end before others join. At most a few batches of texts are read ahead.

        Args:
            texts: an iterable, or a source that can report that no text is available yet.
            options: options for all texts.

        Yields:
            The translation of each text, in order, as soon as it and all earlier ones are complete.

        Raises:
            UserError: if an option is out of range, or `texts` is a single string.
        """
        if isinstance(texts, str):
            raise UserError("texts must be an iterable of strings: stream([text]).")
        source = texts if isinstance(texts, TextSource) else IterableSource(texts)
        return self._stream(source, options, (), first=options.batch_size)

    def search(self, options: TranslationOptions, joining_share: float = JOINING_SHARE) -> SearchQueue:
        """Returns a search that sentences encoded by `codec` can join and leave, for servers and other schedulers.

        Args:
            options: the same for all sentences.
            joining_share: share of the slots (`batch_size`) that are free before new sentences join; no effect on sampling.

        Raises:
            UserError: if an option is out of range.
        """
        rules = self._rules(options)
        if options.sampling is None:
            batch: Batch = BeamSearch(self._ensemble(), rules, self._device)
        else:
            sampler = Ensemble(self._networks, options.sampling.temperature, self.precision)
            batch = SamplingBatch(sampler, self._ensemble(), rules, options.sampling, self._device)
        return SearchQueue(batch, options.batch_size, joining_share)

    def score(self, sources: Sequence[str], targets: Sequence[str], batch_size: int = 64) -> List[List[float]]:
        """Returns the log-probability of each target token and of EOS, given its source (forced decoding).

        Args:
            sources: source sentences.
            targets: translation of each source.
            batch_size: number of sentences that are scored at the same time.

        Raises:
            UserError: if `sources` or `targets` is not a list of strings, their numbers differ, or `batch_size` is below 1.
        """
        if not _is_list_of_strings(sources) or not _is_list_of_strings(targets):
            raise UserError("sources and targets must be lists of strings: score([source], [target]).")
        options = TranslationOptions(batch_size=batch_size)
        if len(sources) != len(targets):
            raise UserError(
                f"There are {len(sources)} sources and {len(targets)} targets: give one target for each source."
            )
        ensemble, start = self._ensemble(), self.codec.special.decoder_start
        scores: List[List[float]] = []
        for first in range(0, len(sources), batch_size):
            batch = slice(first, first + batch_size)
            encoded = [self.codec.encode(text, options.max_length).ids for text in sources[batch]]
            target_ids = [[*self.codec.target_ids(text), EOS] for text in targets[batch]]
            decoder_inputs = padded([[start, *ids[:-1]] for ids in target_ids], PAD, self._device)
            source, target = (padded(rows, PAD, self._device) for rows in (encoded, target_ids))
            log_probs = force_decode(ensemble, source, decoder_inputs, target, PAD).log_probs
            scores += [row[: len(ids)].tolist() for row, ids in zip(log_probs, target_ids)]
        return scores

    def translate_ids(self, sources: Sequence[Sequence[int]], beam: int = 5) -> List[List[int]]:
        """Returns the best translation of each source, with the model's own search options except the beam.

        Args:
            sources: token ids without BOS and EOS.
            beam: number of hypotheses that continue at each step.

        Returns:
            Token ids of each translation, without BOS and EOS.
        """
        if not sources:
            return []
        rules = self._rules(TranslationOptions(beam=beam))
        rows = padded([self.codec.source_ids(ids) for ids in sources], PAD, self._device)
        return [nbest[0].tokens[:-1].tolist() for nbest in translate_batch(self._ensemble(), rules, rows)]

    def _rules(self, options: TranslationOptions) -> BeamSearchRules:
        return BeamSearchRules(self.codec.special, options.search_options(self.model.generation))

    def _ensemble(self) -> Ensemble:
        return Ensemble(self._networks, precision=self.precision)

    def _stream(
        self, source: TextSource, options: TranslationOptions, prefixes: Iterable[str], first: int
    ) -> Iterator[Translation]:
        """Yields the translations of a source.

        Args:
            source: source of the texts.
            options: options for all texts.
            prefixes: beginnings of the translations, in the order of the texts; further texts have no prefix.
            first: maximum number of texts that are read at once at the start.
        """
        search = self.search(options, CLOSED if self._device.type == "cpu" else JOINING_SHARE)
        language = self.source_language if options.split_sentences else None
        pending = PendingTexts(self.codec, options.max_length, options.replace_unk, language)
        prefix = itertools.chain(prefixes, itertools.repeat(""))
        maximum, is_open = first, True
        while is_open or len(search):
            if is_open and search.num_waiting < options.batch_size:
                texts = source.next_texts(maximum, wait=not len(search))
                is_open = texts is not None
                search.add(pending.add(texts or [], list(itertools.islice(prefix, len(texts or [])))))
                maximum = BATCHES_AHEAD * options.batch_size
            for result in search.step():
                pending.finish(result)
            yield from pending.take_done()


def _is_list_of_strings(texts: Any) -> bool:
    """Returns True for a collection of strings with a length, such as a list; False for a string and for an iterator."""
    return isinstance(texts, Collection) and not isinstance(texts, str) and all(isinstance(text, str) for text in texts)


def _check_same_tokens(first: Model, other: Model) -> None:
    for name in ("source_vocabulary", "target_vocabulary"):
        if getattr(first, name).tokens != getattr(other, name).tokens:
            raise UserError(
                "The models of an ensemble must have equal vocabularies: export them from training runs on the same data."
            )
    if first.config.source_bos != other.config.source_bos:
        raise UserError("The models of an ensemble must all begin sources with BOS, or none of them.")
