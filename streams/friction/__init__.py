"""Detection: a function of (touches, promises, facts, time) to a set of findings."""

from streams.friction.finding import Finding
from streams.friction.plan import Plan
from streams.friction.watch import Changes, Circumstances, History, Watch

__all__ = ["Changes", "Circumstances", "Finding", "History", "Plan", "Watch"]
