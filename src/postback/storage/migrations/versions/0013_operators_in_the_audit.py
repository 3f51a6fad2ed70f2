"""The audit knows which of its entries were made by operators, whom accounts are not told of."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

# Users are never removed, and of an operator key that was revoked the audit has the revocation.
_OPERATORS = """
UPDATE audit SET is_operator = 1
WHERE key_id = 'command-line'
    OR key_id IN (SELECT id FROM users WHERE account IS NULL)
    OR key_id IN (SELECT id FROM api_keys WHERE account IS NULL)
    OR key_id IN (SELECT target FROM audit WHERE action = 'key.revoke' AND account IS NULL)
"""


def upgrade() -> None:
    op.add_column("audit", sa.Column("is_operator", sa.SmallInteger(), nullable=False, server_default="0"))
    op.execute(_OPERATORS)
