"""What a sentence claims about the trade, against what the labeler and the causes decided.

Slots keep invented numbers out; this keeps out a sound number in a false sentence: a win told of a
loser, a stop that was never reached, a long told of a short, a cause that was ruled out. The words
are a closed English list. A sentence under a negation or a condition (`would have`, `had it`), or
about other trades than this one (`such trades`), claims nothing about this trade. Narrow on
purpose: a false alarm costs a sound sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .grounding import CITATION, SLOT, Citable, Violation, citations, is_plainly_cased, sentences
from .types import CAUSE_LABELS, ExitReason, Outcome


@dataclass(frozen=True, slots=True)
class Ground:
    """What a text may rest on: the facts, and what was decided about this trade.

    `outcome` and `exit_reason` are the label's, 0 where the text is not about one trade. `side` is
    +1, -1 or 0. `causes` are those that may be named as causes, most likely first. `secrets` are
    texts that must never appear (a nonce of the prompt). `tendency` is that of a pattern: -1 its
    trades do worse than the others, +1 better, 0 where the text is not about a pattern."""

    facts: Mapping[str, Citable]
    outcome: int = 0
    exit_reason: int = 0
    side: int = 0
    causes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    tendency: int = 0


class _Words:
    """Patterns of whole words, in lower case, found in a text of any case. Where case does not
    matter to the expression itself it passes over most words by their first letter, so nearly every
    text, whose letters are ASCII, is searched in lower case."""

    def __init__(self, *patterns: str) -> None:
        source = r"\b(?:" + "|".join(patterns) + r")\b"
        self._in_lower_case = re.compile(source)
        self._in_any_case = re.compile(source, re.IGNORECASE)

    def search(self, text: str) -> re.Match[str] | None:
        return next(self.finditer(text), None)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        if is_plainly_cased(text):
            return self._in_lower_case.finditer(text.lower())
        return self._in_any_case.finditer(text)

    def sub(self, replacement: str | Callable[[re.Match[str]], str], text: str) -> str:
        return text if self.search(text) is None else self._in_any_case.sub(replacement, text)


_HIT = (
    r"(?:was |were |got |been |is |being )?"
    r"(?:hit|reached|touched|triggered|filled|taken out|tagged)"
)
_WON = _Words(
    r"won", r"winners?", r"winning (?:trade|position|one)", r"profitable", r"succeeded",
    r"success(?:ful|fully)?", r"made money", r"paid off", r"in (?:a )?profit", r"in the money",
    r"(?:closed|ended|finished|exited|booked|banked)(?: \w+){0,4} (?:with|for|at|a|the) (?:a )?"
    r"(?:gain|profit|win)",
)  # fmt: skip
_LOST = _Words(
    r"lost", r"losers?", r"losing (?:trade|position|one)", r"unprofitable", r"lost money",
    r"at a loss", r"(?:closed|ended|finished|exited)(?: \w+){0,4} (?:with|for|at|in|a) (?:a )?loss",
)  # fmt: skip
_STOPPED = _Words(
    r"stopped out", rf"stop(?:[- ]loss)?(?: order| level| price)? {_HIT}", r"hit (?:its|the) stop",
    r"reached (?:its|the) stop", r"ran into (?:its|the) stop",
)  # fmt: skip
_TARGET = _Words(
    rf"(?:take[- ]profit|profit target|target)(?: order| level| price)? {_HIT}",
    r"(?:hit|reached) (?:its|the) (?:take[- ]profit|profit target|target)",
)  # fmt: skip
_LONG = _Words(
    r"long (?:trade|position|entry|signal)", r"went long", r"was (?:a )?long", r"the buy",
    r"bought", r"buy (?:trade|signal|order|entry)",
)  # fmt: skip
_SHORT = _Words(
    r"short (?:trade|position|entry|signal)", r"went short", r"was (?:a )?short", r"the sell",
    r"sold short", r"shorted", r"sell (?:trade|signal|entry)",
)  # fmt: skip
_BETTER = _Words(
    r"profitable", r"ma(?:de|kes?|king) money", r"pa(?:id|ys?) off", r"outperform\w*",
    r"better than", r"(?:an|your|the|real|clear) edge", r"w(?:in|ins|on) more(?: often)?",
    r"best (?:trades|results|kind)", r"worth (?:more of|doing more)", r"gains? money",
)  # fmt: skip
_WORSE = _Words(
    r"unprofitable", r"los(?:t|es?|ing) money", r"underperform\w*", r"worse than",
    r"(?:a|your|the) leak", r"(?:lose|loses|lost) more(?: often)?",
    r"worst (?:trades|results|kind)",
)  # fmt: skip
# Whatever stands under one of these is not told as having happened to this trade.
_HEDGED = _Words(
    r"not", r"no", r"never", r"neither", r"nor", r"without", r"cannot", r"could", r"would",
    r"might", r"may", r"should", r"if", r"had (?:it|the|this)", r"unless", r"instead of",
    r"rather than", r"almost", r"nearly", r"close to", r"short of", r"before", r"failed to",
    r"ruled out", r"whether", r"until", r"hardly", r"n't", r"isn't", r"wasn't", r"didn't",
    r"expected", r"needs? to", r"to be", r"nothing",
)  # fmt: skip
# Certainty dressed as a negation.
_SURE = _Words(
    r"no doubt", r"not (?:a|in) doubt", r"without (?:a |any )?doubt", r"no question",
    r"nothing (?:but|less than)", r"not only", r"make no mistake",
)  # fmt: skip
_THIS = _Words(r"this (?:trade|one|position|signal|time)", r"the (?:trade|position)")
_OTHERS = _Words(
    r"such (?:trades|setups|losses|signals)", r"(?:trades|setups|signals) (?:like|of|with|near)",
    r"of (?:these|those|such)", r"earlier", r"past", r"history", r"previous", r"others?",
    r"on average", r"usually", r"a trader who", r"comparable", r"similar", r"break(?:s)? even",
)  # fmt: skip
_MONEY_MOVES = _Words(
    r"deposit", r"withdraw", r"wire", r"transfer (?:money|funds|your)", r"send (?:money|funds)",
    r"buy now", r"sell now", r"go all[- ]in", r"guaranteed", r"risk[- ]free", r"double down",
    r"will (?:rise|fall|rally|crash|go up|go down)", r"api key", r"password", r"system prompt",
    r"ignore (?:all |the )?(?:previous|above|prior)",
)  # fmt: skip
_UNSURE = _Words(
    r"not", r"no", r"never", r"without", r"ruled out", r"could", r"cannot", r"might", r"whether",
    r"missing", r"unknown", r"unchecked", r"would", r"rather than", r"neither", r"nor", r"didn't",
    r"wasn't", r"isn't", r"against",
)  # fmt: skip
# Where a sentence goes on with another statement; a list goes on without an article.
_PARTS = re.compile(
    r";| but | while | and then |,? (?:and|so|because|yet) "
    r"(?=(?:the|it|this|that|its|an?|they|price|prices)\b|"
    r"[a-z_ -]{3,40} (?:is|was|are|were|has|had|did|ended|caused|made|led)\b)",
    re.IGNORECASE,
)
_CODE_OF = {label.lower(): c for c, label in CAUSE_LABELS.items() if c != "unknown"}
_LABELS = _Words(*(re.escape(label) for label in _CODE_OF))
_CODE = re.compile(r"\b(" + "|".join(_CODE_OF.values()) + r")\b")
_BREAK = re.compile(r"[,;:\u2013\u2014]| but | while | and then ")
_REACH = 7
# "stop at {{E4.price}}": the noun right before a figure, and the kinds of fact it may stand for.
_NOUN = re.compile(
    r"\b(stop|stop[- ]loss|target|take[- ]profit|entry|exit)(?: price| level)?"
    r"(?: at| of| was| is| was at|:)? \{\{(E[1-9]\d{0,2})\.price\}\}",
    re.IGNORECASE,
)
_NOUN_KINDS: Mapping[str, frozenset[str]] = {
    "stop": frozenset(("stop", "exit")),
    "target": frozenset(("target", "exit")),
    "take-profit": frozenset(("target", "exit")),
    "entry": frozenset(("entry",)),
    "exit": frozenset(("exit",)),
}


def check_claims(text: str, ground: Ground) -> list[Violation]:
    """Everything that `text` (with slots) claims against the label, the side or the causes."""
    return [v for sentence in sentences(text) for v in check_sentence(sentence, ground)]


def check_sentence(sentence: str, ground: Ground) -> list[Violation]:
    found = [
        Violation("secret", "a text of the prompt that must not be repeated")
        for secret in ground.secrets
        if secret and secret in sentence
    ]
    words = " ".join(CITATION.sub(" ", SLOT.sub(" # ", sentence)).split())
    if match := _MONEY_MOVES.search(words):
        found.append(Violation("forbidden_advice", match[0]))
    found.extend(_wrong_nouns(sentence, ground))
    if ground.tendency:
        found.extend(_wrong_tendency(words, ground.tendency))
    if ground.outcome:
        parts = _PARTS.split(_LABELS.sub(_as_code, _SURE.sub(" ", words)))
        for part, following in zip(parts, [*parts[1:], ""], strict=True):
            found.extend(_wrong_causes(part, following, ground))
            if _THIS.search(part) or not _OTHERS.search(part):
                found.extend(_contradictions(part, ground))
    return found


def _wrong_tendency(words: str, tendency: int) -> Iterable[Violation]:
    """A losing pattern told as a winning one, or the other way round."""
    pattern = _BETTER if tendency < 0 else _WORSE
    for match in pattern.finditer(words):
        if not _HEDGED.search(_leading(words, match)):
            yield Violation("says_better" if tendency < 0 else "says_worse", match[0])
            return


_Check = tuple[str, _Words, Callable[[Ground], bool]]


def _is_judged(ground: Ground) -> bool:
    return ground.outcome in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL)


_CONTRADICTIONS: tuple[_Check, ...] = (
    ("says_won", _WON, lambda g: not (_is_judged(g) and g.outcome == Outcome.SUCCEEDED)),
    ("says_lost", _LOST, lambda g: not (_is_judged(g) and g.outcome == Outcome.FAILED)),
    ("says_stopped", _STOPPED, lambda g: g.exit_reason != ExitReason.SL),
    ("says_target", _TARGET, lambda g: g.exit_reason != ExitReason.TP),
    ("says_long", _LONG, lambda g: g.side < 0),
    ("says_short", _SHORT, lambda g: g.side > 0),
)


def _contradictions(words: str, ground: Ground) -> Iterable[Violation]:
    for code, pattern, is_false in _CONTRADICTIONS:
        if not is_false(ground):
            continue
        for match in pattern.finditer(words):
            if not _HEDGED.search(_leading(words, match)):
                yield Violation(code, match[0])
                break


def _leading(words: str, match: re.Match[str]) -> str:
    """The match and the few words before it in its clause: a negation further off is another's."""
    start = max([m.end() for m in _BREAK.finditer(words, 0, match.start())], default=0)
    return " ".join([*words[start : match.start()].split()[-_REACH:], match[0]])


def _wrong_nouns(sentence: str, ground: Ground) -> Iterable[Violation]:
    for noun, fact_id in _NOUN.findall(sentence):
        kind = getattr(ground.facts.get(fact_id), "kind", "")
        name = "stop" if noun.lower().startswith("stop") else noun.lower().replace(" ", "-")
        if kind in ("entry", "exit", "stop", "target") and kind not in _NOUN_KINDS[name]:
            yield Violation("wrong_noun", f"{noun.lower()} told of {fact_id}, which is the {kind}")


def _wrong_causes(words: str, following: str, ground: Ground) -> Iterable[Violation]:
    """A cause named as one, though the engine did not find it. The verb of a list may stand in the
    part that follows (`news shock and regime drift were ruled out`)."""
    for cause in _CODE.findall(words):
        if cause not in ground.causes and not _UNSURE.search(f"{words} {following}"):
            yield Violation("cause_not_found", CAUSE_LABELS[cause])


def _as_code(match: re.Match[str]) -> str:
    """A cause's label as one word, so that `spread and slippage` is not taken apart."""
    return _CODE_OF[match[0].lower()]


def uncited(text: str) -> list[Violation]:
    """Sentences without a citation, where each must rest on a fact. That something was not there,
    or could not be checked, may have no fact to cite."""
    return [
        Violation("uncited_sentence", s)
        for s in sentences(text)
        if not citations(s) and not _UNSURE.search(s)
    ]
