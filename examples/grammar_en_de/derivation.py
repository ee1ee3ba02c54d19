"""Language-independent records of a sentence's meaning, from which english.py and german.py generate text."""

from typing import FrozenSet, Iterator, NamedTuple, Optional, Tuple, Union

from function_words import PRESENT, Adverbial, Age, Determiner, Preposition, Pronoun, Tense
from lexicon import Adjective, Noun, Verb

Combination = Tuple[str, str]  # a verb or adjective and a noun that occur together, in English


class NounPhrase(NamedTuple):
    """Determiner, perhaps an adjective, noun, perhaps a relative clause (which holds a `Relative`)."""

    determiner: Determiner
    noun: Noun
    plural: bool = False
    adjective: Optional[Adjective] = None
    relative: Optional["Clause"] = None
    person: int = 3


class Relative(NamedTuple):
    """A relative pronoun: agrees with its antecedent, takes its case from its own clause."""

    noun: Noun
    plural: bool
    person: int = 3


class Interrogative(NamedTuple):
    """Asks for a person ("who", "whom") or for a thing ("what")."""

    thing: bool = False
    plural: bool = False
    person: int = 3


Nominal = Union[NounPhrase, Pronoun, Relative, Interrogative]


class Place(NamedTuple):
    preposition: Preposition
    phrase: NounPhrase


class Clause(NamedTuple):
    """One verb with all that belongs to it; `complement` only with "be"."""

    subject: Nominal
    verb: Verb
    objects: Tuple[Nominal, ...] = ()
    tense: Tense = PRESENT
    negated: bool = False
    time: Optional[Adverbial] = None
    place: Optional[Place] = None
    complement: Union[Adjective, Age, None] = None


class Statement(NamedTuple):
    """A main clause; `time_first` puts its adverbial of time at the front."""

    clause: Clause
    time_first: bool = False


class Question(NamedTuple):
    """Asks for `adverb` (why, where, when), else for an `Interrogative` in the clause, else for yes or no."""

    clause: Clause
    adverb: Optional[Adverbial] = None


class Complex(NamedTuple):
    """A main clause and a subordinate one, after or before it."""

    clause: Clause
    conjunction: str
    subordinate: Clause
    subordinate_first: bool = False


Sentence = Union[Statement, Question, Complex]


def is_moved(nominal: Nominal) -> bool:
    """Relative and interrogative pronouns open their clause, whatever their case."""
    return isinstance(nominal, (Relative, Interrogative))


def combinations(sentence: Sentence) -> FrozenSet[Combination]:
    """Returns all (verb, noun) and (adjective, noun) combinations, of which test sets contain held-out ones.

    A noun combines with a verb as its subject, as its object, or as the antecedent of either; with "be" it
    combines with the adjective.
    """
    clauses = [sentence.clause]
    if isinstance(sentence, Complex):
        clauses.append(sentence.subordinate)
    return frozenset(combination for clause in clauses for combination in _clause_combinations(clause))


def _clause_combinations(clause: Clause) -> Iterator[Combination]:
    for nominal in (clause.subject, *clause.objects):
        if isinstance(nominal, (NounPhrase, Relative)) and not clause.complement:
            yield clause.verb.english, nominal.noun.english
        if isinstance(nominal, NounPhrase):
            yield from _phrase_combinations(nominal)
    if clause.place:
        yield from _phrase_combinations(clause.place.phrase)
    if isinstance(clause.complement, Adjective) and isinstance(clause.subject, NounPhrase):
        yield clause.complement.english, clause.subject.noun.english


def _phrase_combinations(phrase: NounPhrase) -> Iterator[Combination]:
    if phrase.adjective:
        yield phrase.adjective.english, phrase.noun.english
    if phrase.relative:
        yield from _clause_combinations(phrase.relative)
