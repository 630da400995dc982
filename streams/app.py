"""`create_app`: the Faust app, from settings. No logic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import faust

from schemas.settings import Settings
from streams.connections import Connections
from streams.transport import ChunkTransport

QUEUED_CHUNKS = 4
"""Chunks that wait between the consumer and the agent; with the fetched ones all that is read ahead."""
LONGEST_POLL_GAP_SECONDS = 86_400.0
"""How long the worker may go without polling. Backpressure is no reason to lose partitions; a hang is watched for."""


class WorkerApp(faust.App):
    """A Faust app that runs `opening` before its consumer starts."""

    opening: Callable[[], Awaitable[None]] | None = None

    async def on_start(self) -> None:
        """Start what the worker needs before it reads."""
        await super().on_start()
        if self.opening is not None:
            await self.opening()


def create_app(settings: Settings, connections: Connections) -> WorkerApp:
    """A Faust app that carries chunks, serves no web pages and keeps no tables. Call it in the worker's main thread."""
    session_seconds = settings.session_timeout.total_seconds()
    app = WorkerApp(
        settings.consumer_group,
        broker=[f"kafka://{server}" for server in connections.kafka_servers],
        autodiscover=False,
        origin="streams",
        datadir=str(settings.data_dir / "faust"),
        value_serializer="raw",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=QUEUED_CHUNKS,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=session_seconds,
        broker_rebalance_timeout=max(session_seconds, 10.0),
        broker_heartbeat_interval=session_seconds / 3,
        broker_request_timeout=max(90.0, 2 * session_seconds),
        broker_max_poll_interval=LONGEST_POLL_GAP_SECONDS,
        broker_max_poll_records=settings.chunk_records,
        consumer_max_fetch_size=4 * 1024 * 1024,
        broker_check_crcs=False,
        worker_redirect_stdouts=False,
        **connections.faust_options,
    )
    app.transport = ChunkTransport(app.conf.broker, app, app.loop)
    return app
