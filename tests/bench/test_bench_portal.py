"""The bench of the portal: it asks for every page that there is, and counts as it says."""

import re

import pytest

from postback.bench.portal import PAGES, percentile_ms
from postback.web.routes import ROUTES

NO_PAGES = ("/live",)
"""What a page asks for by itself."""


def shape(path: str) -> str:
    """A path without its query, whatever its ids are called."""
    path = re.sub(r"{[a-z_]+}", "{}", path.partition("?")[0])
    return path.replace("/accounts/default/", "/accounts/{}/").replace("/events/sms.received", "/events/{}")


def test_every_page_of_the_portal_is_asked_for() -> None:
    shown = [route.path for route in ROUTES if route.method == "GET" and route.needs is not None]
    asked = {shape(path) for path in PAGES}

    assert [path for path in shown if shape(path) not in asked and not path.startswith(NO_PAGES)] == []


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (95, 4.0), (100, 4.0), (25, 1.0)])
def test_so_many_percent_took_at_most_that_long(percent: int, expected: float) -> None:
    assert percentile_ms([4_000_000, 1_000_000, 3_000_000, 2_000_000], percent) == expected
