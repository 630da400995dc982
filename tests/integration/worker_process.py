"""One worker as a process of its own, configured by the environment: `python -m tests.integration.worker_process`."""

from __future__ import annotations

from deploy.services import Services, clickhouse_client_options, kafka_client_options
from schemas.settings import Settings
from schemas.touchpoint import READ_VERSIONS
from streams.connections import Connections
from streams.worker import run_worker


def main(versions: frozenset[int] = READ_VERSIONS) -> None:
    settings = Settings()
    services = Services.resolve(settings)
    run_worker(
        settings,
        Connections(
            services.kafka,
            kafka_client_options(settings, "faust"),
            kafka_client_options(settings, "aiokafka"),
            clickhouse_client_options(services.clickhouse_url, settings),
        ),
        versions,
    )


if __name__ == "__main__":
    main()
