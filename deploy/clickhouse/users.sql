-- Users of an existing ClickHouse server, each with no more than it needs. Run it as an administrator, once
-- `journeys migrate` has made the databases, with passwords of your own in place of the ones named here:
--
--   clickhouse-client --queries-file users.sql
--
-- `journeys_admin` is whom `journeys migrate` connects as: it owns tables and views.
CREATE USER IF NOT EXISTS journeys_admin IDENTIFIED BY 'PASSWORD-OF-ADMIN';
GRANT SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, TRUNCATE, OPTIMIZE ON journeys.* TO journeys_admin;
GRANT SHOW, SELECT, CREATE DATABASE, CREATE VIEW, DROP VIEW, ALTER VIEW, ALTER COMMENT COLUMN ON analytics.* TO journeys_admin;
GRANT TABLE ENGINE ON * TO journeys_admin;
-- `journeys migrate --check` runs the migrations into databases of its own, compares and drops them.
GRANT SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP ON journeys_check_*.* TO journeys_admin;
GRANT SHOW, SELECT, CREATE DATABASE, CREATE VIEW, ALTER VIEW, ALTER COMMENT COLUMN, DROP ON analytics_check_*.* TO journeys_admin;
GRANT SELECT ON system.data_skipping_indices TO journeys_admin;
GRANT SELECT ON system.clusters TO journeys_admin;
GRANT SELECT ON system.macros TO journeys_admin;
GRANT SET DEFINER ON journeys_admin TO journeys_admin;

-- `journeys_worker` is whom `journeys worker` and `journeys backfill` connect as: it adds rows and reads them back, and changes no schema.
CREATE USER IF NOT EXISTS journeys_worker IDENTIFIED BY 'PASSWORD-OF-WORKER' SETTINGS async_insert = 0;
GRANT SELECT, INSERT ON journeys.* TO journeys_worker;
GRANT SELECT ON analytics.* TO journeys_worker;

-- `journeys_console` is whom `journeys alerts`, `identity`, `dead-letters`, `status`, `doctor`, `reconcile` and `rules backtest`
-- connect as: it reads everything, and adds what people did.
CREATE USER IF NOT EXISTS journeys_console IDENTIFIED BY 'PASSWORD-OF-CONSOLE';
GRANT SELECT ON journeys.* TO journeys_console;
GRANT SELECT ON analytics.* TO journeys_console;
GRANT INSERT ON journeys.alert_actions TO journeys_console;
GRANT INSERT ON journeys.dead_letter_replays TO journeys_console;
GRANT CREATE TEMPORARY TABLE ON *.* TO journeys_console;

-- `journeys_eraser` is whom `journeys forget` connects as: it reads everything, and takes customers out of it.
CREATE USER IF NOT EXISTS journeys_eraser IDENTIFIED BY 'PASSWORD-OF-ERASER';
GRANT SELECT, ALTER DELETE, ALTER UPDATE, ALTER SETTINGS, SYSTEM CLEANUP ON journeys.* TO journeys_eraser;
GRANT INSERT ON journeys.forgotten TO journeys_eraser;
GRANT SELECT ON analytics.* TO journeys_eraser;
GRANT SELECT ON system.parts TO journeys_eraser;
GRANT SELECT ON system.detached_parts TO journeys_eraser;
GRANT SELECT ON system.merge_tree_settings TO journeys_eraser;
GRANT CREATE TEMPORARY TABLE ON *.* TO journeys_eraser;

-- `analyst` reads the views of `analytics` within bounds and nothing else: no base table, no raw bytes, no state.
CREATE SETTINGS PROFILE IF NOT EXISTS journeys_reader SETTINGS readonly = 2, max_execution_time = 60 MAX 60,
  max_memory_usage = 2147483648 MAX 2147483648, max_result_rows = 1000000, max_concurrent_queries_for_user = 8;
CREATE USER IF NOT EXISTS analyst IDENTIFIED BY 'PASSWORD-OF-ANALYST' SETTINGS PROFILE journeys_reader;
GRANT SELECT ON analytics.* TO analyst;
