"""Serve ClickHouse's native and HTTP protocols from the wheel chdb-core: `python clickhouse_server.py DIRECTORY`.

DIRECTORY holds the `config.xml` and `users.xml` that `deploy.local.clickhouse` writes, and the data under `data`. The
process ends only by a signal: SIGTERM ends it at once, exactly as a crash would, which the storage is made for.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
import signal
import sys
from pathlib import Path
from types import ModuleType

# SYSTEM START LISTEN is a statement of clickhouse-local; the listeners live as long as the query after it. That one
# yields no rows, so that nothing piles up however long it runs; how long it may sleep is set in its user's profile.
SERVE = """
SYSTEM START LISTEN TCP;
SYSTEM START LISTEN HTTP;
SELECT number FROM system.numbers WHERE sleepEachRow(3) != 0
"""


def main() -> None:
    """Serve until a signal ends the process; exit with 1 if the listeners could not be started."""
    directory = Path(sys.argv[1]).resolve()
    engine = load_engine()
    os.chdir(directory)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # This becomes the default format of HTTP clients too: the one of every ClickHouse server.
    engine.query(SERVE, "TabSeparated", path=str(directory / "data"))
    sys.exit("ClickHouse stopped serving: the reason is above")


def load_engine() -> ModuleType:
    """Load chdb's extension module by its file.

    Importing the package `chdb` would open an in-memory database first, as a user whom our users.xml does not let in.
    """
    spec = importlib.util.find_spec("chdb")
    if spec is None or spec.origin is None:
        sys.exit("the wheel chdb-core is not installed: install journeys[local]")
    library = str(Path(spec.origin).with_name("_chdb.abi3.so"))
    # As chdb itself does: its own allocator must win over one that is already loaded.
    ctypes.CDLL(library, mode=sys.getdlopenflags() | os.RTLD_DEEPBIND)
    loader = importlib.machinery.ExtensionFileLoader("_chdb", library)
    extension = importlib.util.spec_from_file_location("_chdb", library, loader=loader)
    assert extension is not None
    engine = importlib.util.module_from_spec(extension)
    loader.exec_module(engine)
    return engine


if __name__ == "__main__":
    main()
