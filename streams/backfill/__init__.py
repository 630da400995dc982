"""Backfill: years of history from files into finished journeys, past Kafka, by the rules of the stream. Pure."""
