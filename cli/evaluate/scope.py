"""Which questions a run asks, as whom, and what it may show with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from app.errors import OptionInvalid
from app.settings import Settings
from cli.evaluate.options import EvaluateOptions
from evaluation.cultural_map import MAP_ITEMS
from evaluation.splits import QuestionSplit, hide_together, hold_out, leave_one_out
from retrieval.index import QuestionIndex
from retrieval.likeness import find_alike
from survey_data.importers.globalopinionqa import VALUES_SURVEYS
from survey_data.library import SurveyLibrary
from survey_data.model import Pack
from survey_data.split import read_split

# By a culture to other questions of the pack, so that exemplars relate to what is asked.
MIN_OTHER_ANSWERS = 25


def select_questions(pack: Pack, options: EvaluateOptions) -> tuple[str, ...]:
    """Return the keys of the questions to ask, before a share of them is drawn.

    Raises:
        OptionInvalid: no question of the pack is held out or of the cultural map, or fewer than
            two are left.
    """
    keys = [question.key for question in pack.questions]
    if options.map_items_only:
        keys = [key for key in keys if key in MAP_ITEMS]
        if not keys:
            found = f"with --pack {pack.manifest.id}"
            raise OptionInvalid("--cultural-map", found, "the pack wvs7, which has the map's items")
    if options.is_held_out_only:
        apart = read_split().questions
        keys = [key for key in keys if key in apart]
        if not keys:
            raise OptionInvalid("--held-out", pack.manifest.id, "a pack with held-out questions")
    keys = keys[:: options.every][: options.n_questions]
    if len(keys) < 2 and options.every > 1:
        expected = "a number that leaves 2 questions or more"
        raise OptionInvalid("--every", str(options.every), expected)
    if len(keys) < 2:
        raise OptionInvalid("--questions", str(len(keys)), "2 or more, so that there are intervals")
    return tuple(keys)


def select_cultures(
    library: SurveyLibrary, pack: Pack, options: EvaluateOptions, *, asked: Collection[str]
) -> tuple[str, ...]:
    """Return the cultures to ask `asked` as, sorted.

    For a pack that asked each country only a few questions, `--any-culture` leaves out cultures
    with fewer than `MIN_OTHER_ANSWERS` other answers, unless they are named: what they would be
    shown would hardly relate to the question.

    Raises:
        OptionInvalid: a culture is not in the pack or not held out, or none is left.
    """
    apart = read_split().cultures
    if options.any_culture and not options.is_held_out_only:
        raise OptionInvalid("--any-culture", "without --held-out", "both, or neither")
    is_apart_only = options.is_held_out_only and not options.any_culture
    if options.cultures:
        codes = resolve_codes(library, pack, options.cultures, option="--culture")
        if is_apart_only and not apart.issuperset(codes):
            trained = ", ".join(sorted(set(codes) - apart))
            expected = f"some of {', '.join(sorted(apart))}, or --any-culture"
            raise OptionInvalid("--culture", f"{trained} with --held-out", expected)
        return codes
    if options.any_culture:
        codes = tuple(c for c in pack.cultures if _has_evidence(library, pack, c, asked=asked))
    else:
        codes = tuple(c for c in pack.cultures if c in apart or not is_apart_only)
    if not codes:
        raise OptionInvalid("--held-out", pack.manifest.id, "a pack with cultures to ask as")
    return codes


def resolve_codes(
    library: SurveyLibrary, pack: Pack, given: Sequence[str], *, option: str
) -> tuple[str, ...]:
    """Return the codes of cultures named by code or name, sorted.

    Raises:
        CultureUnknown: there is no such culture.
        OptionInvalid: the pack did not survey it.
    """
    codes = [library.catalogue.resolve(text).code for text in given]
    for text, code in zip(given, codes, strict=True):
        if code not in pack.cultures:
            raise OptionInvalid(option, text, f"one of {', '.join(pack.cultures)}")
    return tuple(sorted(set(codes)))


def select_exemplar_packs(
    library: SurveyLibrary, pack: Pack, options: EvaluateOptions
) -> tuple[Pack, ...]:
    """Return the packs that exemplars may come from, the asked one first."""
    if not options.any_pack:
        return (pack,)
    return (pack, *(other for other in library.packs if other is not pack))


def split_questions(
    settings: Settings,
    options: EvaluateOptions,
    library: SurveyLibrary,
    *,
    pack: Pack,
    asked: Sequence[str],
    index: QuestionIndex,
) -> QuestionSplit:
    """Return what is asked; other packs are not shown, unless exemplars may come from any.

    Raises:
        OptionInvalid: the share to ask is not between 0 and 1.
    """
    if options.test_share is not None and not 0.0 < options.test_share < 1.0:
        found = f"{options.test_share:g}"
        raise OptionInvalid("--test-share", found, "a share within 0 and 1, both excluded")
    alike = find_alike(library.questions, index, threshold=settings.answer.same_question)
    if options.split is not None:
        split = hide_together(asked, alike, options.split, questions=library.questions)
    elif options.test_share is None:
        split = leave_one_out(asked, alike)
    else:
        split = hold_out(asked, alike, share=options.test_share)
    usable = {
        question.key
        for shown in select_exemplar_packs(library, pack, options)
        for question in shown.questions
    }
    return replace(split, unused=frozenset(library.questions.keys() - usable))


def find_unlike_training(
    settings: Settings, library: SurveyLibrary, asked: Sequence[str], *, index: QuestionIndex
) -> tuple[str, ...]:
    """Return the held-out questions that count as the same as none in training.

    GlobalOpinionQA's items of the values surveys are left out too: most are also in `wvs7`, in
    Milieu's own words, which no cosine recognises.
    """
    apart = read_split().questions
    alike = find_alike(library.questions, index, threshold=settings.answer.same_question)
    return tuple(
        key
        for key in asked
        if alike[key] <= apart and library.questions[key].topic != VALUES_SURVEYS
    )


def _has_evidence(
    library: SurveyLibrary, pack: Pack, culture: str, *, asked: Collection[str]
) -> bool:
    answers = [
        question.key in asked
        for question in pack.questions
        if library.distribution(question.key, culture) is not None
    ]
    return any(answers) and answers.count(False) >= MIN_OTHER_ANSWERS
