"""From the answers of a finished run to its figures and report, without a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from app.state.model_maps import save_map
from cli.evaluate.adapters import describe_left_out
from cli.evaluate.model_map import make_map
from cli.evaluate.plan import hash_pack
from evaluation.decoding import ReadingRules
from evaluation.errors import BaselineInvalid, RunFolderInvalid
from evaluation.figures import Figures
from evaluation.report.compose import write_report
from evaluation.run_folder import RunFolder
from evaluation.run_spec import RunSpec
from evaluation.scoring import RunFacts, score_run
from files.whole import write_text
from survey_data.library import SurveyLibrary

FIGURES, MAP = "figures.json", "map.json"


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation: where it is and what it found."""

    folder: Path
    figures: Figures


def score_folder(folder: Path, library: SurveyLibrary) -> Evaluation:
    """Compute figures and report of a finished run from its answers, without a model.

    Raises:
        RunFolderInvalid: the folder holds no run, or the loaded pack is not the one that was asked.
        AnswersMissing: the run was not finished.
    """
    with RunFolder.open_finished(folder) as results:
        spec = _read_spec(results)
        pack = library.pack(spec.pack)
        if hash_pack(pack) != spec.packs[spec.pack]:
            raise RunFolderInvalid(
                folder,
                f"a run on another version of the pack '{spec.pack}'",
                "the questions and figures that were asked",
            )
        about = RunFacts(
            respondent=spec.respondent,
            pack=spec.pack,
            compared=spec.compared,
            pack_title=pack.manifest.title,
            created=results.created,
            settings=spec.describe(),
            notes=describe_left_out(spec.adapter_sets),
        )
        figures = score_run(
            spec.plan(library, {}),
            results.read_answers(),
            sections=spec.sections,
            about=about,
            rules=ReadingRules(spec.decoding.read_by, spec.min_label_mass),
        )
        write_text(folder / FIGURES, figures.model_dump_json(indent=2) + "\n")
        if (of := make_map(spec, figures)) is not None:
            save_map(folder / MAP, of)
        write_report(figures, folder)
    return Evaluation(folder, figures)


def _read_spec(results: RunFolder) -> RunSpec:
    try:
        return RunSpec.model_validate(results.settings)
    except ValidationError as exc:
        fault = exc.errors(include_url=False)[0]["msg"]
        found, expected = f"another form of run.json ({fault})", "that of this version"
        raise RunFolderInvalid(results.path, found, expected) from exc


def read_figures(file: Path) -> Figures:
    """Return the figures of an earlier run.

    Raises:
        BaselineInvalid: the file is missing or holds no figures.
    """
    try:
        return Figures.model_validate_json(file.read_bytes())
    except OSError as exc:
        raise BaselineInvalid(f"{file} cannot be read ({exc.strerror})") from exc
    except ValidationError as exc:
        fault = exc.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise BaselineInvalid(f"{file} holds no figures ({where}: {fault['msg']})") from exc
