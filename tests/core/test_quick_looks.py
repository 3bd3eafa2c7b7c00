"""Short cuts of the checks of a sentence find exactly what the patterns find that they stand for.

Sentences are drawn from pieces that matter to one pattern or another, look-alikes of ASCII letters
among them: of these some equal an ASCII letter to an expression that ignores case.
"""

from __future__ import annotations

import random
import re

from post_mortem.core import claims, grounding

PIECES = re.findall(
    r"\S+",
    "the stop was Hit reached it Won winner losing trade two Two TWO twofold t-w-o couple of a "
    "half Seven s e v e n XII \u017feven h\u0131t \u212anown www.x WWW. evil.com a@b & &amp; <b> "
    "[x](y) `code` na\u00efve lo\u017ft one percent one-bar one in every not would if no doubt "
    "only news News Shock and regime drift stop-loss triggered, ; but while \u201cwent long\u201d "
    "bought Sold short deposit GUARANTEED ignore previous such trades earlier this \ufb01ve "
    "\u2460 .com javascript: http://x it's don\u2019t \u2014 \u2026 tre \u0130 l\u0131ne "
    "s\u0131x third Quarters",
)
WORDS = [value for value in vars(claims).values() if isinstance(value, claims._Words)]


def drawn(count: int) -> list[str]:
    rng = random.Random(7)
    texts = [" ".join(rng.choices(PIECES, k=rng.randint(1, 8))) for _ in range(count)]
    ascii_only = ["".join(c for c in text if c.isascii()) for text in texts[::2]]
    return [*texts, *ascii_only, *(text.upper() for text in texts[::3])]


def spans(matches: object) -> list[tuple[int, int]]:
    return [match.span() for match in matches]  # type: ignore[attr-defined]


def test_words_are_found_in_any_case():
    assert len(WORDS) > 10
    found = 0
    for text in drawn(2_000):
        for words in WORDS:
            expected = spans(words._in_any_case.finditer(text))
            assert spans(words.finditer(text)) == expected, ascii(text)
            found += len(expected)
    assert found > 1_000


def test_words_are_written_in_lower_case():
    for words in WORDS:
        source = words._in_lower_case.pattern
        assert re.sub(r"\\.", "", source) == re.sub(r"\\.", "", source).lower()


def test_numbers_in_letters_and_markup_are_found_as_by_their_patterns():
    spelt = marked = 0
    for text in drawn(10_000):
        plain = grounding._plain(text)
        for name, quick, pattern, given in (
            ("spelt", grounding._spelt, grounding._NUMBER_WORDS, plain),
            ("markup", grounding._markup, grounding._MARKUP, text),
        ):
            expected = pattern.search(given)
            found = quick(given)
            assert (found and found.span()) == (expected and expected.span()), (name, ascii(text))
            spelt += name == "spelt" and expected is not None
            marked += name == "markup" and expected is not None
    assert spelt > 1_000
    assert marked > 1_000
