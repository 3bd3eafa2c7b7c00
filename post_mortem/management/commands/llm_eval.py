"""`llm_eval`: ask models about golden cases and grade their answers, side by side."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Mapping, Sequence
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
    help = "Ask models about golden cases and grade what they write. It costs what calls cost."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--model",
            action="append",
            required=True,
            help="its name at the provider; once more for each model to compare",
        )
        parser.add_argument("--runs", type=_runs, default=3, help="times each case; default 3")
        parser.add_argument(
            "--cases", type=Path, default=CASES, help="folder of other cases than ours"
        )

    def run(self, **options: Any) -> Summary:
        models = _models(options["model"])
        cases = load_cases(options["cases"])
        found = []
        with self.progress(len(cases) * options["runs"] * len(models), "answers") as bar:
            for model in models:
                evaluated = evaluate(
                    model=model,
                    cases=cases,
                    runs=options["runs"],
                    now=timezone.now(),
                    progress=bar.advance,
                )
                found.append(evaluated.as_dict())
        return found[0] if len(found) == 1 else {"models": found}

    def kept(self) -> str:
        return "Nothing was graded; what was asked until then is paid for."

    def exit_status(self, summary: Summary) -> int:
        return 1 if any(one["failed_gates"] for one in _every(summary)) else 0

    def lines(self, summary: Summary) -> Iterable[str]:
        every = _every(summary)
        if len(every) == 1:
            return _one(every[0])
        return _side_by_side(every)


def _models(given: Sequence[str]) -> list[str]:
    names = [name.strip() for name in given]
    if not all(names):
        raise UserError("model", "A model has a name.", field="model")
    if len(set(names)) < len(names):
        raise UserError("model", "A model is compared with others, not with itself.", field="model")
    return names


def _every(summary: Summary) -> list[Mapping[str, Any]]:
    models: Any = summary.get("models", [summary])
    return list(models)


def _one(summary: Mapping[str, Any]) -> Iterable[str]:
    yield f"{summary['model']}: {summary['cases']} cases, {summary['runs']} times each"
    for name, words in _SAYS.items():
        yield f"  {_shown(summary[name]):>8}  {words}{_gate(name, summary)}"
    yield (
        f"{summary['tokens_in']:,} tokens in, {summary['tokens_out']:,} out, "
        f"{summary['requests']:,} requests, cost {_money(summary)}"
    )
    if summary["ms_p50"] is not None:
        yield f"{summary['ms_p50']:,} ms an answer, {summary['ms_p95']:,} ms at the 95th of 100"
    yield from (f"  {line}" for line in summary["poor"])


def _side_by_side(every: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """A column a model; ! where a gate is failed."""
    yield f"{every[0]['cases']} cases, {every[0]['runs']} times each; ! fails its gate"
    yield _row([one["model"] for one in every], "")
    for name, words in _SAYS.items():
        marks = ["!" if name in one["failed_gates"] else " " for one in every]
        shown = [_shown(one[name]) + mark for one, mark in zip(every, marks, strict=True)]
        yield _row(shown, words + (" ({} {})".format(*_limit(name)) if name in GATES else ""))
    for name, words in _SPENT.items():
        yield _row([_counted(one[name]) for one in every], words)
    yield _row([_money(one) for one in every], "cost, by the same LLM_PRICES")


_SPENT = {
    "requests": "requests",
    "tokens_in": "tokens in",
    "tokens_out": "tokens out",
    "ms_p50": "ms an answer",
    "ms_p95": "ms at the 95th of 100",
}
_COLUMN = 22


def _row(cells: Iterable[str], words: str) -> str:
    return f"{''.join(f'{cell[-_COLUMN + 2 :]:>{_COLUMN}}' for cell in cells)}  {words}".rstrip()


def _counted(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _money(summary: Mapping[str, Any]) -> str:
    cost = summary["cost"]
    return "unknown (LLM_PRICES)" if cost is None else f"{cost:.4f} USD"


def _limit(name: str) -> tuple[str, str]:
    side, limit = GATES[name]
    return side, _shown(limit)


def _gate(name: str, summary: Mapping[str, Any]) -> str:
    if name not in GATES:
        return ""
    side, limit = _limit(name)
    return f" ({'FAILED: ' if name in summary['failed_gates'] else ''}{side} {limit})"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{100 * value:.1f} %"


def _runs(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= _MOST_RUNS:
        raise ArgumentTypeError(f"{text!a} is not a number from 1 to {_MOST_RUNS}")
    return int(text)
