"""`journeys backfill` with small ranges, as a process that can be killed: `DATA_DIR PARTITIONS FILE...`."""

import sys
from pathlib import Path

from console.backfill_run import Wanted, look_into, opened_run
from console.backfilling import Backfill
from deploy.services import Services, clickhouse_client_options
from schemas.settings import Settings

RANGE_TOUCHPOINTS, PIECE_ROWS = 300, 800


def main() -> None:
    directory, partitions, files = Path(sys.argv[1]), int(sys.argv[2]), [Path(name) for name in sys.argv[3:]]
    settings = Settings(data_dir=directory)
    options = clickhouse_client_options(Services.resolve(settings).clickhouse_url, settings)
    wanted = Wanted(files, None, directory, 2, range_touchpoints=RANGE_TOUCHPOINTS, piece_rows=PIECE_ROWS)
    with opened_run(wanted, look_into(wanted), settings) as run:
        if not run.is_done:
            Backfill(run, settings, options, partitions, lambda *_: None, lambda _: None).run()


if __name__ == "__main__":
    main()
