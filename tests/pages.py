"""Parser for code blocks of the README and the documentation."""

import re
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"^\s*print\(.*\)  # (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A code block of a page."""

    page: Path
    language: str
    text: str
    output: Optional[str]  # the block "text" directly after the code block

    @property
    def printed(self) -> List[str]:
        """Returns the output that the page shows: comments after `print`, or the block that follows."""
        return (self.output or "").splitlines() or _COMMENT.findall(self.text)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> Iterator[Block]:
    """Yields the blocks of a page in a language, in order."""
    for block_language, text, output in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if block_language == language:
            yield Block(page, language, text, output or None)
