"""`fit_calibration`: a calibration table from cases of known cause or from people's reviews."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from post_mortem.core.calibration_table import Table, checked_date, table_as_json
from post_mortem.core.strict_json import json_object
from post_mortem.management.case_files import cases_in, count_lines, text_of, write_whole
from post_mortem.management.desks import desk_named
from post_mortem.services.calibrations import Provenance, fit_from_cases, fit_from_reviews
from trading.core.errors import UserError
from trading.management.base import InquestCommand, Summary


class Command(InquestCommand):
    help = "Fit a calibration table; it changes nothing until adopt_calibration takes it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("--cases", type=Path, help="cases of known cause (.jsonl, .gz)")
        source.add_argument(
            "--reviews", action="store_true", help="causes that people confirmed or rejected"
        )
        parser.add_argument("--truths", type=Path, help='JSON object {"case id": "cause"}')
        parser.add_argument("--desk", help="reviews of this desk only (its name or id)")
        parser.add_argument("--name", required=True, help="what the table is called (its version)")
        parser.add_argument("--date", required=True, help="the day it is dated, like 2026-03-01")
        parser.add_argument("--split", default="all", help="seeds or split of the cases, in words")
        parser.add_argument("--output", type=Path, help="write the table here")
        parser.add_argument("--dry-run", action="store_true", help="fit and measure, write nothing")

    def run(self, **options: Any) -> Summary:
        output: Path | None = options["output"]
        if output is None and not options["dry_run"]:
            raise UserError("output", "name a file with --output, or use --dry-run", field="output")
        checked_date(options["date"], "date")
        table = self._from_reviews(options) if options["reviews"] else self._from_cases(options)
        if output is not None and not options["dry_run"]:
            write_whole(output, [json.dumps(table_as_json(table), indent=2, allow_nan=False)])
        return _summary(table) | {
            "dry_run": options["dry_run"],
            "output": None if options["dry_run"] else str(output),
        }

    def _from_cases(self, options: dict[str, Any]) -> Table:
        path, truths = options["cases"], options["truths"]
        if truths is None or options["desk"]:
            raise UserError("truths", "--cases needs --truths and no --desk", field="truths")
        with self.progress(2 * count_lines(path), "cases") as bar:
            return fit_from_cases(
                cases=_rereadable(path),
                truths=json_object(text_of(truths)),
                about=_provenance(options, path.name),
                progress=bar.advance,
            )

    def _from_reviews(self, options: dict[str, Any]) -> Table:
        if options["truths"]:
            raise UserError("truths", "--reviews takes no --truths", field="truths")
        desk = desk_named(options["desk"]) if options["desk"] else None
        about = _provenance(options, f"reviews of {desk.name if desk else 'all desks'}")
        with self.progress(1, "reviews") as bar:
            table = fit_from_reviews(desk=desk, about=about)
            bar.advance()
        return table

    def lines(self, summary: Summary) -> Iterable[str]:
        counts: Any = summary["counts"]
        yield f"{summary['version']} ({summary['sha256'][:12]}): {summary['cases']:,} cases"  # type: ignore[index]
        for cause, n in counts.items():
            yield f"  {cause}: fitted on {n:,}"
        kept: Any = summary["kept"]
        if kept:
            yield f"  kept as they were, too few cases: {', '.join(kept)}"
        for when in ("before", "after"):
            figures: Any = summary[when]
            yield f"{when}: " + ", ".join(
                f"{name} {value}" for name, value in figures.items() if value is not None
            )
        yield f"written to {summary['output']}" if summary["output"] else "nothing written"


def _provenance(options: dict[str, Any], name: str) -> Provenance:
    return Provenance(options["name"], name, options["split"], options["date"])


def _rereadable(path: Path) -> Callable[[], Iterator[dict[str, object]]]:
    return lambda: (case for _, case in cases_in(path))


def _summary(table: Table) -> dict[str, object]:
    written = table_as_json(table)
    counts = dict(table.fitted_on.counts)
    return {
        "version": table.version,
        "sha256": table.sha256,
        "cases": table.fitted_on.cases,
        "counts": counts,
        "kept": [cause for cause in written["curves"] if cause not in counts],
        "before": written["figures"]["before"],
        "after": written["figures"]["after"],
    }
