"""`diagnose`: labels and causes for portable cases, without a database."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from post_mortem.core.calibration_table import read_table
from post_mortem.core.diagnose import diagnose_case
from post_mortem.management.case_files import (
    AnsweringCommand,
    cases_in,
    count_lines,
    refuse,
    text_of,
)
from trading.core.errors import UserError
from trading.management.base import Summary


class Command(AnsweringCommand):
    help = "Label portable cases and rank the causes of their losses; needs no database."
    # They would load every page and every model of the API to answer a file.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="cases, one JSON object a line (.jsonl, .gz)")
        parser.add_argument("--output", type=Path, help="write the answers here, one a line")
        parser.add_argument(
            "--calibration",
            type=Path,
            help="a table of fit_calibration instead of each case's own or the shipped one",
        )

    def run(self, **options: Any) -> Summary:
        """Answer every case or none: a bad line stops the run before anything is written."""
        path: Path = options["file"]
        table = options["calibration"]
        calibration = None if table is None else read_table(text_of(table)).calibration
        answers: list[dict[str, Any]] = []
        with self.progress(count_lines(path), "cases") as progress:
            for number, case in cases_in(path):
                try:
                    answers.append(diagnose_case(case, calibration))
                except UserError as error:
                    refuse(path, number, error)
                progress.advance()
        outcomes = Counter(answer["label"]["outcome"] for answer in answers)
        first = Counter(answer["causes"][0]["cause"] for answer in answers if answer["causes"])
        counts: Summary = {
            "cases": len(answers),
            "outcomes": dict(sorted(outcomes.items())),
            "first_causes": dict(sorted(first.items())),
        }
        return self.given(answers, options["output"], counts)
