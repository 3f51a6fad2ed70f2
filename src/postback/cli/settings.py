"""`settings`: every setting as it holds here, and where its value comes from."""

from postback.cli.client import Json
from postback.cli.output import print_json, print_table
from postback.settings import described, load_settings, shown, source_of


def settings(*, as_json: Json = False) -> None:
    """Show the settings: value, where it comes from, and what it means."""
    held = load_settings()
    rows = [(one.name, shown(held, one.field), source_of(one.field), one.sentence) for one in described()]
    if as_json:
        print_json([dict(zip(("name", "value", "source", "meaning"), row, strict=True)) for row in rows])
    else:
        print_table(["Setting", "Value", "From", "Meaning"], rows, "no settings")
