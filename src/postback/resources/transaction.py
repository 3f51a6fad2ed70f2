"""Transactions: payments with cards and bank accounts, as the documented API keeps them."""

from string import ascii_uppercase
from typing import Final

from postback.domain.records import KEYS
from postback.resources.fields import AMOUNT_TYPES, Field, Kind
from postback.resources.resource import Resource

PAYMENT_METHODS: Final = ("cc", "ach")
ACCOUNT_TYPES: Final = ("visa", "mc", "disc", "amex", "jcb", "diners", "debit", "checking", "savings")
"""Of cards, then of bank accounts."""

_AVS: Final = ("GOOD", "BAD", "STREET", "ZIP")
# The first is blank: nothing came back.
_CVV_RESPONSES: Final = ("", "M", "N", "P", "S", "U", "X")
_ENTRY_MODES: Final = tuple("BSKCPF")
# 20 a sale, 21 verification of an address only, 22 settlement, 30 a refund, 40 a credit, 50 a debit.
_TYPES: Final = (20, 21, 22, 30, 40, 50)
# 101 approved, 102 authorized only, 111 refunded, 121 address verified, 131 to 136 on its way through the bank,
# 191 settled, 201 voided, 301 declined, 331 charged back.
_STATUSES: Final = (101, 102, 111, 121, *range(131, 137), 191, 201, 301, 331)
_SOURCES: Final = tuple(range(1, 16))
_REASON_CODES: Final = (
    *range(1000, 1006), 1200, 1201, 1500, 1510, 1518, 1520, 1530, 1531, 1540, 1541, 1588, 1599,
    *range(1601, 1632), *range(1650, 1666), 1701, *range(1800, 1806),
)  # fmt: skip

TRANSACTION: Final = Resource(
    name="transaction",
    plural="transactions",
    prefix="trx",
    key=KEYS["transaction"],
    fields=(
        Field(name="id", read_only=True),
        Field(name="payment_method", kind=Kind.CHOICE, choices=PAYMENT_METHODS),
        Field(name="account_vault_id", kind=Kind.ID, at_most=36),
        Field(name="recurring_id", kind=Kind.ID, at_most=36),
        Field(name="first_six", at_most=6),
        Field(name="last_four", at_most=4),
        Field(name="account_holder_name"),
        Field(name="transaction_amount", kind=Kind.AMOUNT, required=True),
        Field(name="description", at_most=64),
        Field(name="transaction_code"),
        Field(name="avs", kind=Kind.CHOICE, choices=_AVS),
        Field(name="batch"),
        Field(name="order_num", at_most=32),
        Field(name="verbiage"),
        Field(name="transaction_settlement_status"),
        Field(name="effective_date", kind=Kind.DATE),
        Field(name="routing", at_most=9, sensitive=True),
        Field(name="return_date", kind=Kind.DATE),
        Field(name="created_ts", kind=Kind.NUMBER, read_only=True),
        Field(name="modified_ts", kind=Kind.NUMBER, read_only=True),
        Field(name="transaction_api_id", at_most=64),
        Field(name="terms_agree"),
        Field(name="notification_email_address"),
        Field(name="notification_email_sent", kind=Kind.FLAG, default=False),
        Field(name="response_message", at_most=255),
        Field(name="auth_amount", kind=Kind.AMOUNT),
        Field(name="auth_code"),
        Field(name="status_id", kind=Kind.CHOICE, choices=_STATUSES),
        Field(name="type_id", kind=Kind.CHOICE, choices=_TYPES),
        Field(name="location_id", kind=Kind.ID, at_least=1, at_most=36, required=True, fixed=True),
        Field(name="reason_code_id", kind=Kind.CHOICE, choices=_REASON_CODES),
        Field(name="contact_id", kind=Kind.ID, at_most=36),
        Field(name="billing_zip", at_least=4, at_most=12),
        Field(name="billing_street", at_most=32),
        Field(name="product_transaction_id", kind=Kind.ID, at_most=36),
        Field(name="tax", kind=Kind.AMOUNT),
        Field(name="customer_ip", at_most=45),
        Field(name="customer_id", at_most=64),
        Field(name="po_number", at_most=24),
        Field(name="avs_enhanced", kind=Kind.CHOICE, choices=tuple(ascii_uppercase)),
        Field(name="cvv_response", kind=Kind.CHOICE, choices=_CVV_RESPONSES),
        Field(name="billing_phone", at_most=10),
        Field(name="billing_city", at_most=36),
        Field(name="billing_state"),
        Field(name="clerk_number", at_most=16),
        Field(name="tip_amount", kind=Kind.AMOUNT),
        Field(name="created_user_id", read_only=True),
        Field(name="modified_user_id", read_only=True),
        Field(name="ach_identifier"),
        Field(name="check_number"),
        Field(name="settle_date", kind=Kind.DATE),
        Field(name="charge_back_date", kind=Kind.DATE),
        Field(name="void_date", kind=Kind.DATE),
        Field(name="account_type", kind=Kind.CHOICE, choices=ACCOUNT_TYPES),
        Field(name="is_recurring", kind=Kind.FLAG, default=False),
        Field(name="is_accountvault", kind=Kind.FLAG, default=False),
        Field(name="transaction_c1", at_most=128),
        Field(name="transaction_c2", at_most=128),
        Field(name="transaction_c3", at_most=128),
        Field(name="additional_amounts", kind=Kind.AMOUNTS, at_most=len(AMOUNT_TYPES), default=()),
        Field(name="terminal_serial_number"),
        Field(name="entry_mode_id", kind=Kind.CHOICE, choices=_ENTRY_MODES),
        Field(name="terminal_id", kind=Kind.ID, at_most=36),
        Field(name="quick_invoice_id", kind=Kind.ID, at_most=36),
        Field(name="ach_sec_code"),
        Field(name="custom_data", kind=Kind.JSON, at_most=512),
        Field(name="hosted_payment_page_id", kind=Kind.ID, at_most=36),
        Field(name="trx_source_id", kind=Kind.CHOICE, choices=_SOURCES),
        Field(name="emv_receipt_data", kind=Kind.JSON, at_most=2048),
    ),
)
