"""Files of parallel text for tests of cleaning, with their cleaned form."""

import gzip
from pathlib import Path
from typing import List

from gnmt.corpora.cleaning import CleaningReport, CleanOutputs, clean_corpus
from gnmt.corpora.cleaning_rules import CleaningRules


class Corpus:
    """Two pairs of files, the second compressed; their cleaned form was worked out by hand."""

    en = ["a b", "", "a  b ", "x\u2028y\r", "c " * 81, "d", "\u4e2d", "e"]
    de = ["A B", "A", "A B", "X Y", "C", "D " * 10, "z", ""]
    more_en = ["q", "a b", "last"]
    more_de = ["Q", "A\u00a0B", "letzte"]
    clean_en = ["a b", "x y", "q", "last"]
    clean_de = ["A B", "X Y", "Q", "letzte"]
    counts = {"empty": 2, "too_short": 0, "too_long": 1, "ratio": 1, "encoding": 1, "duplicate": 2}

    def __init__(self, folder: Path):
        self.folder = folder
        self.sources = [folder / "one.en", folder / "two words.en.gz"]
        self.targets = [folder / "one.de", folder / "two words.de.gz"]
        write(self.sources[0], self.en)
        write(self.targets[0], self.de)
        write(self.sources[1], self.more_en)
        write(self.targets[1], self.more_de)

    def clean(self, prefix: str, jobs: int = 1, overwrite: bool = False) -> CleaningReport:
        return clean_corpus(
            self.sources,
            self.targets,
            CleanOutputs.with_prefix(str(self.folder / prefix), "en", "de"),
            CleaningRules(required_encoding="latin-1"),
            drop_duplicates=True,
            jobs=jobs,
            overwrite=overwrite,
        )


def write(path: Path, lines: List[str]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode("utf-8")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
