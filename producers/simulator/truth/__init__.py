"""The truth about what hurt and what delighted: an exact and complete account of the 27 rules of the first edition.

`Ledger` is a plain computation over touchpoints and facts in order of occurrence; it shares nothing with the worker's
rules. A record is an episode that exists once the life has ended and time has passed to its end.
"""

from producers.simulator.truth.friction import EXACT_RULES, RULES, Friction
from producers.simulator.truth.ledger import Ledger

__all__ = ["EXACT_RULES", "RULES", "Friction", "Ledger"]
