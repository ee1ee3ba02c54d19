"""Text in, text out: translation with a model folder, or with an ensemble of several.

Example:

    translator = Translator.from_pretrained("MODEL", precision="int8")
    translator.translate(["Two dogs play in the snow."], beam=5)[0].text
"""

import dataclasses
from collections import deque
from functools import partial
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Union

import torch
from torch import Tensor

from gnmt.checkpoints.model_folder import Model, read_model_folder
from gnmt.errors import UserError
from gnmt.inference.model import inference_model_for
from gnmt.search.beam_search import BeamSearch, length_limits
from gnmt.search.ensemble import Ensemble
from gnmt.search.forced_decoding import force_decode
from gnmt.search.options import SamplingOptions, SearchOptions
from gnmt.search.penalties import coverage_penalty as coverage_penalty_of
from gnmt.search.running_search import Hypothesis, RunningSearch, translate_batch
from gnmt.search.sampling import draw_samples, keep_most_probable
from gnmt.search.vocabulary import SpecialTokens
from gnmt.tokenizers.sentences import Sentence, split_sentences
from gnmt.tokenizers.vocabulary import BOS, EOS, PAD, UNK
from gnmt.tokenizers.word_alignment import align_words
from gnmt.translation import SentenceTranslation, TranslatedHypothesis, Translation

JOINING_SHARE = 1 / 8  # of the batch; newcomers are encoded together
MOST_TOKENS = 1024  # of a sentence; longer ones are cut


class _Job(NamedTuple):
    """One sentence to translate."""

    text: str
    tokens: List[str]
    ids: List[int]  # EOS included, and BOS if the model wants it
    prefix: List[int]
    is_truncated: bool


class Translator:
    """Translates texts; safe to use from several threads, and without state between calls."""

    def __init__(self, models: Sequence[Model], precision: Optional[str] = None, device: str = "cpu"):
        """Prepares the models for decoding.

        Args:
            models: one, or several whose probabilities are averaged.
            precision: "fp32" or "int8"; by default int8 for a model that is stored in integers, fp32 for others.
            device: of torch, such as "cuda:0"; int8 needs the CPU.

        Raises:
            UserError: there are no models, or they have different vocabularies or conventions.
        """
        if not models:
            raise UserError("There is no model to translate with: name at least one model folder.")
        self.model = models[0]
        for model in models[1:]:
            _check_same_tokens(self.model, model)
        self.precision = precision or ("int8" if self.model.config.precision == "int8" else "fp32")
        self._device = _device_of(device)
        self._networks = [model.network.to(self._device) for model in models]
        quantize = _quantize_of(self.precision)
        for network in self._networks:
            inference_model_for(network, quantize)  # now, not during the first call
        self._quantize = quantize
        starts_with_bos = self.model.config.source_bos
        self._special = SpecialTokens(
            PAD, EOS, UNK, decoder_start=BOS if starts_with_bos else EOS, source_bos=int(starts_with_bos)
        )

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
            folders: a folder, or several for an ensemble.
            precision: "fp32" or "int8"; by default int8 for a model that is stored in integers, fp32 for others.
            threads: threads of torch in this process; by default torch's choice.
            device: of torch, such as "cuda:0"; int8 needs the CPU.

        Raises:
            UserError: a folder is missing, incomplete, damaged, or does not fit the others.
        """
        if threads is not None:
            _check_at_least_1("threads", threads)
            torch.set_num_threads(threads)
        paths = [folders] if isinstance(folders, (str, Path)) else list(folders)
        return cls([read_model_folder(Path(path)) for path in paths], precision, device)

    @property
    def source_language(self) -> str:
        """Language code of the texts that it translates."""
        return self.model.config.source_language

    @property
    def target_language(self) -> str:
        """Language code of its translations."""
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
        max_length: int = MOST_TOKENS,
        progress: Optional[Callable[[Translation], None]] = None,
    ) -> List[Translation]:
        """Translates texts.

        Args:
            texts: one sentence or paragraph each; blank ones stay as they are.
            beam: hypotheses that are kept at each step; by default the model's own.
            nbest: translations that are returned for each sentence, at most `beam`.
            length_norm_factor: a in the length penalty ((c + length) / (c + 1))^a; by default the model's own.
            coverage_penalty: weight of the coverage penalty; by default the model's own.
            no_repeat_ngram_size: n-grams of this size occur only once in a translation; 0 allows all.
            prune_tokens: drop tokens whose log-probability is so far below the best of their hypothesis; 0 keeps all.
            prune_hypotheses: drop hypotheses whose score is so far below the best finished one; 0 keeps all.
            prefix: beginning of each translation, as text.
            replace_unk: replace unknown tokens by the source tokens that they attend to.
            sampling: draw `nbest` random translations of each sentence instead of searching; best score first.
            split_sentences: translate each sentence of a text by itself; line breaks stay.
            batch_size: sentences that are translated at the same time; the result does not depend on it.
            max_length: tokens of a sentence, at most; the rest of a longer one is not translated.
            progress: called with each translation, in order, as soon as it and all earlier ones are done.

        Returns:
            A translation of each text, in order.

        Raises:
            UserError: an option is out of range, or `texts` is a single string.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise UserError("texts must be a list of strings: translate([text]).")
        if prefix is not None and sampling is not None:
            raise UserError("prefix is for beam search: leave sampling out.")
        if prefix is not None and (split_sentences or len(prefix) != len(texts)):
            raise UserError("prefix needs one beginning for each text, and goes without split_sentences.")
        _check_at_least_1("batch_size", batch_size)
        _check_at_least_1("max_length", max_length)
        options = self._search_options(beam, nbest, length_norm_factor, coverage_penalty, no_repeat_ngram_size)
        options = dataclasses.replace(options, prune_tokens=prune_tokens, prune_hypotheses=prune_hypotheses)
        parts = [split_sentences_of(text, self.source_language if split_sentences else None) for text in texts]
        jobs = [
            self._job(sentence.text, prefix[index] if prefix else "", max_length)
            for index, sentences in enumerate(parts)
            for sentence in sentences
        ]
        if sampling is None:
            searched = self._search(jobs, options, batch_size)
        else:
            searched = self._sample(jobs, options, sampling, batch_size)
        translations = []
        for translation in self._in_order(parts, jobs, searched, replace_unk):
            translations.append(translation)
            if progress is not None:
                progress(translation)
        return translations

    def score(self, sources: Sequence[str], targets: Sequence[str], batch_size: int = 64) -> List[List[float]]:
        """Returns the log-probability of each target token and of EOS, given its source (forced decoding).

        Args:
            sources: source sentences.
            targets: a translation of each.
            batch_size: sentences that are scored at the same time.

        Raises:
            UserError: `sources` or `targets` is a single string, they differ in number, or `batch_size` is below 1.
        """
        if isinstance(sources, str) or isinstance(targets, str):
            raise UserError("sources and targets must be lists of strings: score([source], [target]).")
        _check_at_least_1("batch_size", batch_size)
        if len(sources) != len(targets):
            raise UserError(
                f"There are {len(sources)} sources and {len(targets)} targets: give one target for each source."
            )
        ensemble = self._ensemble()
        scores: List[List[float]] = []
        for start in range(0, len(sources), batch_size):
            pairs = list(zip(sources[start : start + batch_size], targets[start : start + batch_size]))
            source = self._padded([self._job(text, "", MOST_TOKENS).ids for text, _ in pairs])
            target_ids = [[*self._target_ids(text), EOS] for _, text in pairs]
            target = self._padded(target_ids)
            log_probs = force_decode(ensemble, source, self._read(target), target, PAD).log_probs
            scores += [row[: len(ids)].tolist() for row, ids in zip(log_probs, target_ids)]
        return scores

    def translate_ids(self, sources: Sequence[Sequence[int]], beam: int = 5) -> List[List[int]]:
        """Returns the best translation of each source, both as ids without BOS and EOS."""
        options = self._search_options(beam, 1, None, None, 0)
        begin = [BOS] * self._special.source_bos
        found = translate_batch(
            self._ensemble(), self._rules(options), self._padded([[*begin, *ids, EOS] for ids in sources])
        )
        return [nbest[0].tokens[:-1].tolist() for nbest in found]

    # -- one call

    def _search_options(
        self, beam: Optional[int], nbest: int, factor: Optional[float], coverage: Optional[float], ngram: int
    ) -> SearchOptions:
        defaults = self.model.generation
        return SearchOptions(
            beam=defaults.num_beams if beam is None else beam,
            nbest=nbest,
            max_len_a=defaults.max_len_a,
            max_len_b=defaults.max_len_b,
            length_norm_factor=defaults.length_norm_factor if factor is None else factor,
            length_norm_const=defaults.length_norm_const,
            coverage_penalty=defaults.coverage_penalty if coverage is None else coverage,
            no_repeat_ngram_size=ngram,
        )

    def _rules(self, options: SearchOptions) -> BeamSearch:
        return BeamSearch(self._special, options)

    def _ensemble(self) -> Ensemble:
        return Ensemble(self._networks, quantize=self._quantize)

    def _job(self, text: str, prefix: str, max_length: int) -> _Job:
        tokens = self.model.tokenizers.source.encode(text) if text.strip() else []
        is_truncated = len(tokens) > max_length
        tokens = tokens[:max_length]
        ids = [self.model.source_vocabulary.index(token) for token in tokens]
        begin = [BOS] * self._special.source_bos
        return _Job(text, tokens, [*begin, *ids, EOS], self._target_ids(prefix), is_truncated)

    def _target_ids(self, text: str) -> List[int]:
        return [self.model.target_vocabulary.index(token) for token in self.model.tokenizers.target.encode(text)]

    def _in_order(
        self,
        parts: Sequence[Sequence[Sentence]],
        jobs: Sequence[_Job],
        searched: Iterator[Dict[int, List[Hypothesis]]],
        replace_unk: bool,
    ) -> Iterator[Translation]:
        """Yields the translation of each text as soon as the search has found the hypotheses of its jobs."""
        found: Dict[int, List[Hypothesis]] = {index: [] for index, job in enumerate(jobs) if not job.tokens}
        first = 0
        for sentences in parts:
            indices = range(first, first + len(sentences))
            while not all(index in found for index in indices):
                found.update(next(searched))
            yield _joined(sentences, [self._sentence(jobs[index], found.pop(index), replace_unk) for index in indices])
            first += len(sentences)

    def _search(
        self, jobs: Sequence[_Job], options: SearchOptions, batch_size: int
    ) -> Iterator[Dict[int, List[Hypothesis]]]:
        """Translates the longest sentences first, and keeps the batch full; yields hypotheses by job as jobs end."""
        waiting = deque(_longest_first(jobs))
        search = RunningSearch(self._ensemble(), self._rules(options))
        while waiting or len(search):
            free = batch_size - len(search)
            if waiting and free >= JOINING_SHARE * batch_size:
                joining = [waiting.popleft() for _ in range(min(free, len(waiting)))]
                prefixes = self._padded([jobs[index].prefix for index in joining])
                search.join(
                    torch.tensor(joining, device=self._device),
                    self._padded([jobs[index].ids for index in joining]),
                    prefixes,
                )
            search.step()
            yield dict(search.take_translated())

    def _sample(
        self, jobs: Sequence[_Job], options: SearchOptions, sampling: SamplingOptions, batch_size: int
    ) -> Iterator[Dict[int, List[Hypothesis]]]:
        """Draws translations, and scores them as a search does; yields the samples of each batch by job."""
        ensemble = Ensemble(self._networks, sampling.temperature, self._quantize)
        restrict = partial(keep_most_probable, top_k=sampling.top_k, top_p=sampling.top_p)
        order = _longest_first(jobs)
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            source = self._padded([jobs[index].ids for index in indices])
            limits = length_limits(source.ne(PAD).sum(dim=1) - self._special.source_bos, options)
            shape = (options.nbest, int(limits.max()))
            generators = [torch.Generator().manual_seed(sampling.seed + index) for index in indices]
            noise = torch.stack([torch.rand(shape, generator=generator) for generator in generators]).to(self._device)
            first = torch.full_like(limits, self._special.decoder_start)
            tokens = draw_samples(ensemble, source, first, noise, limits, PAD, EOS, restrict).tokens
            yield {
                index: self._scored(ids[ids != PAD], drawn, options)
                for index, ids, drawn in zip(indices, source, tokens)
            }

    def _scored(self, source: Tensor, samples: Tensor, options: SearchOptions) -> List[Hypothesis]:
        """Returns the samples (K, T) of a source (S,) with the scores of a search, best first."""
        target = _ended(samples)
        decoded = force_decode(self._ensemble(), source.expand(len(target), -1), self._read(target), target, PAD)
        length_penalty = self._rules(options).length_penalty
        hypotheses = []
        for row, log_probs, attention in zip(target, *decoded):
            length = int(row.ne(PAD).sum())
            covered = attention[:length].sum(dim=0)
            penalty = length_penalty(torch.tensor(length))
            cost = coverage_penalty_of(covered, torch.zeros_like(covered, dtype=torch.bool), options.coverage_penalty)
            score = log_probs[:length].sum() / penalty + cost
            hypotheses.append(Hypothesis(row[:length], score, log_probs[:length], attention[:length]))
        return sorted(hypotheses, key=lambda one: float(one.score), reverse=True)

    def _padded(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Returns rows of ids as one tensor (B, longest), padded on the right."""
        width = max(map(len, rows))
        padded = [[*row, *[PAD] * (width - len(row))] for row in rows]
        return torch.tensor(padded, dtype=torch.long, device=self._device).view(len(rows), width)

    def _read(self, target: Tensor) -> Tensor:
        """Returns the tokens (B, T) that the decoder reads when it is to emit `target`."""
        return torch.cat([torch.full_like(target[:, :1], self._special.decoder_start), target[:, :-1]], dim=1)

    def _sentence(self, job: _Job, hypotheses: Sequence[Hypothesis], replace_unk: bool) -> SentenceTranslation:
        nbest = [self._translated_hypothesis(one, job, replace_unk) for one in hypotheses]
        return SentenceTranslation(job.text, job.tokens, nbest, job.is_truncated)

    def _translated_hypothesis(self, hypothesis: Hypothesis, job: _Job, replace_unk: bool) -> TranslatedHypothesis:
        attention = hypothesis.attention[:, self._special.source_bos :].clone()
        tokens = [self.model.target_vocabulary[index] for index in hypothesis.tokens.tolist() if index != EOS]
        if replace_unk:
            sources = attention[:, :-1].argmax(dim=1).tolist()
            unknown = self.model.target_vocabulary[UNK]
            tokens = [job.tokens[source] if token == unknown else token for token, source in zip(tokens, sources)]
        return TranslatedHypothesis(
            text=self.model.tokenizers.target.decode(tokens),
            score=float(hypothesis.score),
            tokens=tokens,
            positional_scores=hypothesis.log_probs.tolist(),
            attention=attention,
            word_alignment=align_words(job.tokens, tokens, attention),
        )


def split_sentences_of(text: str, language: Optional[str]) -> List[Sentence]:
    """Returns the sentences of a text, or the text as one sentence if `language` is None."""
    return [Sentence(text, "")] if language is None else split_sentences(text, language)


def _ended(samples: Tensor) -> Tensor:
    """Returns samples (K, T) with EOS, which those lack that reached their limit: (K, T + 1)."""
    padded = torch.cat([samples, torch.full_like(samples[:, :1], PAD)], dim=1)
    lengths = padded.ne(PAD).sum(dim=1, keepdim=True)
    has_eos = padded.eq(EOS).any(dim=1, keepdim=True)
    return padded.scatter(1, lengths.clamp(max=samples.size(1)), torch.where(has_eos, PAD, EOS))


def _longest_first(jobs: Sequence[_Job]) -> List[int]:
    """Returns the indices of the jobs that have tokens."""
    return sorted((index for index, job in enumerate(jobs) if job.tokens), key=lambda index: -len(jobs[index].ids))


def _joined(sentences: Sequence[Sentence], translated: List[SentenceTranslation]) -> Translation:
    text = "".join(one.text + sentence.separator for sentence, one in zip(sentences, translated))
    return Translation(text, translated)


def _device_of(name: str) -> torch.device:
    """Raises UserError for a device that this machine does not have."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"The device {name!r} is not there ({str(error).splitlines()[0][:100]}): use cpu.") from error
    return device


def _check_at_least_1(name: str, value: int) -> None:
    if value < 1:
        raise UserError(f"{name} is {value}, but must be at least 1.")


def _quantize_of(precision: str) -> str:
    names = {"fp32": "none", "int8": "int8"}
    if precision not in names:
        raise UserError(f"precision is {precision!r}, but must be one of {', '.join(names)}.")
    return names[precision]


def _check_same_tokens(first: Model, other: Model) -> None:
    for name in ("source_vocabulary", "target_vocabulary"):
        if getattr(first, name).tokens != getattr(other, name).tokens:
            raise UserError(
                "The models of an ensemble must have one vocabulary: export them from trainings on the same data."
            )
    if first.config.source_bos != other.config.source_bos:
        raise UserError("The models of an ensemble must all begin sources with BOS, or none of them.")
