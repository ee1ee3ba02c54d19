"""Optional dependencies, which are the extras of pyproject.toml."""


def remedy(extra: str) -> str:
    """Returns the advice to install an extra, part of an error message."""
    return f"run pip install -e '.[{extra}]' in the checkout of fairseq-gnmt"
