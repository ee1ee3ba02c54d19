"""Translation of one shard. The engines decide only which process translates a shard, and when.

A shard is done when its record in done/ exists. The record is written after the output is on the disk under its name. A
process may be killed at any time: every file under its final name is complete. A shard is locked during its translation,
so that two processes do not translate it at the same time. On a file system without locks, both may translate it and
write the same bytes.
"""

import dataclasses
import fcntl
import json
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, List, Optional, Sequence, Tuple

from gnmt.bulk import parquet
from gnmt.bulk.formats import READERS, WRITERS
from gnmt.bulk.job import Job, check_models
from gnmt.bulk.manifest import BulkFolder, Manifest, Shard, checksum, read_content, shard_of, write_content
from gnmt.bulk.rows import ExtraFields, Rows, ScoredText, TranslatedRow
from gnmt.errors import UserError
from gnmt.ranges import Range

if TYPE_CHECKING:
    from gnmt.translator import Translator

COUNT = Range(0, 1e15)  # of lines or seconds in a record
MAX_TEXT_LENGTH = 1 << 20  # characters; the rest of a longer line is not translated

Progress = Callable[[int], None]  # called with the number of lines translated since the last call


@dataclass(frozen=True)
class Done:
    """Record of a shard that is done."""

    number: int
    lines: int
    sha256: str  # of the unpacked output
    translated: int  # texts, after duplicates were dropped
    problems: int
    seconds: float


def read_done(folder: BulkFolder, shard: Shard, job: Job) -> Optional[Done]:
    """Returns the record of a shard, or None if the shard is not done.

    Args:
        folder: holds the records and outputs.
        shard: of the manifest.
        job: determines the format of the output.

    Raises:
        UserError: if the record is a pipe, device or folder.
    """
    path = folder.done(shard.number)
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a regular file: remove it, and run the same command again.")
    try:
        done = Done(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError, RecursionError):  # missing or damaged
        return None
    numbers = (done.number, done.lines, done.translated, done.problems, done.seconds)
    is_whole = (done.number, done.lines) == (shard.number, shard.lines) and not any(map(COUNT.requirement, numbers))
    return done if is_whole and folder.output(shard.number, job).is_file() else None


class ShardTranslator:
    """Translates shards of a folder with models that are loaded once."""

    def __init__(self, folder: BulkFolder, manifest: Manifest, device: str, threads: Optional[int]):
        """Loads the models.

        Args:
            folder: holds the shards.
            manifest: manifest of the folder.
            device: torch device, such as "cpu" or "cuda:0".
            threads: number of torch threads; None keeps torch's default.

        Raises:
            UserError: if the models have changed, or cannot be loaded.
        """
        from gnmt.translator import Translator  # imports torch

        self._folder = folder
        self._manifest = manifest
        check_models(manifest.job)
        models = [Path(model) for model in manifest.job.models]
        self._translator = Translator.from_pretrained(
            models, precision=manifest.job.precision, threads=threads, device=device
        )

    def translate(self, number: int, progress: Progress) -> Done:
        """Translates a shard unless it is done; waits if another process translates it.

        Args:
            number: number of the shard.
            progress: called with the number of lines translated since the last call.

        Raises:
            UserError: if there is no such shard, its input is damaged, or its output cannot be written.
        """
        shard, job = shard_of(self._manifest, number), self._manifest.job
        with _locked(self._folder.input(number, job)):
            done = read_done(self._folder, shard, job)
            if done is not None:
                progress(shard.lines)
                return done
            start = time.monotonic()
            content = read_content(self._folder.input(number, job))
            if checksum(content) != shard.sha256:
                raise UserError(
                    f"{self._folder.input(number, job)} is damaged: restore it, or start with a new folder."
                )
            rows = read_rows(content, job)
            distinct, index = texts_of(rows, job)
            times = Counter(index)
            translated: List[TranslatedRow] = []
            for text in translate_texts(self._translator, distinct, job, shard.first):
                progress(times[len(translated)])
                translated.append(text)
            return self._write(shard, content, rows, [translated[position] for position in index], len(distinct), start)

    def _write(
        self, shard: Shard, content: bytes, rows: Rows, translations: Sequence[TranslatedRow], texts: int, start: float
    ) -> Done:
        job = self._manifest.job
        output = write_rows(content, rows, translations, job)
        lines = count_rows(output, job.output_format)
        if lines != shard.lines:  # cannot happen, but a lost line must be detected
            raise UserError(
                f"Shard {shard.number} has {shard.lines} lines, but its output has {lines}. Please report this error."
            )
        problems = _problems(shard, rows, translations)
        write_content(self._folder.output(shard.number, job), output)
        if problems:
            write_content(self._folder.problems(shard.number), _json_lines(problems))
        done = Done(
            shard.number, shard.lines, checksum(output), texts, len(problems), round(time.monotonic() - start, 3)
        )
        write_content(self._folder.done(shard.number), _json_lines([dataclasses.asdict(done)]))
        return done


# -- one shard, step by step


def read_rows(content: bytes, job: Job) -> Rows:
    """Returns the rows of a shard of the input.

    Args:
        content: shard of the input.
        job: determines the format and the column.
    """
    read = parquet.read_parquet if job.input_format == "parquet" else READERS[job.input_format]
    return read(content, job.column)


def texts_of(rows: Rows, job: Job) -> Tuple[List[str], List[int]]:
    """Returns the texts to translate, and for each row the index of its text.

    Repeated texts are translated once. Texts are sorted by descending length, so that batches have texts of similar
    lengths. With sampling, every line has its own seed, so texts are neither merged nor sorted.

    Args:
        rows: rows of a shard.
        job: holds the options.
    """
    if job.options.sampling is not None:
        return [row.text for row in rows], list(range(len(rows)))
    distinct = sorted({row.text for row in rows}, key=lambda text: (-len(text), text))
    places = {text: index for index, text in enumerate(distinct)}
    return distinct, [places[row.text] for row in rows]


def translate_texts(translator: "Translator", texts: Sequence[str], job: Job, first: int) -> Iterator[TranslatedRow]:
    """Yields the translation of each text.

    Args:
        translator: translator with the models of the job.
        texts: one line each.
        job: holds the options.
        first: number of the first line in the input, from 0; with sampling, line n uses the seed `seed + n`.
    """
    options = job.options
    if options.sampling is not None:
        sampling = dataclasses.replace(options.sampling, seed=options.sampling.seed + first)
        options = dataclasses.replace(options, sampling=sampling)
    translations = translator.stream([text[:MAX_TEXT_LENGTH] for text in texts], options)
    for text, translation in zip(texts, translations, strict=True):
        is_cut = len(text) > MAX_TEXT_LENGTH or any(sentence.is_truncated for sentence in translation.sentences)
        nbest = (
            [ScoredText(tagged(hypothesis.text, job.tag), hypothesis.score) for hypothesis in translation.nbest]
            if options.nbest > 1
            else []
        )
        yield TranslatedRow(tagged(translation.text, job.tag), translation.score, nbest, is_cut)


def tagged(text: str, tag: str) -> str:
    """Returns the tag followed by the text; a blank text is returned unchanged."""
    return f"{tag} {text}" if tag and text.strip() else text


def write_rows(content: bytes, rows: Rows, translations: Sequence[TranslatedRow], job: Job) -> bytes:
    """Returns the output of a shard.

    Args:
        content: input of the shard.
        rows: rows of the content.
        translations: one for each row.
        job: determines the format and the optional fields.
    """
    extra = ExtraFields(job.score, job.options.nbest > 1)
    if job.output_format == "parquet":
        return parquet.write_parquet(content, rows, translations, extra)
    return WRITERS[job.output_format](rows, translations, extra)


def count_rows(output: bytes, output_format: str) -> int:
    """Returns the number of lines or rows of an output.

    Args:
        output: output of a shard, unpacked.
        output_format: its format.
    """
    return parquet.count_rows(output) if output_format == "parquet" else output.count(b"\n")


def _problems(shard: Shard, rows: Rows, translations: Sequence[TranslatedRow]) -> List[dict]:
    """Returns an object for each problem of a line; line numbers count from 1 over the whole input.

    Args:
        shard: shard of the manifest.
        rows: rows of the shard.
        translations: one for each row.
    """
    problems = []
    for number, (row, translation) in enumerate(zip(rows, translations), start=shard.first + 1):
        if row.problem:
            problems.append({"line": number, "problem": row.problem})
        if translation.is_truncated:
            problems.append({"line": number, "problem": "it is too long, and its rest is not translated"})
    return problems


def _json_lines(objects: Sequence[dict]) -> bytes:
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in objects).encode("utf-8", "backslashreplace")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the lock of a shard; on a file system without locks, continues without one."""
    try:
        file = open(path, "rb+")  # network file systems lock only files that are open for writing
    except OSError as error:
        raise UserError(
            f"{path} cannot be opened ({error.strerror}): restore it, or start with a new folder."
        ) from error
    with file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
