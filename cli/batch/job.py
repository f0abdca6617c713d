"""What `milieu batch` does: ask for what is missing, keep it, and write the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from app.api.batch import PATH
from app.api.faults import describe_faults
from app.api.problems import present_problem
from app.api.reading_batch import JSON, Ask, Batch, read_batch
from app.api.schemas.answer import RecipeFields
from app.api.schemas.batch import BatchLine
from app.errors import FileRefused, OptionInvalid
from app.request_errors import CsvInvalid
from app.settings import BatchSettings, read_settings
from cli.batch.command import BatchOptions
from cli.batch.on_ray import answer_on_ray, check_ray
from cli.batch.replies import ReplyJournal, digest_body
from cli.batch.table import check_table, write_table
from cli.console import notes, out
from cli.progress import PacedBar
from cli.service_connection import connect
from reports.csv_rows import CSV
from reports.terminal import print_line

REFUSED = 1
# As a shell reports a command that Ctrl-C ended.
ENDED = 130
# A service that failed may answer another time.
FAILED = 500
# Bodies in one request: few enough for the limits of any service.
N_AT_ONCE = 500
N_SHOWN = 3
# The service has limits of its own, and no request has all of them.
UNLIMITED = BatchSettings(max_rows=10**9, max_answers=10**9)


def ask_batch(
    file: Path,
    options: BatchOptions,
    *,
    out_file: Path,
    journal: Path | None,
    url: str | None,
    on_ray: bool = False,
) -> int:
    """Ask what `file` holds, write the table, and return the exit status."""
    check_table(out_file)
    if on_ray:
        check_ray(url=url)
    asks = list(_read(file, options).asks())
    kept_in = journal or out_file.with_name(f"{out_file.name}.journal")
    with ReplyJournal(kept_in) as replies:
        try:
            failed = _ask_missing(asks, replies, url=url, on_ray=on_ray)
        except KeyboardInterrupt:
            return ENDED
        report = _Report()
        write_table(out_file, report.count(_list_lines(asks, replies, failed)))
    report.show(out_file, n_failed=len(failed))
    return REFUSED if report.refused else 0


def _read(file: Path, options: BatchOptions) -> Batch:
    """Return the batch in a file, its recipes laid under those of the options."""
    form = JSON if file.suffix == ".json" else CSV
    try:
        found = read_batch(
            file.read_bytes(), form, cultures=options.cultures, methods=(), limits=UNLIMITED
        )
    except ValidationError as exc:
        faults = describe_faults(exc.errors())
        raise FileRefused(file, found=faults.detail, expected="a body of /v1/batch") from exc
    except CsvInvalid as exc:
        raise FileRefused(file, found=exc.found, expected=exc.expected) from exc
    ways = _read_options(options)
    recipes = tuple({**recipe, **way} for recipe in found.recipes for way in ways)
    return Batch(found.rows, found.cultures, recipes)


def _read_options(options: BatchOptions) -> list[dict[str, Any]]:
    fields = {
        name: value
        for name, value in asdict(options).items()
        if name in RecipeFields.model_fields and value is not None and value is not False
    }
    ways = [{"method": method, **fields} for method in options.methods] or [fields]
    for way in ways:
        try:
            RecipeFields.model_validate(way)
        except ValidationError as exc:
            fault = describe_faults(exc.errors()).faults[0]
            option = "--" + str(fault["where"]).replace("_", "-")
            raise OptionInvalid(option, fault["found"], fault["expected"]) from exc
    return ways


def _ask_missing(
    asks: Sequence[Ask], replies: ReplyJournal, *, url: str | None, on_ray: bool
) -> Mapping[str, BatchLine]:
    """Ask for the replies that are not kept, and keep them; return those that failed."""
    bodies = (ask.body for ask in asks if not isinstance(ask.body, Exception))
    by_digest = {digest_body(dict(body)): body for body in bodies}
    missing = {digest: body for digest, body in by_digest.items() if digest not in replies}
    failed: dict[str, BatchLine] = {}
    if not missing:
        return failed
    with BatchBar(notes) as bar:
        bar.begin_asking(len(missing), n_kept=len(by_digest) - len(missing))
        coming = answer_on_ray(missing) if on_ray else _answer_by_service(missing, url=url)
        for digest, line in coming:
            if line.problem is not None and line.problem.status >= FAILED:
                failed[digest] = line
            else:
                replies.add(digest, line)
            bar.count_one()
    return failed


def _answer_by_service(
    missing: Mapping[str, Mapping[str, Any]], *, url: str | None
) -> Iterator[tuple[str, BatchLine]]:
    """Yield the digest of each body and what a running service says, as the answers come."""
    with connect(read_settings(), url=url) as milieu:
        coming = iter(missing.items())
        while asked := list(islice(coming, N_AT_ONCE)):
            for result in milieu.batch([dict(body) for _, body in asked]):
                line = BatchLine.model_validate(result.model_dump(mode="json"))
                yield asked[line.index][0], line


def _list_lines(
    asks: Sequence[Ask], replies: ReplyJournal, failed: Mapping[str, BatchLine]
) -> Iterator[BatchLine]:
    """Yield what came of each, in the order in which they were asked for."""
    for ask in asks:
        place = {"index": ask.index, "row": ask.row, "recipe": ask.recipe, "culture": ask.culture}
        if isinstance(ask.body, Exception):
            yield BatchLine(**place, problem=present_problem(ask.body, PATH))
            continue
        digest = digest_body(dict(ask.body))
        found = failed[digest] if digest in failed else replies.read(digest)
        yield found.model_copy(update=place)


class _Report:
    """Counts lines while they are written, and says what came of them."""

    def __init__(self) -> None:
        self._n_answered = 0
        self.refused: Counter[str] = Counter()

    def count(self, lines: Iterator[BatchLine]) -> Iterator[BatchLine]:
        for line in lines:
            if line.problem is None:
                self._n_answered += 1
            else:
                self.refused[line.problem.detail] += 1
            yield line

    def show(self, file: Path, *, n_failed: int) -> None:
        n_refused = self.refused.total()
        print_line(out, f"{file}: {self._n_answered} answered, {n_refused} refused")
        for detail, n in self.refused.most_common(N_SHOWN):
            print_line(notes, f"{n} x {detail}")
        if len(self.refused) > N_SHOWN:
            print_line(notes, f"and {len(self.refused) - N_SHOWN} more reasons, in the table")
        if n_failed:
            print_line(notes, f"The service failed at {n_failed}: run the command again for these.")


class BatchBar(PacedBar):
    """Shows the progress of a batch."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, things="answers")
        self._n_done = 0

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if error[0] is not None and self._n_done:
            self._console.print("The replies so far are kept; run the same command to go on.")

    def begin_asking(self, n_missing: int, *, n_kept: int) -> None:
        kept = f"; {n_kept} kept from before" if n_kept else ""
        self.begin(n_missing, f"{n_missing} answers to get{kept}")

    def count_one(self) -> None:
        self._n_done += 1
        self.show(self._n_done, n_sent=self._n_done, sent="answers")
