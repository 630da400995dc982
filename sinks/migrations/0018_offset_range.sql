-- Who takes a partition over asks what was found late among the records that it may read again: those written last.
ALTER TABLE journeys.touchpoints ADD INDEX IF NOT EXISTS offset_range _offset TYPE minmax GRANULARITY 1;
ALTER TABLE journeys.touchpoints MATERIALIZE INDEX offset_range;
