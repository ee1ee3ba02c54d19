"""Stage 2: extracts plain text, one sentence per line, from OUTPUT/archives to OUTPUT/raw.

    europarl-v7.{en,de}  commoncrawl.{en,de}  news-commentary-v11.{en,de}     training, as published
    valid.{en,de}        newstest2015 followed by newstest2016
    test.{en,de}         newstest2014

Only known members of an archive are read. They are written to fixed names, never to names from the archive.
"""

import argparse
import sys
import tarfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, List, NamedTuple, Tuple

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a checkout works without being installed
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.outputs import atomic_outputs  # noqa: E402
from sgm import Segment, check_parallel, read_segments  # noqa: E402

LANGUAGES = ("en", "de")
CHUNK_BYTES = 1 << 20


class Corpus(NamedTuple):
    """A training corpus: its archive, and its two members without the language at the end."""

    name: str
    archive: str
    member: str


class NewsTest(NamedTuple):
    """A development or test set: its archive, and the members of English (source) and German (reference)."""

    name: str
    archive: str
    members: Tuple[str, str]


TRAINING = (
    Corpus("europarl-v7", "de-en.tgz", "europarl-v7.de-en"),
    Corpus("commoncrawl", "training-parallel-commoncrawl.tgz", "commoncrawl.de-en"),
    Corpus(
        "news-commentary-v11",
        "training-parallel-nc-v11.tgz",
        "training-parallel-nc-v11/news-commentary-v11.de-en",
    ),
)
NEWSTEST2014 = NewsTest(
    "newstest2014", "dev.tgz", ("dev/newstest2014-deen-src.en.sgm", "dev/newstest2014-deen-ref.de.sgm")
)
NEWSTEST2015 = NewsTest(
    "newstest2015", "dev.tgz", ("dev/newstest2015-ende-src.en.sgm", "dev/newstest2015-ende-ref.de.sgm")
)
NEWSTEST2016 = NewsTest(
    "newstest2016", "test.tgz", ("test/newstest2016-ende-src.en.sgm", "test/newstest2016-ende-ref.de.sgm")
)
EVALUATION = {"valid": (NEWSTEST2015, NEWSTEST2016), "test": (NEWSTEST2014,)}


@contextmanager
def opened(path: Path, names: Tuple[str, ...]) -> Iterator[Iterator[Tuple[str, BinaryIO]]]:
    """Yields the requested regular files of an archive with their names; each is readable until the next is requested.

    Raises UserError if the archive is missing or damaged, or lacks a file. Damage may be detected in the block.
    """
    if not path.exists():
        raise UserError(f"{path} is missing; run download.py with the same --output first.")
    try:
        with tarfile.open(path, "r|gz") as archive:
            yield members_of(archive, names)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}): run download.py again, it will replace it.") from error


def members_of(archive: tarfile.TarFile, names: Tuple[str, ...]) -> Iterator[Tuple[str, BinaryIO]]:
    missing = set(names)
    for member in archive:
        name = member.name.removeprefix("./")
        if name in missing and member.isfile():
            missing.remove(name)
            yield name, archive.extractfile(member)
        if not missing:
            return
    raise UserError(f"{archive.name} does not hold {', '.join(sorted(missing))}: is it the archive of WMT16?")


def outputs(raw: Path, name: str) -> List[Path]:
    """Returns the English and the German file of a corpus."""
    return [raw / f"{name}.{language}" for language in LANGUAGES]


def extract_corpus(corpus: Corpus, archives: Path, raw: Path) -> None:
    """Copies both sides of a training corpus; both files appear together, after a check that their line counts agree."""
    members = tuple(f"{corpus.member}.{language}" for language in LANGUAGES)
    lines: Dict[str, int] = {}
    with atomic_outputs(outputs(raw, corpus.name), inputs=[], overwrite=True) as copies:
        copy_of = dict(zip(members, copies))
        with opened(archives / corpus.archive, members) as files:
            for member, file in files:
                lines[member] = copy_lines(file, copy_of[member], member)
        english, german = (lines[member] for member in members)
        if english != german:
            raise UserError(
                f"{corpus.name} has {english} English and {german} German lines: delete {archives / corpus.archive} "
                "and run download.py again."
            )


def copy_lines(file: BinaryIO, copy: BinaryIO, name: str) -> int:
    """Copies lines and returns their number, including an unfinished last line."""
    lines, last_byte = 0, b"\n"
    with tqdm(desc=name.rsplit("/", 1)[-1], unit="B", unit_scale=True) as progress:
        while chunk := file.read(CHUNK_BYTES):
            copy.write(chunk)
            lines, last_byte = lines + chunk.count(b"\n"), chunk[-1:]
            progress.update(len(chunk))
    return lines + (last_byte != b"\n")


def read_newstest(newstest: NewsTest, archives: Path) -> Tuple[List[Segment], List[Segment]]:
    """Returns the English and the German segments of a set, which have equal numbers."""
    with opened(archives / newstest.archive, newstest.members) as files:
        contents = {name: file.read() for name, file in files}
    source, target = (read_segments(contents[name], name) for name in newstest.members)
    check_parallel(source, target, newstest.name)
    return source, target


def extract_evaluation(name: str, newstests: Tuple[NewsTest, ...], archives: Path, raw: Path) -> None:
    """Joins the sets in order into `name`.en and `name`.de; every segment is kept."""
    sides = list(zip(*(read_newstest(newstest, archives) for newstest in newstests)))
    with atomic_outputs(outputs(raw, name), inputs=[], overwrite=True) as files:
        for file, parts in zip(files, sides):
            file.writelines(f"{segment.text}\n".encode("utf-8") for part in parts for segment in part)


def is_done(raw: Path, name: str, overwrite: bool) -> bool:
    """Returns True if both files of this name exist from an earlier run and may be kept."""
    done = not overwrite and all(path.exists() for path in outputs(raw, name))
    if done:
        print(f"{raw / name}.{{en,de}}: already here.", file=sys.stderr)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("outputs/wmt16_en_de"), help="--output of download.py")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    args = parser.parse_args()
    archives, raw_folder = args.output / "archives", args.output / "raw"
    for corpus in TRAINING:
        if not is_done(raw_folder, corpus.name, args.overwrite):
            extract_corpus(corpus, archives, raw_folder)
    for name, newstests in EVALUATION.items():
        if not is_done(raw_folder, name, args.overwrite):
            extract_evaluation(name, newstests, archives, raw_folder)


if __name__ == "__main__":
    run_command(main)
