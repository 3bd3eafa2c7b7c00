"""`judge`: impact verdicts for portable histories, without a database."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from post_mortem.core.portable_history import judge_history, judge_together, parse_history
from post_mortem.management.case_files import AnsweringCommand, cases_in, count_lines, refuse
from trading.core.errors import UserError
from trading.management.base import Summary


class Command(AnsweringCommand):
    help = "Say whether changes helped, from portable histories of trades; needs no database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", type=Path, help="histories, one JSON object a line (.jsonl, .gz)"
        )
        parser.add_argument(
            "--together",
            action="store_true",
            help="they are one account's: hold verdicts to how many were tested",
        )
        parser.add_argument("--output", type=Path, help="write the answers here, one a line")

    def run(self, **options: Any) -> Summary:
        """Answer every history or none: a bad line stops the run before anything is written."""
        path: Path = options["file"]
        together: bool = options["together"]
        answers: list[dict[str, Any]] = []
        parsed = []
        with self.progress(count_lines(path), "histories") as progress:
            for number, history in cases_in(path):
                try:
                    if together:
                        parsed.append(parse_history(history))
                    else:
                        answers.append(judge_history(history))
                except UserError as error:
                    refuse(path, number, error)
                progress.advance()
        if together:
            answers = judge_together(parsed)
        verdicts = Counter(answer["verdict"] for answer in answers)
        counts: Summary = {
            "histories": len(answers),
            "verdicts": dict(sorted(verdicts.items())),
        }
        return self.given(answers, options["output"], counts)
