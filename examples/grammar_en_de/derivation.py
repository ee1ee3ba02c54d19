"""Language-independent records of a sentence's meaning, from which english.py and german.py generate text."""

from typing import FrozenSet, Iterator, NamedTuple, Optional, Tuple, Union

from function_words import PRESENT, Adverbial, Age, Determiner, Preposition, Pronoun, Tense
from lexicon import Adjective, Noun, Verb

Combination = Tuple[str, str]  # a verb or adjective and a noun that occur together, in English


class NounPhrase(NamedTuple):
    """Determiner, optional adjective, noun, and optional relative clause, which contains a `Relative`."""

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
    """Interrogative pronoun for a person ("who", "whom") or for a thing ("what")."""

    thing: bool = False
    plural: bool = False
    person: int = 3


Nominal = Union[NounPhrase, Pronoun, Relative, Interrogative]


class Place(NamedTuple):
    preposition: Preposition
    phrase: NounPhrase


class Clause(NamedTuple):
    """Verb with its arguments and adverbials; `complement` only with "be"."""

    subject: Nominal
    verb: Verb
    objects: Tuple[Nominal, ...] = ()
    tense: Tense = PRESENT
    negated: bool = False
    time: Optional[Adverbial] = None
    place: Optional[Place] = None
    complement: Union[Adjective, Age, None] = None


class Statement(NamedTuple):
    """Main clause; `time_first` moves its adverbial of time to the front."""

    clause: Clause
    time_first: bool = False


class Question(NamedTuple):
    """Question with `adverb` (why, where, when), or with an `Interrogative` in the clause, or a yes-no question."""

    clause: Clause
    adverb: Optional[Adverbial] = None


class Complex(NamedTuple):
    """Main clause with a subordinate clause after or before it."""

    clause: Clause
    conjunction: str
    subordinate: Clause
    subordinate_first: bool = False


Sentence = Union[Statement, Question, Complex]


def is_moved(nominal: Nominal) -> bool:
    """Returns True for relative and interrogative pronouns, which begin their clause in every case."""
    return isinstance(nominal, (Relative, Interrogative))


def combinations(sentence: Sentence) -> FrozenSet[Combination]:
    """Returns all (verb, noun) and (adjective, noun) combinations of a sentence.

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
