"""Lists by pages: which one is asked for, and the links to the others."""

from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from postback.ports import Page, Query, Search
from postback.web.visit import Visit

PAGE_SIZE: Final = 25
PAGE_MAX: Final = 100_000
SEARCH_MAX: Final = 200


class Pages(NamedTuple):
    """Where a list goes on; None where there is nothing before or after. `first` and `last` count its rows from 1."""

    total: int
    first: int
    last: int
    before: str | None
    after: str | None


def query_of(visit: Visit, sort: str, searched: tuple[str, ...] = (), **filters: str) -> Query:
    """By the parameters `page` and `search`; filters are exact."""
    asked, text = visit.asked("page"), visit.asked("search")[:SEARCH_MAX]
    # Sixteen digits and more are a number that no database has.
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 16 else 1
    return Query(
        page=min(max(number, 1), PAGE_MAX),
        page_size=PAGE_SIZE,
        sort=sort,
        filters={name: [value] for name, value in filters.items()},
        search=Search(searched, text) if text and searched else None,
    )


def pages_of(visit: Visit, query: Query, page: Page[Any]) -> Pages:
    first = (query.page - 1) * query.page_size + 1
    last = first + len(page.items) - 1

    def link(number: int) -> str:
        kept = {name: value for name, value in visit.request.query_params.items() if name != "page"}
        return "?" + urlencode({**kept, "page": number})

    return Pages(
        total=page.total,
        first=first if page.items else 0,
        last=max(last, 0) if page.items else 0,
        before=link(query.page - 1) if query.page > 1 else None,
        after=link(query.page + 1) if last < page.total and page.items else None,
    )
