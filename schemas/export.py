"""`python -m schemas.export`: write the JSON Schemas and the reference page anew."""

from __future__ import annotations

from pathlib import Path

from schemas.json_schema import FACT_SCHEMA_FILE, SCHEMA_FILE, fact_schema, touchpoint_schema, write_schema
from schemas.reference import touchpoints_page

ROOT = Path(__file__).resolve().parent.parent


def exports() -> dict[Path, str]:
    """Every generated file and what it must hold."""
    return {
        ROOT / "schemas" / SCHEMA_FILE: write_schema(touchpoint_schema()),
        ROOT / "schemas" / FACT_SCHEMA_FILE: write_schema(fact_schema()),
        ROOT / "docs" / "touchpoints.md": touchpoints_page(),
    }


def main() -> None:
    """Write them."""
    for path, text in exports().items():
        path.write_text(text, "utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
