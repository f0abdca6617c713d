"""The parts of a run of CultureSPA, and which options it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from adapters.culturespa.recipe import TrainingBase
from adapters.culturespa.settings import Mode
from adapters.manifest import is_name
from app.errors import OptionInvalid
from app.model_files import prepare_model_files
from app.settings import Settings
from cli.culturespa.options import RunOptions
from cli.culturespa.training import check_base, check_installed

# The longest is '-joint-12-5-percent-control'.
MAX_PREFIX_CHARS = 32


class Variant(NamedTuple):
    """One training of a run: on which share of the examples, or on its control, in which mode."""

    ratio: float
    mode: Mode
    is_control: bool

    @property
    def suffix(self) -> str:
        """What sets its folders and names apart; empty for all of the examples."""
        share = "" if self.ratio == 1.0 else f"-{100.0 * self.ratio:g}-percent".replace(".", "-")
        return share + ("-control" if self.is_control else "")

    @property
    def label(self) -> str:
        """What its adapters are together."""
        return f"{self.mode}{self.suffix}"

    @property
    def folder(self) -> str:
        """Its folder in the run's."""
        return f"5-train-{self.label}"


def list_variants(options: RunOptions) -> Iterator[Variant]:
    """Yield the trainings of a run."""
    for ratio in dict.fromkeys(options.ratios):
        for mode in options.mode.modes:
            for is_control in (False, True) if options.control else (False,):
                yield Variant(ratio, mode, is_control)


def choose_base(settings: Settings, options: RunOptions) -> TrainingBase:
    """Return the model to train: the one that is named, or that of the settings.

    Raises:
        OptionInvalid: its folder or its name is not known.
    """
    folder, name = options.base_folder, options.base_name
    if folder is None and settings.vllm.urls and settings.vllm.model_path is None:
        expected = f"the folder of '{settings.model}', which the servers of the settings have"
        raise OptionInvalid("--base", "nothing", expected)
    if folder is not None and name is None and not settings.vllm.model:
        raise OptionInvalid("--base-name", "nothing", "the name that --base is served by")
    folder = folder or prepare_model_files(settings).folder
    assert folder is not None, "it is the embedded model, or the settings name it"
    return TrainingBase(folder, name or settings.model)


def check_options(settings: Settings, options: RunOptions, base: TrainingBase) -> None:
    """Refuse a run that could not be completed.

    Raises:
        OptionInvalid: an option does not fit.
        TrainingUnavailable: a package is missing.
    """
    if options.questions is not None and options.from_survey:
        raise OptionInvalid("--questions", "also --from-survey", "one of the two")
    check_collect(options)
    if not is_name(options.name) or len(options.name) > MAX_PREFIX_CHARS:
        expected = f"1 to {MAX_PREFIX_CHARS} lower-case letters, digits and '-', no '-' first"
        raise OptionInvalid("--name", options.name, expected)
    limit = settings.vllm.max_lora_rank
    if options.adds and options.train.rank > limit:
        expected = f"{limit} at most (MILIEU_VLLM__MAX_LORA_RANK), or --no-add"
        raise OptionInvalid("--rank", str(options.train.rank), expected)
    check_base(base)
    check_installed()


def check_collect(options: RunOptions) -> None:
    """Refuse thresholds and shares of examples out of bounds.

    Raises:
        OptionInvalid: one is not within its bounds.
    """
    collect = options.collect
    if not 0.0 <= collect.min_total_variation <= 1.0:
        expected = "a number from 0 to 1"
        raise OptionInvalid("--min-total-variation", f"{collect.min_total_variation:g}", expected)
    if not 0.0 < collect.max_p_value <= 1.0:
        found, expected = f"{collect.max_p_value:g}", "a number above 0, and 1 at most"
        raise OptionInvalid("--max-p-value", found, expected)
    for ratio in options.ratios:
        if not 0.0 < ratio <= 1.0:
            raise OptionInvalid("--ratio", f"{ratio:g}", "a share above 0, and 1 at most")
