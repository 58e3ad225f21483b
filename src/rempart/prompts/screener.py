"""The screen: one prompt in, one verdict out.

A prompt goes through these stages, each a function of a module of its own: the scanner takes the front-end's syntax
apart (:mod:`rempart.prompts.syntax`), each view of it is folded and cut into words, the lexicon looks them up, readings
undo disguises (:mod:`rempart.prompts.views`), ages are found, and the rules judge what stands together.
"""

from __future__ import annotations

import gc
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec

from rempart.errors import Reason, UsageError
from rempart.prompts.age_tables import age_tables
from rempart.prompts.ages import find_ages
from rempart.prompts.cjk_ages import cjk_patterns
from rempart.prompts.comfy import PromptGraph, looks_like_graph, read_graph
from rempart.prompts.conditions import AGE, PROMPT, Evidence, Mark
from rempart.prompts.fold import Folded, fold
from rempart.prompts.lexicon import load_lexicon
from rempart.prompts.rules import Rules, strictest
from rempart.prompts.scorers import Merged, Panel
from rempart.prompts.specimen import SPECIMEN_TOKEN
from rempart.prompts.syntax import SYNTAXES, scan
from rempart.prompts.syntax_segments import Segment
from rempart.prompts.syntax_views import View
from rempart.prompts.tokens import Tokens, tokenize
from rempart.prompts.verdict import ADULT_AGE, LEAST_STRENGTH, AgeHit, Answer, ConceptHit, PromptVerdict
from rempart.prompts.views import readings
from rempart.prompts.vocabulary import Vocabulary
from rempart.settings import PrivatePacks, PromptSettings

MAX_CHARACTERS: Final = 8_000
"""Length of all fields together up to which a prompt is screened; a longer one is refused."""
NEGATIVE, STYLE, NAME = "negative", "style", "name"
"""Fields beside the prompt itself."""
# Looked for in disguise too. Words that calm are not: disguised, they calm nobody.
_DISGUISED = frozenset(("minor.explicit", "minor.role", "minor.ambiguous", "sexual.explicit", "sexual.nudity"))
_AMBIGUOUS, _GOVERNED, _ADULT = "minor.ambiguous", "minor.ambiguous_adult", "adult.explicit"
_PERSON = "person"
_GOVERNS_WITHIN: Final = 4
"""Tokens between a word such as "girl" and the adult noun or age that says whose it is."""
_JOINED_STRENGTH: Final = 0.95


class _Field(NamedTuple):
    name: str
    text: str


class _Found:
    """What was found in all fields so far, and in the one that is looked at."""

    def __init__(self) -> None:
        self.hits: list[ConceptHit] = []
        self._here: dict[tuple[str, str, int, int], ConceptHit] = {}
        self.ages: dict[tuple[str, int, int], AgeHit] = {}
        self.marks: list[Mark] = []
        self.obfuscations: set[str] = set()
        self.specimen = False
        self.over_budget = False

    def keep(self, hit: ConceptHit) -> None:
        """Keep a hit unless the same term was found in the same place, as plainly or more so."""
        key = (hit.concept, hit.term, hit.start, hit.end)
        known = self._here.get(key)
        if known is None or known.strength < hit.strength:
            self._here[key] = hit

    def settle(self) -> list[ConceptHit]:
        """The hits of this field, and be ready for the next.

        One that only reads a stronger hit of its concept once more, in another way, is dropped: an expression that
        stands there plainly is what was said.
        """
        kept = []
        spans: dict[str, list[tuple[int, int]]] = {}
        for hit in sorted(self._here.values(), key=lambda hit: -hit.strength):
            taken = spans.setdefault(hit.concept.partition(".")[0], [])
            at = bisect_right(taken, (hit.start, hit.end))
            around = taken[max(0, at - 1) : at + 1]
            if hit.strength < 1 and any(start < hit.end and hit.start < end for start, end in around):
                continue
            taken.insert(at, (hit.start, hit.end))
            kept.append(hit)
        self._here = {}
        self.hits += kept
        return kept


class PromptScreener:
    """Screens prompts of image generators; make one and keep it, it may be shared by threads."""

    def __init__(
        self,
        packs: str | Path = "all",
        *,
        private: PrivatePacks | None = None,
        overlays: Iterable[Path] = (),
        too_long: Answer = Answer.REFUSE,
        panel: Panel | None = None,
    ) -> None:
        """Load the packs and the rules.

        Args:
            packs: name of a shipped set of packs (``all``, one language, or ``canary`` for tests), or path of a folder
                of packs.
            private: sealed or hashed packs of the operator.
            overlays: rule files of the operator.
            too_long: the verdict on prompts that are too long to be screened, refuse or review.
            panel: optional scorers, which can raise a verdict and never soften one.

        Raises:
            PackError: the packs or rules cannot be used, so nothing can be screened.
            ValueError: too long prompts would be allowed.
        """
        if too_long is Answer.ALLOW:
            raise ValueError("a prompt that was not screened is never allowed: too_long is refuse or review")
        with _collection_paused():
            self._load(packs, private)
        self.rules = Rules(overlays)
        self._too_long = too_long
        self._panel = panel or Panel()

    def _load(self, packs: str | Path, private: PrivatePacks | None) -> None:
        self.lexicon = load_lexicon(packs, private)
        self._vocabulary = Vocabulary(self.lexicon.forms_of(_DISGUISED))
        # Read now: a broken table stops the start, and the first prompt does not pay for it.
        age_tables()
        cjk_patterns()

    @classmethod
    def of(cls, settings: PromptSettings) -> Self:
        """The screener that the configuration describes.

        Raises:
            PackError: the packs or rules cannot be used.
            ConfigError: a scorer cannot be opened.
        """
        return cls(
            settings.packs,
            private=settings.private,
            overlays=map(Path, settings.overlays),
            too_long=Answer(settings.too_long),
            panel=Panel(settings.scorers),
        )

    def screen(
        self,
        prompt: str,
        negative: str = "",
        *,
        styles: Sequence[str] = (),
        names: Sequence[str] = (),
        has_reference_image: bool = False,
        syntax: str = "auto",
    ) -> PromptVerdict:
        """Screen one prompt; never fails on a text, and never allows one that it could not screen.

        Args:
            prompt: what the picture shall show, as it was typed; or a ComfyUI workflow as JSON, whose positive and
                negative texts and model names are then screened.
            negative: what it shall not show. Its words are no evidence against the prompt.
            styles: texts that the front-end adds to the prompt.
            names: of checkpoints, LoRAs and embeddings: they carry meaning.
            has_reference_image: recorded in the verdict, for a policy to look at: text cannot screen a picture.
            syntax: the front-end whose syntax the prompt is in, one of :data:`rempart.prompts.syntax.SYNTAXES`.

        Returns:
            The verdict, with spans that index the field they are of (of a workflow, its texts put together).

        Raises:
            TypeError: a text is not a ``str``.
            UsageError: there is no such syntax.
        """
        fields = [_Field(PROMPT, prompt), _Field(NEGATIVE, negative)]
        fields += [_Field(STYLE, style) for style in styles]
        fields += [_Field(NAME, name) for name in names]
        if not all(isinstance(field.text, str) for field in fields):
            raise TypeError("a prompt is a str, and so are a negative prompt, styles and names")
        if syntax not in SYNTAXES:
            raise UsageError(f"there is no syntax {syntax!r}; there are {', '.join(SYNTAXES)}")
        try:
            if looks_like_graph(prompt):
                graph = read_graph(prompt)
                has_reference_image = has_reference_image or graph.has_reference_image
                fields[0:2] = _fields_of(graph, negative)
                verdict = (
                    self._screen(fields, syntax) if graph.readable else self._unscreened(Answer.REFUSE, Reason.ERROR)
                )
            else:
                verdict = self._screen(fields, syntax)
        except Exception:  # noqa: BLE001 -- fail closed; the error is not told, because it may quote the prompt
            verdict = self._unscreened(Answer.REFUSE, Reason.ERROR)
        return msgspec.structs.replace(verdict, has_reference_image=True) if has_reference_image else verdict

    def _screen(self, fields: list[_Field], syntax: str) -> PromptVerdict:
        if sum(len(field.text) for field in fields) > MAX_CHARACTERS:
            return self._unscreened(self._too_long, Reason.TOO_LONG)
        found = _Found()
        segment = 0
        for field in fields:
            if field.text:
                segment = self._look(field, syntax, found, segment)
        rules = self.rules.fired(Evidence(_governed(found.marks), frozenset(found.obfuscations))) if found.marks else ()
        answers = [rule.verdict for rule in rules]
        reasons = [Reason.CONCEPTS_JOINED] if any(answer is not Answer.ALLOW for answer in answers) else []
        if found.over_budget:
            answers.append(Answer.REVIEW)
            reasons.append(Reason.BUDGET)
        if found.specimen:
            answers.append(Answer.REFUSE)
            reasons.append(Reason.SPECIMEN)
        merged = Merged(strictest(answers))
        if self._panel:
            positive = "\n".join(field.text for field in fields if field.name != NEGATIVE)
            merged = self._panel.judge(merged.verdict, positive, {hit.concept for hit in found.hits})
        hits = sorted(found.hits, key=lambda hit: (hit.field != PROMPT, hit.field, hit.start, -hit.end))
        return PromptVerdict(
            verdict=merged.verdict,
            rules=tuple(rule.id for rule in rules),
            reasons=(*reasons, *merged.reasons),
            concepts=tuple(hits),
            ages=tuple(found.ages.values()),
            context=tuple(sorted({hit.concept for hit in hits if hit.concept.startswith("context.")})),
            obfuscation=tuple(sorted(found.obfuscations)),
            scorers=merged.notes,
            specimen=found.specimen,
            packs_digest=self.lexicon.digest,
            rules_digest=self.rules.digest,
        )

    def _look(self, field: _Field, syntax: str, found: _Found, segment: int) -> int:
        """Find what stands in one field; the number of the next free segment."""
        scanned = scan(field.text, syntax)
        ages_before = len(found.ages)
        plain = self._read(scanned.spaced, field, "exact", 1.0, found)
        if scanned.joined is not scanned.spaced:
            self._read(scanned.joined, field, "joined", _JOINED_STRENGTH, found)
            if scanned.options.text:
                self._read(scanned.options, field, "options", _JOINED_STRENGTH, found)
        if scanned.literal is not scanned.joined and self._may_hide(plain[1]):
            # As it was typed: what marks part is no expression, so no exception can hide a word.
            negated = [part for part in scanned.segments if part.negative] if syntax != "auto" else []
            self._look_up(
                scanned.literal, field, "exact", 1.0, found, negative=field.name == NEGATIVE, leave_out=negated
            )
        if scanned.negative.text:
            self._read(scanned.negative, field, "exact", 1.0, found, negative=True)
        hits = found.settle()
        if not hits and len(found.ages) == ages_before:
            return segment
        # Only now is it worth while to number tokens and phrases: most prompts hold nothing.
        folded, tokens = plain
        starts = [scanned.spaced.span(*folded.span(*span))[0] for span in tokens.spans]
        for hit in hits:
            if hit.strength < LEAST_STRENGTH:
                continue
            mark = Mark(hit.concept, bisect_right(starts, hit.start), segment + scanned.phrase(hit.start))
            found.marks.append(
                replace(mark, strength=hit.strength, negative=hit.negative, field=hit.field, view=hit.view)
            )
        for age in list(found.ages.values())[ages_before:]:
            if not age.cancelled:
                mark = Mark(AGE, bisect_right(starts, age.start), segment + scanned.phrase(age.start), age.years)
                found.marks.append(replace(mark, negative=age.negative, field=age.field, view=age.governs))
        return segment + scanned.phrase(len(field.text)) + 1

    def _may_hide(self, tokens: Tokens) -> bool:
        """Whether any word is part of a form at all; letters by themselves are not."""
        words = {word for word in tokens.words if len(word) > 1 or not word.isascii()}
        return not self._vocabulary.parts.isdisjoint(words)

    def _look_up(
        self,
        view: View,
        field: _Field,
        name: str,
        strength: float,
        found: _Found,
        *,
        negative: bool,
        leave_out: Sequence[Segment] = (),
    ) -> tuple[Folded, Tokens]:
        """Find the words that stand plainly in a view, but for parts of it."""
        folded = fold(view.text)
        tokens = tokenize(folded.text)
        for hit in self.lexicon.find(tokens, folded):
            start, end = view.span(hit.start, hit.end)
            if any(part.start < end and start < part.end for part in leave_out):
                continue
            found.keep(
                ConceptHit(
                    hit.concept,
                    hit.term,
                    start,
                    end,
                    name,
                    min(hit.strength, strength),
                    hit.language,
                    negative,
                    field.name,
                )
            )
        return folded, tokens

    def _read(
        self, view: View, field: _Field, name: str, strength: float, found: _Found, *, negative: bool = False
    ) -> tuple[Folded, Tokens]:
        """Find words, ages and disguises in a view."""
        negative = negative or field.name == NEGATIVE
        folded, tokens = self._look_up(view, field, name, strength, found, negative=negative)
        for age in find_ages(tokens, folded):
            start, end = view.span(age.start, age.end)
            placed = msgspec.structs.replace(age, start=start, end=end, negative=negative, field=field.name)
            found.ages.setdefault((field.name, start, end), placed)
        if SPECIMEN_TOKEN in tokens.words:
            found.specimen = True
        disguised, obfuscations, over_budget = readings(folded, tokens, self._vocabulary, view.text)
        found.obfuscations |= obfuscations
        found.over_budget = found.over_budget or over_budget
        for reading in disguised:
            start, end = view.span(*folded.span(reading.start, reading.end))
            for meaning in self.lexicon.lookup(reading.word):
                weakest = min(reading.strength, strength, meaning.strength)
                found.keep(
                    ConceptHit(
                        meaning.concept,
                        meaning.term,
                        start,
                        end,
                        reading.view,
                        weakest,
                        meaning.language,
                        negative,
                        field.name,
                    )
                )
        return folded, tokens

    def _unscreened(self, answer: Answer, reason: Reason) -> PromptVerdict:
        return PromptVerdict(
            verdict=answer, reasons=(reason,), packs_digest=self.lexicon.digest, rules_digest=self.rules.digest
        )


@contextmanager
def _collection_paused() -> Iterator[None]:
    """No garbage collection: what is loaded are a hundred thousand small objects that all stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _fields_of(graph: PromptGraph, negative: str) -> list[_Field]:
    """The fields of a workflow."""
    fields = [_Field(PROMPT, graph.positive_text), _Field(NEGATIVE, f"{graph.negative_text}\n{negative}".strip())]
    return [*fields, *(_Field(NAME, model.name) for model in graph.models)]


def _governed(marks: list[Mark]) -> list[Mark]:
    """Rename ambiguous words beside which an adult noun or age says whose they are."""
    adults = [
        mark
        for mark in marks
        if not mark.negative
        and (mark.concept == _ADULT or (mark.concept == AGE and mark.value >= ADULT_AGE and mark.view == _PERSON))
    ]
    if not adults:
        return marks
    return [
        replace(mark, concept=_GOVERNED) if mark.concept == _AMBIGUOUS and _beside(mark, adults) else mark
        for mark in marks
    ]


def _beside(mark: Mark, adults: list[Mark]) -> bool:
    return any(adult.segment == mark.segment and abs(adult.token - mark.token) <= _GOVERNS_WITHIN for adult in adults)
