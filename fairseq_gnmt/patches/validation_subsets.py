"""Validation on several subsets in fairseq-train: --valid-subset valid,valid1.

fairseq compares names of subsets with file names such as valid1.en-de.en, and therefore reports given subsets as
missing.
"""

from typing import Set

from fairseq.data import data_utils


def compare_subsets_by_name() -> None:
    """Makes fairseq compare names of subsets with names of subsets."""
    find_files = data_utils._find_extra_valid_paths

    def find_subsets(dataset_path: str) -> Set[str]:
        return {file.split(".")[0] for file in find_files(dataset_path)}

    data_utils._find_extra_valid_paths = find_subsets
