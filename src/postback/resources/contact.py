"""Contacts, as the documented API keeps them."""

from typing import Final

from postback.domain.records import KEYS, Record
from postback.resources.fields import Field, Kind
from postback.resources.resource import UPDATE_IF_EXISTS, Resource

_API_ORDER: Final = (
    "id",
    "location_id",
    "account_number",
    "contact_api_id",
    "company_name",
    "first_name",
    "last_name",
    "email",
    "address",
    "city",
    "zip",
    "home_phone",
    "cell_phone",
    "office_phone",
    "office_ext_phone",
    "contact_balance",
    "email_trx_receipt",
    "created_ts",
    "modified_ts",
    "date_of_birth",
    "header_message",
    "header_message_type",
    "state",
    "contact_c1",
    "contact_c2",
    "contact_c3",
)


def api_view(record: Record) -> dict[str, object]:
    """The fields in the order and by the names of the API, which are not quite those of an event."""
    body = {**record.body, "header_message_type": record.body["header_message_type_id"]}
    return {name: body[name] for name in _API_ORDER}


CONTACT: Final = Resource(
    name="contact",
    plural="contacts",
    prefix="con",
    key=KEYS["contact"],
    api_view=api_view,
    fields=(
        Field(name="id", read_only=True),
        Field(name="location_id", kind=Kind.ID, at_least=1, at_most=36, required=True, fixed=True),
        Field(name="account_number", at_most=32),
        Field(name="contact_api_id", at_most=36),
        Field(name="company_name", at_most=64),
        Field(name="first_name", at_most=64),
        Field(name="last_name", at_least=1, at_most=64, required=True),
        Field(name="email", at_least=5, at_most=64),
        Field(name="address", at_most=255),
        Field(name="city", at_most=100),
        Field(name="state", at_least=2, at_most=2),
        Field(name="zip", at_least=4, at_most=12),
        Field(name="home_phone", at_least=10, at_most=10),
        Field(name="cell_phone", at_least=10, at_most=10),
        Field(name="office_phone", at_least=10, at_most=10),
        Field(name="office_ext_phone", at_most=10),
        Field(name="email_trx_receipt", kind=Kind.FLAG, default=False),
        Field(name="created_ts", kind=Kind.NUMBER, read_only=True),
        Field(name="modified_ts", kind=Kind.NUMBER, read_only=True),
        Field(name="date_of_birth", kind=Kind.DATE),
        Field(name="header_message", at_most=250),
        Field(name="header_message_type_id", kind=Kind.NUMBER, at_most=4, default=0, alias="header_message_type"),
        Field(name="contact_c1", at_most=128),
        Field(name="contact_c2", at_most=128),
        Field(name="contact_c3", at_most=128),
        Field(name="contact_balance", at_most=12),
        Field(name=UPDATE_IF_EXISTS, kind=Kind.FLAG, default=False, fixed=True, stored=False),
    ),
)
