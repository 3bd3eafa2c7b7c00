"""Tables for people: on the terminal, and as Markdown for README."""

from __future__ import annotations

from typing import Any

from post_mortem.core.types import CAUSES

_HEAD = ("ac1", "ac3", "avg3", "macro_ac1", "ece", "brier", "precision_sure", "abstain_none")


def table(result: dict[str, Any]) -> str:
    """The figures of a run, a block a suite."""
    lines = [f"causes, {result['split']} split, {result['seconds']} s"]
    for name, suite in suites(result):
        lines += ["", f"{name}: {suite['cases']} cases", *_engines(suite), "", *_causes(suite)]
    for reason in ("learned_missing", "real_missing"):
        if result[reason]:
            lines += ["", f"{reason.removesuffix('_missing')}: not run, {result[reason]}"]
    return "\n".join(lines)


def suites(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    others = [(name, result.get(name)) for name in ("second", "real")]
    main = [("first", result)] if "cases" in result else []
    return [*main, *((name, found) for name, found in others if found)]


def _engines(suite: dict[str, Any]) -> list[str]:
    rows = [("ours", suite), ("naive", suite["naive"])]
    if suite["learned"]:
        rows.append(("learned", suite["learned"]))
    lines = ["  " + " " * 8 + "".join(f"{name:>15}" for name in _HEAD)]
    lines += [
        f"  {name:8}" + "".join(f"{_shown(figures[key]):>15}" for key in _HEAD)
        for name, figures in rows
    ]
    compound, other = suite["compound"], suite["irrelevant"]
    if suite["tells"] and suite["tells"]["found"] is not None:
        found = suite["tells"]
        lines.append(
            f"  nuisances name the cause of {_shown(found['accuracy'])} (chance "
            f"{_shown(found['chance'])}, limit {_shown(found['limit'])}): "
            f"{'A TELL, ' + found['tells_most'] if found['found'] else 'no tell'}"
        )
    lines.append(f"  without the decisive feed unknown first: {_shown(suite['abstain_missing'])}")
    lines.append(f"  drop of AC@1 without an irrelevant feed: {_shown(other['drop'])}")
    if compound["cases"]:
        lines.append(
            f"  two causes: dearest first {_shown(compound['ac1'])}, either "
            f"{_shown(compound['either_first'])}, both in three {_shown(compound['both_in_three'])}"
        )
    return lines


def _causes(suite: dict[str, Any]) -> list[str]:
    lines = [f"  {'cause':18}{'recall':>8}{'precision':>11}  taken for"]
    for cause in CAUSES:
        others = suite["confusion"].get(cause, {})
        wrong = sorted(((n, other) for other, n in others.items() if other != cause), reverse=True)
        taken = ", ".join(f"{other} {n}" for n, other in wrong[:4])
        recall, precision = suite["recall"].get(cause), suite["precision"].get(cause)
        lines.append(f"  {cause:18}{_shown(recall):>8}{_shown(precision):>11}  {taken}")
    return lines


def markdown(result: dict[str, Any]) -> str:
    """The table of README."""
    lines = [
        "| suite | cases | AC@1 | AC@3 | macro AC@1 | ECE | precision from .60 "
        "| decisive feed missing | nothing wrong | naive AC@1 | naive ECE | learned AC@1 |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, suite in suites(result):
        learned = suite["learned"]["ac1"] if suite["learned"] else None
        cells = [
            *(suite["ac1"], suite["ac3"], suite["macro_ac1"], suite["ece"]),
            *(suite["precision_sure"], suite["abstain_missing"], suite["abstain_none"]),
            *(suite["naive"]["ac1"], suite["naive"]["ece"], learned),
        ]
        shown = " | ".join(_shown(cell) for cell in cells)
        lines.append(f"| {name} | {suite['cases']} | {shown} |")
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".replace("0.", ".", 1)
