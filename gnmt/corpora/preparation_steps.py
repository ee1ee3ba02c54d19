"""Steps from raw parallel text to tokens, vocabulary and initial embeddings."""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Sequence, Tuple

from gnmt.corpora.cleaning import CleanOutputs, clean_corpus
from gnmt.corpora.cooccurrence import write_vectors
from gnmt.corpora.pair_files import PairFiles, split_columns, unpack
from gnmt.corpora.preparation import LENGTHS, Corpora, Preparation, read_lengths
from gnmt.corpora.segmentations import SEGMENTATIONS, write_padded_dictionary
from gnmt.files.lines import split_lines
from gnmt.files.outputs import atomic_outputs
from gnmt.files.parallel_text import read_pairs

SPLITS = ("train", "valid", "test")
PRETRAINED = "pretrained"  # folder with the model to fine-tune

Sides = Tuple[Path, Path]  # files of source and target


class Step(NamedTuple):
    """Part of a preparation, which is complete if its product exists."""

    purpose: str
    product: Path
    make: Callable[[], object]


def steps(settings: Preparation, corpora: Corpora, folder: Path, jobs: int) -> Iterator[Step]:
    """Yields the steps before fairseq's binarisation; each must be run before the next is requested.

    Args:
        settings: settings of the preparation.
        corpora: files of the corpora.
        folder: folder for the products; text in ../raw under its final name is read there. For fine-tuning it contains
            the subfolder PRETRAINED.
        jobs: number of processes.
    """
    training = [_sides(settings, folder / "raw" / f"train-{number}") for number in range(1, len(corpora.train) + 1)]
    for number, corpus in enumerate(corpora.train):
        if corpus.target is None:
            yield _split_step(corpus, training[number])
        else:
            training[number] = corpus.source, corpus.target
    text = {"train": _sides(settings, folder / "clean" / "train")}
    for split in ("valid", "test"):
        corpus = getattr(corpora, split)
        text[split] = _sides(settings, folder / "raw" / split)
        if corpus.target is None:
            yield _split_step(corpus, text[split])
        elif in_place(corpus, folder.parent, split, settings):
            text[split] = corpus.source, corpus.target
        else:
            for original, copy in zip(corpus.paths, text[split]):
                yield Step(f"copying {copy.name}", copy, partial(unpack, original, copy))
    yield _cleaning_step(settings, training, folder, jobs)
    yield from _segmentation_steps(settings, text, folder, jobs)


def copied_text(settings: Preparation, corpora: Corpora, folder: Path) -> List[Path]:
    """Returns the files of raw text that a preparation writes to a folder.

    Args:
        settings: settings of the preparation.
        corpora: files of the corpora.
        folder: folder for the products.
    """
    prefixes = [f"train-{number}" for number, corpus in enumerate(corpora.train, start=1) if corpus.target is None]
    prefixes += [split for split in ("valid", "test") if not in_place(getattr(corpora, split), folder, split, settings)]
    return [side for prefix in prefixes for side in _sides(settings, folder / "raw" / prefix)]


def in_place(corpus: PairFiles, folder: Path, split: str, settings: Preparation) -> bool:
    """Returns True if a corpus is already at the path to which a preparation of `folder` would copy it.

    Args:
        corpus: files of the corpus.
        folder: folder of the preparation.
        split: "train", "valid" or "test".
        settings: settings of the preparation.
    """
    if corpus.target is None:
        return False
    pairs = zip(corpus.paths, _sides(settings, folder / "raw" / split))
    return all(given.name == place.name and place.exists() and given.samefile(place) for given, place in pairs)


def _sides(settings: Preparation, prefix: Path) -> Sides:
    source, target = (Path(f"{prefix}.{language}") for language in settings.languages)
    return source, target


def _split_step(corpus: PairFiles, sides: Sides) -> Step:
    return Step(f"splitting {corpus.source.name}", sides[1], partial(split_columns, corpus.source, *sides))


def _cleaning_step(settings: Preparation, training: Sequence[Sides], folder: Path, jobs: int) -> Step:
    outputs = CleanOutputs.with_prefix(str(folder / "clean" / "train"), *settings.languages)
    sources, targets = zip(*training)
    return Step(
        "cleaning the training pairs", outputs.report,
        lambda: clean_corpus(
            sources, targets, outputs, settings.cleaning,
            drop_duplicates=settings.drop_duplicates, jobs=jobs, overwrite=True,
        ),
    )  # fmt: skip


def _segmentation_steps(settings: Preparation, text: dict, folder: Path, jobs: int) -> Iterator[Step]:
    segmentation = SEGMENTATIONS[settings.segmentation](folder, settings.vocab_size, jobs, settings.input_sentence_size)
    encoded = {split: _sides(settings, folder / "encoded" / split) for split in SPLITS}
    dictionary, lengths, vectors = folder / "dict.txt", folder / "encoded" / LENGTHS, folder / "embeddings.txt"
    pretrained = folder / PRETRAINED if settings.model else None
    if segmentation.model is not None and pretrained is not None:
        tokenizer = pretrained / segmentation.model.name
        yield Step("copying the tokenizer", segmentation.model, partial(unpack, tokenizer, segmentation.model))
    elif segmentation.model is not None:
        purpose = f"learning {settings.segmentation}, {settings.vocab_size} tokens"
        yield Step(purpose, segmentation.model, partial(segmentation.learn, text["train"]))
    for split in SPLITS:
        for raw, tokens in zip(text[split], encoded[split]):
            encode = partial(segmentation.encode, raw, tokens)
            yield Step(f"encoding {tokens.name}", tokens, encode)
    yield Step("counting tokens", lengths, partial(write_lengths, *encoded["train"], lengths))
    if pretrained is not None:
        write_dictionary = partial(unpack, pretrained / f"dict.{settings.source_language}.txt", dictionary)
    else:
        write_dictionary = partial(write_padded_dictionary, segmentation, text["train"], dictionary)
    yield Step("writing the vocabulary", dictionary, write_dictionary)
    size = settings.embedding_size_for(sum(read_lengths(folder)))
    if size:
        compute = partial(write_vectors, *encoded["train"], dictionary, size, vectors, overwrite=True)
        yield Step("computing initial embeddings", vectors, compute)


def write_lengths(source: Path, target: Path, output: Path) -> None:
    """Writes a JSON list: element n is the number of pairs with n tokens on the longer side.

    Args:
        source: source text in tokens.
        target: target text in tokens.
        output: file to write.
    """
    counts: Counter[int] = Counter()
    with atomic_outputs([output], inputs=[source, target], overwrite=True) as (file,):
        for chunks in read_pairs([source], [target]):
            lengths: List[List[int]] = [[len(line.split()) for line in split_lines(chunk)] for chunk in chunks]
            counts.update(map(max, *lengths))
        file.write(json.dumps([counts[length] for length in range(max(counts) + 1)]).encode("ascii"))
