"""Friction detection: a function of (signals, promises, now) to a set of findings."""

from streams.friction.engine import Detection, detect
from streams.friction.finding import Finding

__all__ = ["Detection", "Finding", "detect"]
