"""The ground-truth benchmark of causes: what it plants is there, and what it counts is right."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.causes import __main__ as command
from benchmarks.causes import (
    candles_on_disk,
    export,
    first,
    real,
    records,
    run,
    scene,
    score,
    second,
    variants,
)
from benchmarks.causes.candles_on_disk import Series
from benchmarks.causes.market import candles_of, judge
from benchmarks.causes.plant import blank
from benchmarks.causes.score import Answer
from benchmarks.causes.truth import MATERIAL_R, NAMED, Truth
from post_mortem.core.diagnose import diagnose_case
from post_mortem.core.types import CAUSES
from trading.core.sessions import is_open
from trading.core.types import NS_PER_SECOND

ROOT = Path(__file__).resolve().parents[2]
KINDS = (*CAUSES, "compound")


def outcome(case: dict[str, Any]) -> object:
    label: Any = diagnose_case(case)["label"]
    return label["outcome"]


# --- cases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_case_is_a_loss_by_the_public_path(kind: str) -> None:
    for index in range(2):
        sample = first.make("dev", kind, index)
        assert outcome(sample.case) == "failed"
        assert all(saved >= MATERIAL_R - 0.001 for saved in sample.truth.planted.values())
        assert len(sample.truth.planted) == {"unknown": 0, "compound": 2}.get(kind, 1)


@pytest.mark.parametrize("kind", CAUSES)
def test_so_is_every_case_of_the_second_generator(kind: str) -> None:
    sample = second.make("dev", kind, 0)
    assert outcome(sample.case) == "failed"
    assert sample.truth.cause == kind


def test_the_dearest_of_two_causes_is_the_truth() -> None:
    for index in range(4):
        truth = first.make("dev", "compound", index).truth
        assert truth.cause == max(truth.planted, key=lambda name: truth.planted[name])


def test_splits_share_no_case() -> None:
    made = [
        json.dumps(generator.make(split, "unknown", index).case["candles"]["close"])
        for generator in (first, second)
        for split in first.SPLITS
        for index in range(3)
    ]
    assert len(set(made)) == len(made)


def test_a_case_does_not_name_its_cause() -> None:
    for kind in NAMED:
        for sample in (first.make("dev", kind, 0), second.make("dev", kind, 0)):
            text = json.dumps(sample.case)
            assert not [cause for cause in NAMED if cause in text]


_DIGEST = """
import hashlib, json
from benchmarks.causes import first, second
made = [g.make("dev", k, 1) for g in (first, second) for k in ("news_shock", "user_psychology")]
made.append(first.make("dev", "compound", 0))
text = json.dumps([[s.case, s.truth.as_json()] for s in made])
print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == hashlib.sha256().digest_size * 2


# --- impact --------------------------------------------------------------------------------------


def test_what_would_have_been_lost_anyway_is_no_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scene that came up for validation, judged again from the noise alone."""
    seen: list[tuple[bool, float]] = []
    validated = first._prices_validated

    def watch(tried: scene.Scene) -> bool:
        candles = tried.world([])
        alone = judge(candles, tried.at, tried.end, tried.side, tried.risk, tried.reward)
        accepted = validated(tried)
        seen.append((accepted, alone.r))
        return accepted

    monkeypatch.setattr(first, "_prices_validated", watch)
    for cause in ("news_shock", "volatility_spike", "regime_drift"):
        for index in range(6):
            first.make("train", cause, index)
    assert all(alone >= 0 for accepted, alone in seen if accepted)
    rejected = [alone for accepted, alone in seen if not accepted]
    assert len([alone for alone in rejected if alone < 0]) >= 3


def test_an_event_that_moves_nothing_is_no_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(rng: object, cause: str, form: str, noise: Any, at: int, *rest: int) -> object:
        return blank(cause, noise, at)

    monkeypatch.setattr(scene, "plant", nothing)
    monkeypatch.setattr(first, "_ATTEMPTS", 150)
    with pytest.raises(RuntimeError, match="no valid news_shock case"):
        first.make("train", "news_shock", 0)


def test_a_setup_that_earns_money_is_no_false_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    def profitable(*_: object) -> tuple[list[dict[str, Any]], float]:
        return [], 0.3

    monkeypatch.setattr(records, "setup_history", profitable)
    monkeypatch.setattr(first, "_ATTEMPTS", 100)
    with pytest.raises(RuntimeError, match="no valid false_positive case"):
        first.make("train", "false_positive", 0)


def test_what_follows_the_exit_is_not_the_noise_that_was_looked_at() -> None:
    """After a shock without which the plan wins, prices must not go on to win."""
    drifts = []
    for index in range(24):
        case = first.make("train", "news_shock", index).case
        close = np.log(case["candles"]["close"])
        leave = np.datetime64(case["trade"]["exit_time"].rstrip("Z")).astype("datetime64[s]")
        last = int(np.searchsorted(case["candles"]["time"], leave.astype(int), "right")) - 1
        side = 1 if case["signal"]["side"] == "long" else -1
        drifts.append(side * (close[-1] - close[last]) > 0)
    assert 4 <= sum(drifts) <= 20


# --- feeds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", sorted(variants.DECISIVE))
def test_the_decisive_feed_is_gone_and_nothing_else(cause: str) -> None:
    sample = next(
        s for s in (first.make("dev", cause, i) for i in range(9)) if variants.decisive_feed(s)
    )
    before = json.dumps(sample.case)
    blind = variants.blind(sample)
    assert blind is not None
    assert blind.truth.cause == "unknown"
    assert json.dumps(sample.case) == before
    changed = {key for key in sample.case if sample.case[key] != blind.case[key]}
    assert len(changed - {"id"}) in (1, 2)


def test_an_irrelevant_feed_is_never_one_that_tells_the_cause() -> None:
    for kind in NAMED:
        sample = first.make("dev", kind, 0)
        removed = {variants.irrelevant(sample, draw).truth.removed for draw in range(30)}
        assert removed
        assert variants.DECISIVE.get(kind) not in removed


# --- real candles --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def series(shared_data: Path) -> list[Series]:
    return candles_on_disk.load(shared_data)


@pytest.mark.realdata
def test_real_candles_without_a_plant_are_shown_as_they_are(series: list[Series]) -> None:
    hours = next(one for one in series if one.timeframe == "1h")
    noise = real._noise(hours, slice(3000, 3060))
    assert noise is not None
    candles = candles_of(noise, noise.steps, noise.gap)
    wanted = np.rint(hours.prices[3000:3060] / hours.instrument.point)
    shown = np.column_stack([candles.open, candles.high, candles.low, candles.close])
    assert np.abs(shown - wanted).max() <= 1


@pytest.mark.realdata
def test_real_markets_are_on_one_clock(series: list[Series]) -> None:
    """What buys dollars for euros buys them for yen in the same hour, not in another one, in
    winter and in summer, before the file's server moved and after."""
    euro, yen = (one for one in series if one.timeframe == "1h")
    moves = np.diff(np.log(euro.prices[:, 3])), np.diff(np.log(yen.prices[:, 3]))
    month = (euro.time // 86_400).astype("datetime64[D]").astype("datetime64[M]")[1:]
    for season in (("2013-12", "2014-03"), ("2014-05", "2014-09"), ("2017-05", "2017-09")):
        held = (month >= np.datetime64(season[0])) & (month < np.datetime64(season[1]))
        left, right = (each[held] for each in moves)
        together = [float(np.corrcoef(left, np.roll(right, k))[0, 1]) for k in (-2, -1, 0, 1, 2)]
        assert int(np.argmin(together)) == 2
        assert together[2] < -0.15


@pytest.mark.realdata
def test_the_week_of_real_markets_is_that_of_their_calendar(series: list[Series]) -> None:
    for one in series:
        if one.instrument.closes:
            assert is_open("fx", one.time * NS_PER_SECOND).all()
            gaps = np.diff(one.time)
            weekends = gaps[(gaps > 40 * 3600) & (gaps < 60 * 3600)]
            assert np.median(weekends) <= 50 * 3600  # Friday 16:00 to Sunday 17:00 or 18:00


@pytest.mark.realdata
@pytest.mark.parametrize("kind", CAUSES)
def test_causes_on_real_candles_lose(series: list[Series], kind: str) -> None:
    sample = real.make(series, "dev", kind, 0)
    assert outcome(sample.case) == "failed"
    assert sample.truth.cause == kind


def test_without_the_folder_the_real_suite_says_why(tmp_path: Path) -> None:
    series, reason = run.real_series(tmp_path / "absent")
    assert series == []
    assert reason is not None
    assert "absent" in reason
    assert "not complete" in str(run.real_series(tmp_path)[1])


# --- counting ------------------------------------------------------------------------------------


def truth(cause: str, **changes: Any) -> Truth:
    return Truth(**{"id": "x", "cause": cause, "planted": {}, "kind": "plain", **changes})


def test_figures_of_a_hand_made_table() -> None:
    rows = [
        ("news_shock", ("news_shock", "unknown"), 0.9),
        ("news_shock", ("unknown", "news_shock"), 0.3),
        ("model_error", ("news_shock", "false_positive", "model_error"), 0.7),
        ("unknown", ("unknown",), 0.5),
    ]
    found = score.figures(
        [truth(cause) for cause, _, _ in rows],
        [Answer(ranked, posterior) for _, ranked, posterior in rows],
    )
    assert found["ac1"] == 0.5
    assert found["ac3"] == 1.0
    assert found["avg3"] == 0.75
    assert found["recall"] == {"news_shock": 0.5, "model_error": 0.0, "unknown": 1.0}
    assert found["macro_ac1"] == 0.5
    assert found["precision"]["news_shock"] == 0.5
    assert found["precision"]["unknown"] == 0.5
    assert found["precision"]["detector_misid"] is None
    assert found["precision_sure"] == 0.5
    assert found["abstain_none"] == 1.0
    # One answer a bin: |1 - .9|, |0 - .3|, |0 - .7|, |1 - .5|, each a quarter.
    assert found["ece"] == pytest.approx((0.1 + 0.3 + 0.7 + 0.5) / 4)
    assert found["brier"] == pytest.approx((0.01 + 0.09 + 0.49 + 0.25) / 4)
    assert found["confusion"]["news_shock"] == {"news_shock": 1, "unknown": 1}


def test_a_cause_that_is_not_ranked_is_in_no_top_three() -> None:
    found = score.figures([truth("news_shock")], [Answer(("unknown",), 0.4)])
    assert found["ac3"] == 0.0
    assert found["avg3"] == 0.0


def test_two_causes_are_counted_three_ways() -> None:
    both = truth("news_shock", kind="compound", planted={"news_shock": 2.0, "model_error": 1.0})
    found = score.compounds(
        [both, both, truth("unknown")],
        [
            Answer(("model_error", "news_shock"), 0.5),
            Answer(("news_shock", "unknown"), 0.5),
            Answer(("unknown",), 0.5),
        ],
    )
    assert found == {"cases": 2, "ac1": 0.5, "either_first": 1.0, "both_in_three": 0.5}


# --- the command ---------------------------------------------------------------------------------


def test_single_validation_cases_stay_closed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        command.main(["--export", "validation", str(tmp_path / "cases.jsonl")])
    with pytest.raises(SystemExit):
        command.main(["--show", "any"])
    with pytest.raises(export.ClosedSplit):
        export.write("validation", tmp_path / "cases.jsonl", run.QUICK)
    assert not list(tmp_path.iterdir())


def test_an_export_holds_cases_and_beside_them_their_truths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "QUICK", run.Size(first=1, blind=1, train=1, second=1, real=1))
    path = tmp_path / "cases.jsonl"
    written = command.main(["--quick", "--export", "dev", str(path)])
    assert json.loads(capsys.readouterr().out) == written
    cases = [json.loads(line) for line in path.read_text().splitlines()]
    truths = [json.loads(line) for line in Path(written["truths"]).read_text().splitlines()]
    assert len(cases) == written["cases"] > 2 * len(CAUSES)
    causes = json.loads((tmp_path / "cases.jsonl.causes.json").read_text())
    assert causes == {row["id"]: row["cause"] for row in truths}
    assert [case["id"] for case in cases] == [row["id"] for row in truths]
    assert all("cause" not in case and case["schema"] == "inquest.case/1" for case in cases)


def test_the_result_has_the_keys_that_were_promised(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run, "QUICK", run.Size(first=1, blind=1, train=1, second=1, real=1))
    command.main(["--quick", "--split", "dev", "--data", str(tmp_path / "none")])
    printed = capsys.readouterr()
    result = json.loads(printed.out.splitlines()[-1])
    promised = (
        "benchmark cases ac1 ac3 avg3 macro_ac1 ece brier abstain_missing abstain_none recall "
        "precision confusion naive learned second real irrelevant tells compound"
    )
    assert set(promised.split()) <= set(result)
    assert result["benchmark"] == "causes"
    assert {"ac1", "ac3", "ece"} <= set(result["naive"])
    assert result["real"] is None
    assert result["rerun_equal"] is True
    assert "real: not run" in printed.err
    text = json.dumps(result)
    for kind in KINDS:
        assert first.make("dev", kind, 0).truth.id not in text
