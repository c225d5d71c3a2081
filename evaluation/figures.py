"""A figure as it is reported: mean, 95 % bootstrap interval and number of values."""

from collections.abc import Sequence

from evaluation.metrics import bootstrap_interval
from training.scoring import accuracy


def mean_with_interval(values: Sequence[float]) -> dict[str, float | int]:
    """Return `mean`, `low`, `high` (95 % bootstrap interval of the mean) and `n`; zeros where there is no value."""
    low, high = bootstrap_interval(values)
    mean = sum(values) / len(values) if values else 0.0
    return {"mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4), "n": len(values)}


def share_with_interval(marks: Sequence[float]) -> dict[str, float | int]:
    """The same of marks that are 0 or 1, with Wilson's interval: few marks that all agree are not sure either."""
    score = accuracy(marks)
    low, high = (score.low, score.high) if marks else (0.0, 0.0)
    return {"mean": round(score.mean, 4), "low": round(low, 4), "high": round(high, 4), "n": score.n}
