"""Batches of transactions, which are settled together. A batch says no location and no change of its own."""

from typing import Final

from postback.domain.records import Record
from postback.resources.fields import Field, Kind
from postback.resources.resource import Resource

BATCH_NUMBER_MAX: Final = 2**31 - 1
LAST_SECOND: Final = 253_402_300_799
"""The end of the year 9999."""

_API_ORDER: Final = (
    "id",
    "batch_num",
    "product_transaction_id",
    "created_ts",
    "processing_status_id",
    "is_open",
    "batch_close_ts",
    "settlement_file_name",
)
# 1 to settle, 2 settled, 3 error, 4 to be processed again, 5 in process, 6 closed by force.
_PROCESSING_STATUSES: Final = (1, 2, 3, 4, 5, 6)


def api_view(record: Record) -> dict[str, object]:
    """The same fields as in an event, in the order of the API."""
    return {name: record.body[name] for name in _API_ORDER}


TRANSACTIONBATCH: Final = Resource(
    name="transactionbatch",
    plural="transactionbatches",
    prefix="bat",
    key=None,
    api_view=api_view,
    fields=(
        Field(name="id", read_only=True),
        Field(name="location_id", kind=Kind.ID, at_least=1, at_most=36, required=True, fixed=True, stored=False),
        Field(name="batch_num", kind=Kind.NUMBER, at_most=BATCH_NUMBER_MAX),
        Field(name="is_open", kind=Kind.BIT),
        Field(name="processing_status_id", kind=Kind.CHOICE, choices=_PROCESSING_STATUSES),
        Field(name="product_transaction_id", kind=Kind.ID, at_most=36),
        Field(name="created_ts", kind=Kind.NUMBER, read_only=True),
        Field(name="settlement_file_name"),
        Field(name="batch_close_ts", kind=Kind.NUMBER, at_most=LAST_SECOND),
    ),
)
