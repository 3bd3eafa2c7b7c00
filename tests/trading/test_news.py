"""Economic calendars: what is read, asked for, passed over, stored once and taken back."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from trading.core.errors import FileError
from trading.importers.news import NewsOptions, ParsedNews, parse_news
from trading.importers.sources import InputFile, file_at, text_blocks
from trading.models import ImportBatch, NewsEvent, NewsFeed
from trading.services.news import import_news, undo_news

HEADER = "time,currency,title,impact,actual,forecast,surprise_z"
PAYROLLS = "2014-05-02T12:30:00Z,USD,Payrolls,high,288K,215K,1.9"
FIGURES = "2014-05-03T12:30:00Z,EUR,Prices,low,,,"
MONTHLY = "date,time,currency,impact,event,actual,forecast,previous"
JUNE = "Jun 1,12:30am,USD,red,Payrolls,1,N/A,2"


def calendar(*rows: str, header: str = HEADER) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def read(data: bytes, **declared: Any) -> ParsedNews:
    return parse_news(text_blocks(BytesIO(data), "c.csv", None), "c.csv", NewsOptions(**declared))


def refused(data: bytes, **declared: Any) -> dict[str, tuple[int, ...]]:
    with pytest.raises(FileError) as caught:
        read(data, **declared)
    return {problem.code: problem.rows for problem in caught.value.problems}


def store(data: bytes, *, dry_run: bool = False) -> dict[str, Any]:
    file = InputFile("c.csv", lambda: BytesIO(data))
    return import_news(file=file, options=NewsOptions(), dry_run=dry_run)


def counts(summary: dict[str, Any]) -> tuple[int, int, int]:
    return summary["inserted"], summary["updated"], summary["unchanged"]


def test_a_clean_calendar_gives_no_problem() -> None:
    parsed = read(calendar(FIGURES, PAYROLLS))
    assert parsed.problems == ()
    first, second = parsed.rows
    assert (first.currency, first.title, first.impact, first.actual) == (
        "USD",
        "Payrolls",
        2,
        "288K",
    )
    assert first.surprise_z == 1.9
    assert (second.actual, second.forecast, second.surprise_z) == ("", "", None)
    assert first.time == 1_399_033_800 * 10**9


def test_the_span_runs_from_the_first_to_the_last_day() -> None:
    parsed = read(calendar(PAYROLLS, FIGURES))
    day = 86_400 * 10**9
    assert (parsed.covers_from % day, parsed.covers_to % day) == (0, 0)
    assert parsed.covers_to - parsed.covers_from == 2 * day


def test_the_span_follows_the_clock_of_the_file() -> None:
    parsed = read(calendar(JUNE, header=MONTHLY), tz="UTC+7", year=2023)
    assert parsed.rows[0].time == 1_685_554_200 * 10**9  # 2023-05-31 17:30 UTC
    assert parsed.covers_from == 1_685_552_400 * 10**9  # 2023-05-31 17:00 UTC


def test_a_layout_without_year_and_zone_asks_for_both() -> None:
    assert refused(calendar(JUNE, header=MONTHLY)).keys() == {"year_required", "timezone_required"}
    assert refused(calendar(JUNE, header=MONTHLY), year=2023).keys() == {"timezone_required"}
    assert refused(calendar(JUNE, header=MONTHLY), tz="UTC").keys() == {"year_required"}


def test_a_header_that_says_utc_needs_no_zone() -> None:
    data = calendar("2014-05-02 12:30,USD,Payrolls,high", header="time_utc,currency,event,impact")
    assert read(data).rows[0].time == 1_399_033_800 * 10**9


TROUBLE = [
    (calendar(PAYROLLS, "2014-05-03T12:30:00Z,EUR,Prices,huge,,,"), "bad_impact", (3,)),
    (calendar(PAYROLLS, "2014-05-03T12:30:00Z,EURO,Prices,low,,,"), "bad_currency", (3,)),
    (calendar(PAYROLLS, "2014-05-03T12:30:00Z,EUR,,low,,,"), "bad_title", (3,)),
    (calendar(PAYROLLS, f"2014-05-03T12:30:00Z,EUR,{'x' * 301},low,,,"), "bad_title", (3,)),
    (calendar(PAYROLLS, "2014-05-03T12:30:00Z,EUR,a\u202eb,low,,,"), "bad_title", (3,)),
    (calendar(PAYROLLS, "2014-05-03T12:30:00Z,EUR,Prices,low,,,inf"), "bad_number", (3,)),
    (calendar(PAYROLLS, f"2014-05-03T12:30:00Z,EUR,Prices,low,{'9' * 41},,"), "bad_figure", (3,)),
    (calendar(PAYROLLS, "2014-05-33T12:30:00Z,EUR,Prices,low,,,"), "out_of_range", (3,)),
    (calendar(PAYROLLS, "soon,EUR,Prices,low,,,"), "bad_time", (3,)),
    (calendar(PAYROLLS, PAYROLLS + ",1"), "column_count", (3,)),
    (calendar(PAYROLLS, '"' + FIGURES), "malformed_csv", (3,)),
    (calendar(PAYROLLS, header="time,currency,title,color,actual,forecast,z"), "missing_columns",
        (1,)),
    (calendar(PAYROLLS, header=HEADER.replace("actual", "title")), "duplicate_column", (1,)),
    (calendar(), "no_rows", ()),
    (calendar("2014-05-02T12:30:00,USD,Payrolls,high,,,"), "timezone_required", (2,)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "code", "rows"), TROUBLE, ids=[f"{t[1]}-{i}" for i, t in enumerate(TROUBLE)]
)
def test_trouble_has_its_code_and_line(data: bytes, code: str, rows: tuple[int, ...]) -> None:
    assert refused(data) == {code: rows}


def test_clock_changes_are_not_guessed() -> None:
    def at(clock: str) -> bytes:
        return calendar(f"{clock},USD,Payrolls,high,,,")

    assert refused(at("2024-03-31 02:30"), tz="Europe/Berlin") == {"nonexistent_time": (2,)}
    assert refused(at("2024-10-27 02:30"), tz="Europe/Berlin") == {"ambiguous_time": (2,)}


def test_rows_without_a_moment_are_passed_over_and_named() -> None:
    rows = [JUNE, "Jun 2,All Day,EUR,gray,Holiday,,,", "Jun 2,Tentative,JPY,yellow,Talks,,,"]
    parsed = read(calendar(*rows, header=MONTHLY), tz="UTC", year=2023)
    (found,) = parsed.problems
    assert (found.code, found.fatal, found.rows) == ("no_moment", False, (3, 4))
    assert (len(parsed.rows), parsed.skipped, parsed.rows_read) == (1, 2, 3)
    assert parsed.covers_to - parsed.covers_from == 2 * 86_400 * 10**9


def test_colours_are_impacts() -> None:
    colours = ["red", "orange", "yellow", "gray"]
    rows = [f"Jun {i},1:00pm,USD,{colour},Event,,," for i, colour in enumerate(colours, 1)]
    parsed = read(calendar(*rows, header=MONTHLY), tz="UTC", year=2023)
    assert [row.impact for row in parsed.rows] == [2, 1, 0, 0]


def test_a_year_is_not_stretched_over_new_year() -> None:
    rows = ["Dec 30,1:00pm,USD,red,Event,,,", "Jan 2,1:00pm,USD,red,Event,,,"]
    assert refused(calendar(*rows, header=MONTHLY), tz="UTC", year=2023) == {"year_wrap": (3,)}


def test_a_release_listed_twice_is_kept_once() -> None:
    exact = read(calendar(PAYROLLS, PAYROLLS))
    assert ([p.code for p in exact.problems], len(exact.rows)) == (["duplicates"], 1)
    other = read(calendar(PAYROLLS, PAYROLLS.replace("288K", "290K")))
    assert [p.code for p in other.problems] == ["conflicting_duplicate"]
    assert [row.actual for row in other.rows] == ["290K"]


@pytest.mark.django_db
def test_a_calendar_is_stored_once() -> None:
    assert counts(store(calendar(PAYROLLS, FIGURES))) == (2, 0, 0)
    assert counts(store(calendar(PAYROLLS, FIGURES))) == (0, 0, 2)
    feed = NewsFeed.objects.get()
    assert feed.currencies == ["EUR", "USD"]
    assert feed.covers_from.isoformat() == "2014-05-02T00:00:00+00:00"
    assert feed.covers_to.isoformat() == "2014-05-04T00:00:00+00:00"
    assert ImportBatch.objects.count() == 1


@pytest.mark.django_db
def test_a_later_file_corrects_figures_and_undo_restores_them() -> None:
    store(calendar(PAYROLLS, FIGURES))
    later = calendar(PAYROLLS.replace("288K", ""), FIGURES.replace(",,,", ",0.7%,,-1"))
    summary = store(later)
    assert counts(summary) == (0, 1, 1)
    assert NewsEvent.objects.get(title="Payrolls").actual == "288K"
    assert NewsEvent.objects.get(title="Prices").actual == "0.7%"
    undo_news(batch=ImportBatch.objects.get(pk=summary["import_id"]))
    event = NewsEvent.objects.get(title="Prices")
    assert (event.actual, event.surprise_z) == ("", None)
    assert NewsFeed.objects.count() == 1


@pytest.mark.django_db
def test_undo_removes_what_an_import_brought() -> None:
    summary = store(calendar(PAYROLLS, FIGURES))
    undo_news(batch=ImportBatch.objects.get(pk=summary["import_id"]))
    assert not NewsEvent.objects.exists()
    assert not NewsFeed.objects.exists()


@pytest.mark.django_db
def test_a_dry_run_keeps_nothing() -> None:
    summary = store(calendar(PAYROLLS, FIGURES), dry_run=True)
    assert (counts(summary), summary["import_id"]) == ((2, 0, 0), None)
    assert not NewsEvent.objects.exists()
    assert not ImportBatch.objects.exists()


@pytest.mark.django_db
def test_a_wider_calendar_without_new_releases_widens_the_coverage() -> None:
    store(calendar(PAYROLLS))
    rows = [
        PAYROLLS.replace("2014-05-02T12:30:00Z,", "2014-05-02,12:30Z,"),
        "2014-05-09,All Day,USD,Holiday,low,,,",
    ]
    header = HEADER.replace("time,", "date,time,")
    summary = store(calendar(*rows, header=header))
    assert counts(summary) == (0, 0, 1)
    assert NewsFeed.objects.latest("covers_to").covers_to.isoformat().startswith("2014-05-10")


@pytest.mark.realdata
@pytest.mark.django_db
def test_real_calendars(shared_data: Path) -> None:
    file = file_at(shared_data / "economic_events_2014-05.csv")
    assert counts(import_news(file=file, options=NewsOptions())) == (19, 0, 0)
    payrolls = NewsEvent.objects.filter(time="2014-05-02T12:30:00Z", currency="USD")
    assert payrolls.filter(impact=2).exists()
    month = file_at(shared_data / "calendar-datpro" / "2023_02_ff_data.csv")
    summary = import_news(file=month, options=NewsOptions(tz="UTC+7", year=2023))
    assert (summary["read"], summary["skipped"]) == (369, 8)
