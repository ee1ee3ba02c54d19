"""Translations of two systems for tests of scores."""

from pathlib import Path

REFERENCES = [
    "the dog sleeps in the old house",
    "two children play in the snow",
    "a man reads a book",
    "the train arrives at noon",
    "she sings a song for him",
    "we walk to the river",
    "the sky is blue today",
    "nobody saw the black cat",
]
GOOD = [*REFERENCES[:5], "we walk to a river", "sky is blue", "nobody saw the cat"]
POOR = ["the dog in the house", "children play snow", *REFERENCES[2:4], "he sings for him", *GOOD[5:7], "nobody"]
SYSTEMS = [("poor", POOR), ("good", GOOD)]


def write(path: Path, lines) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)
