"""Failures are counted by their cause: those that are in the log already are found there."""

from alembic import op
from sqlalchemy import text

revision = "0011"
down_revision = "0010"

# Numbers of storage/measures.py and storage/causes.py: 1000 and the status of an answer, or else from 2000 on.
BY_CAUSE = """
INSERT INTO counters (account, config_id, minute, measure, count)
SELECT account, config_id, minute, measure, count(*)
FROM (
    SELECT
        account,
        config_id,
        ended_ms / 60000 AS minute,
        CASE
            WHEN reason IN ('bad_status', 'redirect_not_followed') THEN 1000 + status
            WHEN reason = 'dns_error' THEN 2000
            WHEN reason = 'blocked_address' THEN 2001
            WHEN reason = 'no_route' THEN 2002
            WHEN reason = 'connect_timeout' THEN 2003
            WHEN reason = 'connection_refused' THEN 2004
            WHEN reason = 'tls_error' AND lower(detail) LIKE '%certificate has expired%' THEN 2006
            WHEN reason = 'tls_error' AND lower(detail) LIKE '%certificate is not valid for%' THEN 2007
            WHEN
                reason = 'tls_error' AND (
                    lower(detail) LIKE '%self-signed certificate%'
                    OR lower(detail) LIKE '%self signed certificate%'
                    OR lower(detail) LIKE '%unable to get local issuer certificate%'
                    OR lower(detail) LIKE '%unable to verify the first certificate%'
                )
                THEN 2008
            WHEN reason = 'tls_error' THEN 2005
            WHEN reason = 'response_timeout' THEN 2009
            WHEN reason = 'connection_reset' THEN 2010
            WHEN reason = 'bad_response' THEN 2011
            WHEN reason = 'interrupted' THEN 2012
            WHEN reason = 'cannot_render' THEN 2013
            WHEN reason = 'internal_error' THEN 2014
            WHEN reason = 'poison' THEN 2015
            WHEN reason = 'expired' THEN 2016
            WHEN reason = 'cancelled' THEN 2017
        END AS measure
    FROM attempts
    WHERE verdict = 2 AND manual <> 2
) AS failed
WHERE measure IS NOT NULL AND minute > 0
GROUP BY account, config_id, minute, measure
"""


def upgrade() -> None:
    condition = text("measure >= 1000")
    op.create_index(
        "counters_of_causes", "counters", ["account", "minute"], sqlite_where=condition, postgresql_where=condition
    )
    op.execute(BY_CAUSE)
