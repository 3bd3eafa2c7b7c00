"""A model that answers honestly from the prompt it is given, for servers that play one."""

from __future__ import annotations

import json
import re
from typing import Any

_SLOT = re.compile(r"\{\{(E\d+)\.([a-z_0-9]+)\}\}")
_CAUSE = re.compile(
    r"^([a-z_]+) \(([^)]+)\), (?:weak|likely|strong): for it (.*), against it", re.M
)


def honest_answer(body: dict[str, Any]) -> str:
    """The text of an answer to a trade_analysis request, from its last user message."""
    return json.dumps(answer_of(_evidence(body)))


def _evidence(body: dict[str, Any]) -> str:
    texts = [m["content"] for m in body["messages"] if m["role"] == "user"]
    return next(text for text in texts if "FACTS" in text)


def answer_of(evidence: str) -> dict[str, Any]:
    slots = list(dict.fromkeys(_SLOT.findall(evidence)))
    named = [f"It came to {{{{{pk}.{key}}}}} here [{pk}]." for pk, key in slots if key != "said"]
    lines = named or ["Nothing more can be said."]
    factors = [
        {
            "cause": cause,
            "explanation": f"What was seen fits it {ids if ids.startswith('[E') else '[E1]'}.",
        }
        for cause, _, ids in _CAUSE.findall(evidence)
        if cause != "unknown"
    ]
    missing = [] if factors else ["The evidence does not explain the result."]
    part = {"summary": lines[-1], "what_the_evidence_shows": named[1:3]}
    return {
        "performance_analysis": {
            "overall_evaluation": lines[0],
            "strengths": named[3:4],
            "weaknesses": named[4:5],
        },
        "entry_analysis": part,
        "exit_analysis": part,
        "decision_analysis": part,
        "primary_factors": factors[:5],
        "improvement_opportunities": [
            {
                "area": "exit",
                "suggestion": "Write down before the entry where the trade is wrong.",
                "expected_impact": "Expectancy would show whether it helped.",
                "metric": "expectancy_r",
            }
        ],
        "insufficient_evidence": missing,
    }
