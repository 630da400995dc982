"""Friction rules as data: YAML files beside this module, and any directory of the user's own."""
