"""Cleaning of parallel text: removes pairs that are unsuitable for training, and counts the reasons.

White space and control characters become single spaces first; the rules are in `cleaning_rules.py`.
"""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import List, NamedTuple, Sequence, Set, Tuple

from gnmt.corpora.cleaning_rules import REASONS, CleaningRules, clean_pair, normalise_spaces
from gnmt.errors import UserError
from gnmt.files.lines import check_files, split_lines
from gnmt.files.outputs import atomic_outputs
from gnmt.files.parallel_text import ChunkPair, count_pairs, read_pairs
from gnmt.files.process_pool import check_jobs, ordered_map
from gnmt.files.progress import progress_bar

DIGEST_BYTES = 16  # per pair: 4.5 million digests take about 0.5 GiB, and collisions are negligible

LinePair = Tuple[bytes, bytes]


class CleanOutputs(NamedTuple):
    """Files for the kept pairs and the counts."""

    source: Path
    target: Path
    report: Path  # renamed last, so the other two are complete if it exists

    @classmethod
    def with_prefix(cls, prefix: str, source_lang: str, target_lang: str) -> "CleanOutputs":
        """Returns the output files for a prefix, such as clean/train for clean/train.en.

        Args:
            prefix: path without language.
            source_lang: suffix of the source file.
            target_lang: suffix of the target file.
        """
        return cls(*(Path(f"{prefix}.{ending}") for ending in (source_lang, target_lang, "cleaning.json")))


@dataclass
class CleaningReport:
    """Numbers of pairs: read == kept + the sum of dropped."""

    read: int = 0
    kept: int = 0
    dropped: "Counter[str]" = field(default_factory=lambda: Counter(dict.fromkeys(REASONS, 0)))

    def table(self) -> str:
        """Returns a table with one row per number and its share of the pairs read."""
        dropped = ((f"dropped: {reason}", count) for reason, count in self.dropped.items())
        rows = [("read", self.read), *dropped, ("kept", self.kept)]
        return "\n".join(f"{name:<20}{count:>14,}{count / self.read:>10.2%}" for name, count in rows)

    def summary(self) -> str:
        """Returns the numbers in one line."""
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in self.dropped.items() if count)
        return f"kept {self.kept:,} of {self.read:,} pairs" + (f" (dropped {reasons})" if reasons else "")


def read_report(path: Path) -> CleaningReport:
    """Returns the report in a file of `clean_corpus`."""
    counts = json.loads(path.read_text(encoding="utf-8"))
    return CleaningReport(counts["read"], counts["kept"], Counter(counts["dropped"]))


def clean_chunk(rules: CleaningRules, chunk: ChunkPair) -> Tuple[int, "Counter[str]", List[LinePair]]:
    """Returns the number of pairs in the chunk, the numbers dropped by reason, and the kept pairs of lines.

    Args:
        rules: rules for kept pairs.
        chunk: lines of both files.
    """
    sources, targets = map(split_lines, chunk)
    dropped: Counter[str] = Counter()
    kept = []
    for pair in zip(sources, targets, strict=True):
        source, target = map(normalise_spaces, pair)
        reason = clean_pair(source, target, rules)
        if reason is None:
            kept.append((source.encode("utf-8"), target.encode("utf-8")))
        else:
            dropped[reason] += 1
    return len(sources), dropped, kept


def drop_seen(pairs: Sequence[LinePair], seen: Set[bytes]) -> List[LinePair]:
    """Returns the pairs that are not in `seen`, each once, and adds their digests to `seen`.

    Args:
        pairs: pairs of lines.
        seen: digests of earlier pairs, updated in place.
    """
    new = []
    for pair in pairs:
        digest = hashlib.blake2b(b"\n".join(pair), digest_size=DIGEST_BYTES).digest()
        if digest not in seen:
            seen.add(digest)
            new.append(pair)
    return new


def clean_corpus(
    sources: Sequence[Path],
    targets: Sequence[Path],
    outputs: CleanOutputs,
    rules: CleaningRules,
    *,
    drop_duplicates: bool,
    jobs: int,
    overwrite: bool,
) -> CleaningReport:
    """Writes the kept pairs, in their order, and the report; writes nothing after an error.

    Args:
        sources: source files, plain or compressed.
        targets: target files, each with the number of lines of its source file.
        outputs: files to write.
        rules: rules for kept pairs.
        drop_duplicates: keep only the first of equal pairs.
        jobs: number of processes.
        overwrite: replace existing outputs.

    Raises:
        UserError: if an input cannot be read, or no pair is kept.
    """
    check_jobs(jobs)
    inputs = [*sources, *targets]
    check_files(inputs)
    report = CleaningReport()
    seen: Set[bytes] = set()
    with atomic_outputs(outputs, inputs=inputs, overwrite=overwrite) as (source_file, target_file, report_file):
        progress = progress_bar(total=count_pairs(sources, targets, jobs), name="cleaning", unit="pairs")
        results = ordered_map(partial(clean_chunk, rules), read_pairs(sources, targets), jobs)
        for read, dropped, kept in results:
            if drop_duplicates:
                new = drop_seen(kept, seen)
                dropped["duplicate"] = len(kept) - len(new)
                kept = new
            for source, target in kept:
                source_file.write(source + b"\n")
                target_file.write(target + b"\n")
            report.read += read
            report.kept += len(kept)
            report.dropped.update(dropped)
            progress.update(read)
        progress.close()
        if report.kept == 0:
            raise UserError(f"None of the {report.read} pairs can be kept ({dict(report.dropped)}): relax the rules.")
        counts = {"read": report.read, "kept": report.kept, "dropped": report.dropped}
        report_file.write(json.dumps({**counts, "rules": asdict(rules)}, indent=2).encode("utf-8") + b"\n")
    return report
