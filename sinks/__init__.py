"""Where results land: the ClickHouse writer, its migrations and the analyst views."""
