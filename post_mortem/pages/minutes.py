"""Minutes in words: the first sentence, what came of decisions, and the whole sheet as Markdown.

Everything here reads the JSON of a sheet (`selectors.agenda.sheet_of`), so that an open meeting,
closed minutes and the exported file say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from post_mortem.core import display
from post_mortem.core.types import CAUSE_LABELS

from .formats import DASH, day, moment, plural, total_r

Sheet = Mapping[str, Any]

STEPS = (
    "Score", "Last action", "Patterns", "Leaks", "Proposals", "Decisions", "One action",
)  # fmt: skip
_UNITS: Mapping[str, str] = {"day": "day", "week": "week", "month": "month", "span": "period"}
_USUAL = {1: "one", 2: "two", 3: "three", 4: "four"}
KINDS: Mapping[str, str] = {
    "accept": "Accepted",
    "experiment": "Experiment",
    "ignore": "Ignored",
}
_STATUS: Mapping[str, str] = {
    "PENDING": "Pending again",
    "IMPLEMENTED": "Implemented, not measured yet",
    "IGNORED": "Ignored",
}
_VERDICTS: Mapping[str, str] = {
    "too_early": "Too early",
    "no_evidence_yet": "No evidence yet",
    "likely_helped": "Likely helped",
    "likely_hurt": "Likely hurt",
    "helped": "Helped · A/B",
    "hurt": "Hurt · A/B",
    "no_meaningful_effect": "No meaningful effect",
    "unresolvable": "This history cannot tell · start an A/B",
    "not_evidence": "Not evidence",
}


def unit_of_time(sheet: Sheet) -> str:
    return _UNITS[sheet["period"]["kind"]]


def days(sheet: Sheet) -> str:
    """'Mon 2 – Sun 8 Jun 2026', or one day."""
    first, last = (date.fromisoformat(sheet["period"][name]) for name in ("first", "last"))
    return between(first, last)


def between(first: date, last: date) -> str:
    if first == last:
        return _day(first)
    start = f"{first:%a} {first.day}"
    if (first.year, first.month) != (last.year, last.month):
        start = f"{start} {first:%b}{f' {first.year}' if first.year != last.year else ''}"
    return f"{start} {DASH} {_day(last)}"


def _day(value: date) -> str:
    return f"{value:%a} {value.day} {value:%b} {value.year}"


def sentence(sheet: Sheet) -> str:
    """'+2.1 R in 12 trades, 5 won. Prior week −0.8 R; four-week mean +1.1 R.'"""
    score, unit = sheet["agenda"]["score"], unit_of_time(sheet)
    now = score["now"]
    if not now["n"]:
        return f"No trade was closed in this {unit}.{_compared(score, unit)}"
    if now["total_r"] is None:
        return f"{plural(now['n'], 'trade')}, none with an initial stop, so no R to add up."
    known = now["n"] - now["unknown_n"]
    left = f" ({now['unknown_n']} more without R)" if now["unknown_n"] else ""
    won = f"{plural(known, 'trade')}{left}, {now['won']} won"
    return f"{total_r(now['total_r'])} in {won}.{_compared(score, unit)}"


def _compared(score: Mapping[str, Any], unit: str) -> str:
    prior, usual = score["prior"], score["usual"]
    parts = []
    if prior is not None and not prior["n"]:
        parts.append(f"no trade in the prior {unit}")
    elif prior is not None and prior["total_r"] is not None:
        parts.append(f"prior {unit} {total_r(prior['total_r'])}")
    if usual is not None and usual["periods"] > 1:
        parts.append(f"{_USUAL[usual['periods']]}-{unit} mean {total_r(usual['total_r'])}")
    text = "; ".join(parts)
    return f" {text[0].upper()}{text[1:]}." if text else ""


def kept(action: Mapping[str, Any]) -> str:
    if action["occasions"] is None:
        return "not reported yet"
    return f"kept {action['kept']} of {plural(action['occasions'], 'time')}"


def came(what: Mapping[str, Any] | None) -> str:
    """What came of one decision: its verdict's words, else its status."""
    if what is None:
        return ""
    if not what["verdict"]:
        return _STATUS.get(what["status"], what["status"])
    sentence = (what["result"] or {}).get("sentence") or ""
    return str(sentence).rstrip(".") or _VERDICTS.get(what["verdict"], what["verdict"])


def summed(n: int, r: float | None) -> str:
    """'3 trades, −2.9 R'."""
    return f"{plural(n, 'trade')}, {total_r(r) if r is not None else 'no R known'}"


# --- Markdown -------------------------------------------------------------------------------------
def markdown(sheet: Sheet, sha256: str, *, intact: bool) -> str:
    """The minutes as Markdown that is also plain text."""
    lines = [f"# Review, {days(sheet)}", "", _where(sheet), "", sentence(sheet), ""]
    if not intact:
        lines += ["**These minutes were changed after they were closed.**", ""]
    parts = (_score, _last, _patterns, _leaks, _proposals, _decisions, _action)
    for number, (title, part) in enumerate(zip(STEPS, parts, strict=True), 1):
        lines += [f"## {number} {title}", "", *(list(part(sheet)) or ["Nothing."]), ""]
    lines += [f"Minutes sha256 {sha256}", "", "Looks back only. Not investment advice.", ""]
    return "\n".join(lines)


_MARKS = re.compile(r"([\\`*_\[\]<>#|~])")


def _plain(text: str) -> str:
    """People's words stay words: no mark of theirs is a mark of the file."""
    return _MARKS.sub(r"\\\1", text)


def _items(texts: Iterable[str]) -> Iterator[str]:
    return (f"- {text}" for text in texts)


def _where(sheet: Sheet) -> str:
    zone = ZoneInfo(sheet["account"]["time_zone"])
    name = f"{_plain(sheet['account']['name'])} · {zone.key}"
    if not sheet["closed_at"]:
        return name
    at = datetime.fromisoformat(sheet["closed_at"]).astimezone(zone)
    return f"{name} · closed by {_plain(sheet['closed_by'])}, {moment(at, year=True)}"


def _score(sheet: Sheet) -> Iterator[str]:
    score = sheet["agenda"]["score"]
    now = score["now"]
    if not now["n"]:
        return iter(())
    told = [_won(score)]
    if now["best_r"] is not None:
        best, worst = display.r_multiple(now["best_r"]), display.r_multiple(now["worst_r"])
        told.append(f"Best trade {best}, worst {worst}")
    for name, key in (("Best day", "best_day"), ("Worst day", "worst_day")):
        if now[key]:
            on = day(datetime.fromisoformat(now[key]["day"]), year=True)
            told.append(f"{name} {on}: {summed(now[key]['n'], now[key]['r'])}")
    if score["net"]:
        told.append(f"Net {display.money(float(score['net']['amount']), score['net']['currency'])}")
    return _items(told)


def _won(score: Mapping[str, Any]) -> str:
    """Counted in R; where no trade has R, by the money where that is known."""
    now, net = score["now"], score["net"] or {}
    if now["total_r"] is not None:
        return f"Won {now['won']}, lost {now['lost']}, flat {now['flat']}"
    if "won" in net:
        return f"Won {net['won']}, lost {net['lost']}, by money"
    return "Won and lost not known: no trade has R"


def _last(sheet: Sheet) -> Iterator[str]:
    last = sheet["agenda"]["last"]
    if last is None:
        return iter(())
    told = []
    if last["action"]:
        told.append(f"“{_plain(last['action']['action'])}”: {kept(last['action'])}")
    for decision in last["decisions"]:
        text = f"{KINDS[decision['kind']]}: {_plain(decision['text'])}"
        told.append(f"{text} ({came(decision['came'])})" if decision["came"] else text)
    return _items(told)


def _patterns(sheet: Sheet) -> Iterator[str]:
    found = sheet["agenda"]["patterns"]
    return _items(
        f"{_plain(p['text'])} ({'; '.join(filter(None, (p['state'], summed(p['n'], p['r']))))})"
        for p in found
    )


def _leaks(sheet: Sheet) -> Iterator[str]:
    told = sheet["agenda"]
    lines = [
        f"{CAUSE_LABELS.get(leak['cause'], leak['cause'])}: {summed(leak['n'], leak['r'])}"
        for leak in told["leaks"]
    ]
    lines += [f"Marked “{_plain(m['name'])}”: {summed(m['n'], m['r'])}" for m in told["mistakes"]]
    if told["edge"]:
        edge = told["edge"]
        lines.append(f"Edge: {_plain(edge['name'])}, {summed(edge['n'], edge['r'])}")
    return _items(lines)


def _proposals(sheet: Sheet) -> Iterator[str]:
    return _items(
        f"{_plain(p['text'])} (came up {plural(p['came_up'], 'time')})"
        for p in sheet["agenda"]["proposals"]
    )


def _decisions(sheet: Sheet) -> Iterator[str]:
    return _items(_decision(d) for d in sheet["decisions"])


def _decision(decision: Mapping[str, Any]) -> str:
    parts = [f"{KINDS[decision['kind']]}: {_plain(decision['text'])}"]
    if decision["owner"]:
        parts.append(f"{_plain(decision['owner'])}, due {_due(decision['due_date'])}")
    if decision["reason"]:
        parts.append(f"because {_plain(decision['reason'])}")
    if decision["undone_at"]:
        parts.append("taken back")
    return " · ".join(parts)


def _action(sheet: Sheet) -> Iterator[str]:
    action = sheet["action"]
    if action is None:
        return iter(())
    return _items(
        (
            f"Action: {_plain(action['action'])}",
            f"Measure: {_plain(action['measure'])}",
            f"Target: {_plain(action['target'])}",
            f"Owner: {_plain(action['owner'])}, due {_due(action['due_date'])}",
        )
    )


def _due(text: str) -> str:
    return _day(date.fromisoformat(text))
