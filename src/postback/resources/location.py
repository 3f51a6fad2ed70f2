"""Locations: the places of business of an account, to which events and configs belong."""

from typing import Final

from postback.domain import records
from postback.resources.fields import Field, Kind
from postback.resources.resource import Resource

LOCATION: Final = Resource(
    name=records.LOCATION,
    plural="locations",
    prefix="loc",
    key=records.KEYS[records.LOCATION],
    fields=(
        Field(name="id", read_only=True),
        Field(name="account_number", at_most=32),
        Field(name="location_api_id", at_most=36),
        Field(name="name", at_least=1, at_most=64, required=True),
        Field(name="address1", at_most=32),
        Field(name="address2", at_most=32),
        Field(name="city", at_most=100),
        Field(name="state", at_most=100),
        Field(name="zip_code", at_least=5, at_most=10),
        Field(name="office_phone", at_least=10, at_most=10),
        Field(name="office_ext_phone", at_most=10),
        Field(name="fax", at_least=10, at_most=10),
        Field(name="aba", at_least=9, at_most=9, sensitive=True),
        Field(name="dda", at_least=3, at_most=32, sensitive=True),
        Field(name="ticket_hash_key", at_least=36, at_most=36, sensitive=True),
        Field(name="tz", at_most=24, default="America/New_York"),
        Field(name="receipt_logo", at_most=256),
        Field(name="created_ts", kind=Kind.NUMBER, read_only=True),
        Field(name="modified_ts", kind=Kind.NUMBER, read_only=True),
        Field(name="location_api_key", at_least=36, at_most=36, sensitive=True),
        Field(name="branding_domain_url"),
        Field(name="parent_id", kind=Kind.ID, at_most=36),
        Field(name="email_reply_to", at_most=60),
        Field(name="location_c1", at_most=128),
        Field(name="location_c2", at_most=128),
        Field(name="location_c3", at_most=128),
        Field(name="branding_domain_id", kind=Kind.ID, at_most=36),
        Field(name="default_cc", kind=Kind.ID, at_most=36),
        Field(name="default_ach", kind=Kind.ID, at_most=36),
        Field(name="developer_company_id", kind=Kind.ID, at_most=36),
        Field(name="contact_email_trx_receipt_default", kind=Kind.FLAG, default=False),
        Field(name="recurring_notification_days_default", kind=Kind.NUMBER, at_most=365, default=0),
        Field(name="show_contact_files", kind=Kind.FLAG, default=False),
        Field(name="show_contact_notes", kind=Kind.FLAG, default=False),
    ),
)
