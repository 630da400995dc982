"""One module per command of `journeys`; `console.cli` puts them together."""
