"""Sets of clauses, without the combinations of words that are held out.

No clause contains "nicht" together with "jeder", a number or an indefinite subject: their order would change the
meaning.
"""

from functools import lru_cache
from typing import Any, FrozenSet, Optional, Sequence, Tuple

from derivation import Clause, Combination, Nominal, Place, Relative
from finite_sets import Either, Every, FiniteSet, OneOf
from function_words import AGES, OCLOCK, PAST, PRESENT, PRONOUNS, SPECIFIC, TIMES, Adverbial, Pronoun, Tense
from lexicon import ADJECTIVES, CLAUSE_VERBS, NOUNS, PERSON, VERBS, Adjective, Noun, Verb
from phrases import ANY_GROUP, NONE, UNCOUNTED, Groups, Phrases

PLAIN_TENSES = (PRESENT, PAST)
ALL_PRONOUNS = tuple(PRONOUNS.values())
FULL_VERBS = tuple(verb for verb in VERBS.values() if verb.english not in (*CLAUSE_VERBS, "be"))
SHORT_VERBS = tuple(verb for verb in FULL_VERBS if len(verb.cases) < 2)
ONE_OBJECT_VERBS = tuple(verb for verb in FULL_VERBS if len(verb.cases) == 1)


class Clauses:
    """All clauses without the combinations in `held_out`."""

    def __init__(self, held_out: FrozenSet[Combination]):
        self.phrases = Phrases(held_out)

    @lru_cache(maxsize=None)
    def noun_phrases(self, verb: Verb, kinds: Tuple[str, ...], groups: Groups, rich: bool = False) -> FiniteSet:
        """Returns phrases around every noun of `kinds` that can be combined with `verb`."""
        nouns = [noun for noun in NOUNS.values() if noun.kind in kinds and self.phrases.allows(verb, noun)]
        return Either(*(self.phrases.around(noun, groups, rich=rich) for noun in nouns))

    def objects(self, verb: Verb, negated: bool, rich: bool, pronouns: Sequence[Pronoun]) -> FiniteSet:
        """Returns tuples of objects; `pronouns` may replace persons."""
        if not verb.cases:
            return OneOf([()])
        last = self.noun_phrases(verb, verb.kinds, UNCOUNTED if negated else ANY_GROUP, rich)
        if len(verb.cases) == 1:
            return Every(_tuple, Either(last, OneOf(pronouns if PERSON in verb.kinds else ()), weights=(4, 1)))
        # Only the thing given becomes "kein": the recipient of a negated clause is a specific one.
        persons = self.noun_phrases(verb, (PERSON,), (SPECIFIC,) if negated else ANY_GROUP)
        return Every(_tuple, Either(persons, OneOf(pronouns)), last)

    @lru_cache(maxsize=None)
    def arguments(self, verb: Verb, negated: bool, rich: bool) -> FiniteSet:
        """Returns (subject, objects) of `verb`, without "I see me", which would need a reflexive pronoun."""
        nouns = self.noun_phrases(verb, verb.subjects, (SPECIFIC,) if negated else ANY_GROUP, rich)
        sets = [Every(_tuple, nouns, self.objects(verb, negated, rich, ALL_PRONOUNS))]
        for subject in ALL_PRONOUNS:
            others = [pronoun for pronoun in ALL_PRONOUNS if pronoun.person != subject.person or subject.person == 3]
            sets.append(Every(_tuple, OneOf([subject]), self.objects(verb, negated, rich, others)))
        return Either(*sets, weights=[10] + [1] * len(ALL_PRONOUNS))

    @lru_cache(maxsize=None)
    def any_verb(
        self,
        verbs: Tuple[Verb, ...],
        tenses: Tuple[Tense, ...],
        *,
        negations: Tuple[bool, ...] = (False, True),
        rich: bool = False,
        timed: bool = False,
        placed: bool = False,
    ) -> FiniteSet:
        """Returns clauses of full verbs, with an adverbial of time if `timed`, and in part with a place if `placed`."""
        places = Either(NONE, self.phrases.places()) if placed else NONE
        sets = [
            Every(
                _clause,
                self.arguments(verb, negated, rich),
                OneOf([verb]),
                OneOf([negated]),
                _tenses_and_times(tenses, negated, timed),
                places,
            )
            for negated in negations
            for verb in verbs
        ]
        return Either(*sets, weights=[1 if negated else 3 for negated in negations for _ in verbs])

    def by_subject(self, verb: Verb, subjects: FiniteSet, tenses: Tuple[Tense, ...]) -> FiniteSet:
        """Returns positive clauses with one of `subjects`, none of them a personal pronoun."""
        arguments = Every(_tuple, subjects, self.objects(verb, False, False, ALL_PRONOUNS))
        return _positive(verb, arguments, tenses)

    def by_object(self, verb: Verb, objects: FiniteSet, tenses: Tuple[Tense, ...]) -> FiniteSet:
        """Returns positive clauses with one of `objects` as the only object, none of them a personal pronoun."""
        subjects = Either(self.noun_phrases(verb, verb.subjects, ANY_GROUP), OneOf(ALL_PRONOUNS))
        return _positive(verb, Every(_tuple, subjects, Every(_tuple, objects)), tenses)

    @lru_cache(maxsize=None)
    def with_be(self, tenses: Tuple[Tense, ...], *, timed: bool = False) -> FiniteSet:
        """Returns clauses with "be" and an adjective, or with an age if they are not `timed`."""

        def complements(kind: str, adjectives: Sequence[Adjective]) -> FiniteSet:
            ages = AGES if kind == PERSON and not timed else ()
            return Either(OneOf(adjectives), OneOf(ages), weights=(5, 1))

        sets = []
        for negated in (False, True):
            groups = (SPECIFIC,) if negated else ANY_GROUP
            described = [
                Every(_tuple, self.phrases.around(noun, groups), complements(noun.kind, self.phrases.adjectives(noun)))
                for noun in NOUNS.values()
            ]
            of_persons = [word for word in ADJECTIVES.values() if PERSON in word.kinds]
            described.append(Every(_tuple, OneOf(ALL_PRONOUNS), complements(PERSON, of_persons)))
            described = Either(*described, weights=[1] * len(NOUNS) + [len(NOUNS) / 3])
            sets.append(Every(_be_clause, described, OneOf([negated]), _tenses_and_times(tenses, negated, timed)))
        return Either(*sets, weights=(3, 1))

    @lru_cache(maxsize=None)
    def with_relative(self, noun: Noun) -> FiniteSet:
        """Returns phrases around `noun` with a relative clause in which it is the subject or the only object."""
        sets = []
        for plural in (False, True):
            pronoun = OneOf([Relative(noun, plural)])
            verbs = [verb for verb in SHORT_VERBS if self.phrases.allows(verb, noun)]
            as_subject = [self.by_subject(verb, pronoun, PLAIN_TENSES) for verb in verbs if noun.kind in verb.subjects]
            as_object = [self.by_object(verb, pronoun, PLAIN_TENSES) for verb in verbs if noun.kind in verb.kinds]
            relatives = Either(Either(*as_subject), Either(*as_object))
            sets.append(self.phrases.with_relative(noun, plural, relatives))
        return Either(*sets, weights=(2, 1))


def _positive(verb: Verb, arguments: FiniteSet, tenses: Tuple[Tense, ...]) -> FiniteSet:
    return Every(_clause, arguments, OneOf([verb]), OneOf([False]), _tenses_and_times(tenses, False, False), NONE)


@lru_cache(maxsize=None)
def _tenses_and_times(tenses: Tuple[Tense, ...], negated: bool, timed: bool) -> FiniteSet:
    """Returns pairs of a tense and a fitting adverbial of time or None, such as the future and "tomorrow"."""

    def fitting(tense: Tense, times: Sequence[Adverbial]) -> FiniteSet:
        usable = [time for time in times if time.negatable or not negated]
        return OneOf([(tense, time) for time in usable if not set(time.times).isdisjoint(tense.times)])

    if timed:
        sets = [Either(fitting(tense, TIMES), fitting(tense, OCLOCK), weights=(6, 1)) for tense in tenses]
    else:
        sets = [OneOf([(tense, None)]) for tense in tenses]
    return Either(*sets, weights=[4 if tense in PLAIN_TENSES else 1 for tense in tenses])


def _tuple(*items: Any) -> Tuple[Any, ...]:
    return items


def _clause(
    arguments: Tuple[Nominal, Tuple[Nominal, ...]],
    verb: Verb,
    negated: bool,
    tense_and_time: Tuple[Tense, Optional[Adverbial]],
    place: Optional[Place],
) -> Clause:
    subject, objects = arguments
    return Clause(subject, verb, objects, tense_and_time[0], negated, tense_and_time[1], place)


def _be_clause(
    described: Tuple[Nominal, Any], negated: bool, tense_and_time: Tuple[Tense, Optional[Adverbial]]
) -> Clause:
    subject, complement = described
    tense, time = tense_and_time
    return Clause(subject, VERBS["be"], (), tense, negated, time, None, complement)
