"""Account vaults: cards and bank accounts that are kept for later payments."""

from typing import Final

from postback.domain.records import KEYS
from postback.resources.fields import Field, Kind
from postback.resources.resource import Resource
from postback.resources.transaction import ACCOUNT_TYPES, PAYMENT_METHODS

MONTHS: Final = 1200

ACCOUNTVAULT: Final = Resource(
    name="accountvault",
    plural="accountvaults",
    prefix="acv",
    key=KEYS["accountvault"],
    fields=(
        Field(name="id", read_only=True),
        Field(name="payment_method", kind=Kind.CHOICE, choices=PAYMENT_METHODS),
        Field(name="title"),
        Field(name="account_holder_name"),
        Field(name="first_six", at_most=6),
        Field(name="last_four", at_most=4),
        Field(name="billing_address"),
        Field(name="billing_zip", at_least=4, at_most=12),
        # Month and year, such as 0922.
        Field(name="exp_date", at_least=4, at_most=4),
        Field(name="routing", at_most=9, sensitive=True),
        Field(name="account_type", kind=Kind.CHOICE, choices=ACCOUNT_TYPES),
        Field(name="location_id", kind=Kind.ID, at_least=1, at_most=36, required=True, fixed=True),
        Field(name="contact_id", kind=Kind.ID, at_most=36),
        Field(name="created_ts", kind=Kind.NUMBER, read_only=True),
        Field(name="modified_ts", kind=Kind.NUMBER, read_only=True),
        Field(name="account_vault_api_id", at_most=36),
        Field(name="dl_number", sensitive=True),
        Field(name="dl_state", at_least=2, at_most=2),
        Field(name="customer_id", at_most=64),
        Field(name="ssn4", at_least=4, at_most=4, sensitive=True),
        Field(name="dob_year", at_least=4, at_most=4, sensitive=True),
        Field(name="billing_state"),
        Field(name="billing_city", at_most=36),
        Field(name="billing_phone", at_most=10),
        Field(name="accountvault_c1", at_most=128),
        Field(name="accountvault_c2", at_most=128),
        Field(name="accountvault_c3", at_most=128),
        # Of one that has expired, how long ago.
        Field(name="expiring_in_months", kind=Kind.NUMBER, at_least=-MONTHS, at_most=MONTHS),
        Field(name="has_recurring", kind=Kind.FLAG, default=False),
        Field(name="ach_sec_code"),
        Field(name="active", kind=Kind.BIT, default=1),
    ),
)
