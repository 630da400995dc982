"""What the README says of settings is what they are."""

import re

from console.settings_view import show_value, variable
from schemas.settings import Settings
from tests.console.running import ROOT

ROW = re.compile(r"^\| `(JOURNEYS_\w+)` \| (.+?) \| (.+) \|$", re.MULTILINE)


def test_the_table_of_settings_is_that_of_the_code() -> None:
    table = {
        name: (default, meaning) for name, default, meaning in ROW.findall((ROOT / "README.md").read_text("utf-8"))
    }
    fields = {variable(name): field for name, field in Settings.model_fields.items()}
    assert list(table) == list(fields)
    for name, field in fields.items():
        shown = show_value(field.default)
        default, meaning = table[name]
        assert default == (shown if shown == "-" else f"`{shown}`"), name
        assert meaning == (field.description or meaning), name
