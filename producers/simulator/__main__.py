"""`python -m producers.simulator`: a simulated shop as NDJSON on standard output."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from producers.simulator.shop import Shop
from producers.simulator.stream import as_ndjson, disorder
from schemas.moments import check_moment

_EXAMPLES = """examples:
  python -m producers.simulator --customers 20000 --count 400000 > shop.ndjson
  python -m producers.simulator --count 50000 --seed 7 --truth truth.ndjson > shop.ndjson
  python -m producers.simulator --late-share 0.02 --max-late-seconds 3600 --duplicate-share 0.01 > shop.ndjson
"""
_DEFAULT_START = "2026-09-01T00:00:00+03:00"


def _moment(text: str) -> datetime:
    try:
        return check_moment(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def make_parser() -> ArgumentParser:
    """The options of the command."""
    parser = ArgumentParser(
        prog="python -m producers.simulator",
        description="Write the touchpoints of a simulated shop to standard output, one JSON object a line, "
        "in order of occurrence. The same options give the same bytes.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=10_000, help="touchpoints to write (default %(default)s)")
    parser.add_argument("--customers", type=int, default=10_000, help="customers of the shop (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another life (default %(default)s)")
    parser.add_argument(
        "--start", type=_moment, default=_moment(_DEFAULT_START), metavar="TIME", help=f"default {_DEFAULT_START}"
    )
    parser.add_argument(
        "--stories-per-day", type=float, help="stories that begin a day (default: one per customer in 14 days)"
    )
    parser.add_argument("--truth", type=Path, metavar="FILE", help="write what hurt and what delighted, as NDJSON")
    parser.add_argument(
        "--facts", type=Path, metavar="FILE", help="write the facts (restocks, stock levels), as NDJSON"
    )
    parser.add_argument("--anonymous-share", type=float, default=0.0, help="visits that are anonymous until the log-in")
    parser.add_argument("--no-personal", action="store_true", help="leave out phone numbers and e-mail addresses")
    parser.add_argument("--late-share", type=float, default=0.0, help="share of touchpoints that arrive late")
    parser.add_argument("--max-late-seconds", type=float, default=3600.0, help="how late (default %(default)s)")
    parser.add_argument("--duplicate-share", type=float, default=0.0, help="share of touchpoints that arrive twice")
    return parser


def _tell(
    shop: Shop, count: int, truth: Callable[[bytes], Any] | None, facts: Callable[[bytes], Any] | None
) -> Iterator[dict[str, Any]]:
    """The touchpoints; on the way, what else is told goes to its file."""
    encode = msgspec.json.Encoder().encode
    # The truth takes time: only who asks for it waits for it.
    told = shop.happenings(count) if truth is not None else (step[1:] for step in shop.steps(count))
    for kind, payload in told:
        if kind == "touchpoint":
            yield payload
        elif kind == "friction" and truth is not None:
            truth(encode(payload.as_dict()) + b"\n")
        elif kind == "fact" and facts is not None:
            facts(encode(payload) + b"\n")


def _writer(files: ExitStack, path: Path | None) -> Callable[[bytes], Any] | None:
    return None if path is None else files.enter_context(path.open("wb")).write


def write(options: Namespace, out: BinaryIO) -> None:
    """Write the shop that the options describe. Raises ValueError for a bad number, OSError for a bad file."""
    if options.count < 1:
        raise ValueError("--count must be at least 1")
    shop = Shop(
        options.seed,
        options.start,
        options.customers,
        stories_per_day=options.stories_per_day,
        anonymous_share=options.anonymous_share,
        personal=not options.no_personal,
    )
    with ExitStack() as files:
        told = _tell(shop, options.count, _writer(files, options.truth), _writer(files, options.facts))
        arriving = disorder(told, options.seed, options.late_share, options.max_late_seconds, options.duplicate_share)
        out.writelines(as_ndjson(arriving if options.late_share or options.duplicate_share else told))
        out.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when everything was written."""
    options = make_parser().parse_args(arguments)
    try:
        write(options, sys.stdout.buffer)
    except BrokenPipeError:
        # The reader (head, say) has had enough; the interpreter must not try to flush into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
