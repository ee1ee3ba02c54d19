"""The scale of ratings (Wu et al. 2016): whole numbers from 0 to 6. Only even scores have a description."""

from typing import Dict

MIN_SCORE, MAX_SCORE = 0, 6
SCORES = tuple(range(MIN_SCORE, MAX_SCORE + 1))
MEANINGS: Dict[int, str] = {
    0: "Nonsense: nothing of the source is understood.",
    1: "",
    2: "Some of the meaning of the source is kept, but significant parts are missing.",
    3: "",
    4: "Most of the meaning of the source is kept; there may be some mistakes of grammar.",
    5: "",
    6: "Perfect: the whole meaning of the source is kept, and the grammar is correct.",
}
