"""The history of records names the platform where it named operators, as receivers are sent it."""

from alembic import op

revision = "0014"
down_revision = "0013"

# An entry has the id of its row in the audit, which is kept for longer.
_OPERATORS = """
UPDATE changelogs SET key_id = 'platform', key_name = 'the platform'
WHERE id IN (
    SELECT id FROM audit
    WHERE is_operator = 1 AND (account <> 'default' OR substr(key_id, 1, 4) <> 'key_')
)
"""


def upgrade() -> None:
    op.execute(_OPERATORS)
