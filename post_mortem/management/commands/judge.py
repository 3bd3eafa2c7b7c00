"""`judge`: impact verdicts for portable histories, without a database."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from post_mortem.core.portable_history import judge_history, judge_together, parse_history
from post_mortem.management.case_files import cases_in, count_lines, dumped, refuse, write_whole
from trading.core.errors import UserError
from trading.management.base import InquestCommand, Summary


class Command(InquestCommand):
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
        summary: dict[str, object] = {
            "histories": len(answers),
            "verdicts": dict(sorted(verdicts.items())),
        }
        if options["output"] is None:
            return summary | {"answers": answers}
        write_whole(options["output"], map(dumped, answers))
        return summary | {"output": str(options["output"])}

    def lines(self, summary: Summary) -> Iterable[str]:
        """The answers themselves where no file takes them, else what was done."""
        if "answers" in summary:
            return map(dumped, summary["answers"])  # type: ignore[call-overload]
        return super().lines(summary)
