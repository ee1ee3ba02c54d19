"""Sets of noun phrases, without the combinations of words that are held out."""

from functools import lru_cache
from typing import FrozenSet, List, Optional, Tuple, Union

from derivation import Clause, Combination, NounPhrase, Place
from finite_sets import Either, Every, FiniteSet, OneOf
from function_words import DETERMINERS, INDEFINITE, NUMBERS, PREPOSITIONS, QUANTITY, SPECIFIC, THE, Determiner
from lexicon import ADJECTIVES, NOUNS, PLACE, Adjective, Noun, Verb

Groups = Tuple[str, ...]  # of determiners
Form = Tuple[Determiner, bool]  # a determiner, and whether the noun is plural

UNCOUNTED = (SPECIFIC, INDEFINITE)
ANY_GROUP = (SPECIFIC, INDEFINITE, QUANTITY)
NONE = OneOf([None])


class Phrases:
    """All noun phrases without the combinations in `held_out`."""

    def __init__(self, held_out: FrozenSet[Combination]):
        self.held_out = held_out

    def allows(self, word: Union[Adjective, Verb], noun: Noun) -> bool:
        """Returns True if an adjective or a verb may be combined with a noun."""
        return (word.english, noun.english) not in self.held_out

    def adjectives(self, noun: Noun) -> List[Adjective]:
        """Returns the adjectives that may describe `noun`."""
        return [word for word in ADJECTIVES.values() if noun.kind in word.kinds and self.allows(word, noun)]

    def around(self, noun: Noun, groups: Groups, *, rich: bool = False) -> FiniteSet:
        """Returns phrases around one noun, possibly with an adjective if `rich`."""
        adjectives = Either(NONE, OneOf(self.adjectives(noun))) if rich else NONE
        return Every(_noun_phrase, _forms(noun, groups), OneOf([noun]), adjectives)

    def with_relative(self, noun: Noun, plural: bool, relatives: FiniteSet) -> FiniteSet:
        """Returns phrases around one noun in one number, with a relative clause."""
        forms = [(word, plural) for word in _fitting(noun, UNCOUNTED, plural)]
        return Every(_noun_phrase, OneOf(forms), OneOf([noun]), NONE, relatives)

    def places(self) -> FiniteSet:
        """Returns prepositions with a place in the singular, mostly with "the"."""
        sets = []
        for noun in NOUNS.values():
            if noun.kind == PLACE:
                others = [(word, False) for word in _fitting(noun, UNCOUNTED, False) if word != THE]
                forms = Either(OneOf([(THE, False)]), OneOf(others), weights=(2, 1))
                adjectives = Either(NONE, OneOf(self.adjectives(noun)), weights=(2, 1))
                sets.append(Every(_noun_phrase, forms, OneOf([noun]), adjectives))
        return Every(Place, OneOf(list(PREPOSITIONS.values())), Either(*sets))


@lru_cache(maxsize=None)
def _forms(noun: Noun, groups: Groups) -> FiniteSet:
    """Returns the forms of `noun`; weights make "the" and "a" frequent compared with possessives and numbers."""
    sets, weights = [], []
    for plural, number_weight in ((False, 2), (True, 1)):
        fitting = [(word, plural) for word in _fitting(noun, groups, plural)]
        for group in groups:
            sets.append(OneOf([form for form in fitting if form[0].group == group and form[0] != THE]))
            weights.append(number_weight * (1 if group == QUANTITY else 2))
        sets.append(OneOf([form for form in fitting if form[0] == THE]))
        weights.append(number_weight * 3)
    return Either(*sets, weights=weights)


def _fitting(noun: Noun, groups: Groups, plural: bool) -> List[Determiner]:
    if plural and not noun.german_plural:
        return []
    number = "p" if plural else "s" if noun.german_plural else "m"
    words = (*DETERMINERS.values(), *NUMBERS.values())
    return [word for word in words if word.group in groups and number in word.numbers]


def _noun_phrase(
    form: Form, noun: Noun, adjective: Optional[Adjective], relative: Optional[Clause] = None
) -> NounPhrase:
    determiner, plural = form
    return NounPhrase(determiner, noun, plural, adjective, relative)
