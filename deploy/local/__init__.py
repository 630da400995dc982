"""The embedded stack: a Kafka-protocol broker and a ClickHouse server from wheels, supervised, in one directory."""
