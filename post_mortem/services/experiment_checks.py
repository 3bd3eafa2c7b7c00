"""Check every experiment against its seals, its plan and its salt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from post_mortem.models import Experiment
from post_mortem.selectors.experiments import faults


@dataclass(slots=True)
class ExperimentCheck:
    """How many were checked, and those in which something contradicts, with what."""

    checked: int = 0
    mismatches: list[dict[str, Any]] = field(default_factory=list)


def verify_experiments(*, progress: Callable[[int], None] | None = None) -> ExperimentCheck:
    result = ExperimentCheck()
    for experiment in Experiment.objects.order_by("pk").iterator(chunk_size=100):
        found = faults(experiment)
        result.checked += 1
        if found:
            result.mismatches.append({"experiment_id": experiment.pk, "reasons": found})
        if progress is not None:
            progress(1)
    return result
