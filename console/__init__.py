"""What people touch: the `journeys` command."""
