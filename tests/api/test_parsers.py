"""Strict JSON: what is refused, and that ordinary bodies are not."""

import json

import pytest
from rest_framework.exceptions import ParseError

from post_mortem.api.parsers import MAX_DEPTH, loads


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 100_000, "json_depth"),
        (b"[" * 100_000 + b"]" * 100_000, "json_depth"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "json_depth"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "json_depth"),
        (b'{"a": 1, "a": 2}', "json_duplicate_key"),
        (b'{"x": {"a": 1, "b": 2, "a": 1}}', "json_duplicate_key"),
        (b'{"a": NaN}', "json_number"),
        (b"[Infinity]", "json_number"),
        (b"[-Infinity]", "json_number"),
        (b"[1e999]", "json_number"),
        (b"[" + b"9" * 5000 + b"]", "json_number"),
        (b"\xef\xbb\xbf{}", "json_bom"),
        ('{"a": 1}'.encode("utf-16"), "json_encoding"),
        (b'{"a": "\xff"}', "json_encoding"),
        (rb'{"j": {"a": "\ud800"}}', "json_text"),
        (rb'{"\udc00": 1}', "json_text"),
        (rb'["\u0000"]', "json_text"),
        (b"{'a': 1}", "json_malformed"),
        (b"", "json_malformed"),
        (b'{"a": 1} trailing', "json_malformed"),
    ],
)
def test_refused(body: bytes, code: str) -> None:
    with pytest.raises(ParseError) as caught:
        loads(body)
    assert caught.value.get_codes() == code


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        0,
        "text",
        None,
        {"a": {"b": 1}, "b": {"a": 1}},
        {"trade_ids": list(range(10_000))},
        ["\U0001f600", "é", "line\nbreak", "\x7f"],
        [1.5, -1e-300, 1e308, 2**63],
    ],
)
def test_accepted(value: object) -> None:
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


def test_the_deepest_allowed() -> None:
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    # Brackets inside a text are no depth.
    assert loads(json.dumps(["[" * 1000]).encode()) == ["[" * 1000]
