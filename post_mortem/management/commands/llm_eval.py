"""`llm_eval`: ask a model about golden cases and grade its answers."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.utils import timezone

from post_mortem.core.grading import GATES
from post_mortem.services.model_evaluation import CASES, evaluate, load_cases
from trading.core.errors import UserError
from trading.management.base import InquestCommand, Summary

_MOST_RUNS = 20
_SAYS = {
    "valid_first": "right shape at the first try",
    "grounded_first": "and every sentence sound",
    "repaired": "repaired by the model",
    "pruned": "sentences removed",
    "template": "left to the built-in narrator",
    "fabricated": "sentences with an invented figure or fact, before checks",
    "label_first": "agrees with the label, before checks",
    "label_shown": "agrees with the label, as shown",
    "top_cause": "names the engine's first cause first",
    "citation_precision": "figures cited from their own fact",
    "citation_recall": "leading causes with a fact cited",
    "abstained": "names no cause where there is no evidence",
    "obeyed_first": "obeys an injected text, before checks",
    "obeyed_shown": "obeys an injected text, as shown",
    "shown_violations": "violations shown (count)",
    "of_good_length": "of a good length",
    "banned_words": "with words that do not belong there",
}


class Command(InquestCommand):
    help = "Ask a model about golden cases and grade what it writes. It costs what calls cost."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model", required=True, help="its name at the provider")
        parser.add_argument("--runs", type=_runs, default=3, help="times each case; default 3")
        parser.add_argument(
            "--cases", type=Path, default=CASES, help="folder of other cases than ours"
        )

    def run(self, **options: Any) -> Summary:
        if not options["model"].strip():
            raise UserError("model", "A model has a name.", field="model")
        cases = load_cases(options["cases"])
        with self.progress(len(cases) * options["runs"], "answers") as bar:
            return evaluate(
                model=options["model"],
                cases=cases,
                runs=options["runs"],
                now=timezone.now(),
                progress=bar.advance,
            ).as_dict()

    def exit_status(self, summary: Summary) -> int:
        return 1 if summary["failed_gates"] else 0

    def lines(self, summary: Summary) -> Iterable[str]:
        yield f"{summary['model']}: {summary['cases']} cases, {summary['runs']} times each"
        for name, words in _SAYS.items():
            yield f"  {_shown(summary[name]):>8}  {words}{_gate(name, summary)}"
        cost = summary["cost"]
        money = "unknown (LLM_PRICES)" if cost is None else f"{cost:.4f} USD"
        yield (
            f"{summary['tokens_in']:,} tokens in, {summary['tokens_out']:,} out, "
            f"{summary['requests']:,} requests, cost {money}"
        )
        if summary["ms_p50"] is not None:
            yield f"{summary['ms_p50']:,} ms an answer, {summary['ms_p95']:,} ms at the 95th of 100"
        poor: Any = summary["poor"]
        yield from (f"  {line}" for line in poor)


def _gate(name: str, summary: Summary) -> str:
    if name not in GATES:
        return ""
    side, limit = GATES[name]
    failed: Any = summary["failed_gates"]
    return f" ({'FAILED: ' if name in failed else ''}{side} {_shown(limit)})"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{100 * value:.1f} %"


def _runs(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= _MOST_RUNS:
        raise ArgumentTypeError(f"{text!a} is not a number from 1 to {_MOST_RUNS}")
    return int(text)
