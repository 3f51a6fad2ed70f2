"""What a hold looks like, as a JSON Schema with an example."""

from typing import Final

from postback.api.schema_parts import (
    BOOLEAN,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TIME_OR_NULL,
    Schema,
    a_list,
    an_object,
    said,
)
from postback.domain.configs import ConfigState
from postback.domain.restored import COUNTED_MAX, MOST

_OWED_TO: Final = an_object(
    {
        "account": TEXT,
        "postbackconfig_id": TEXT,
        "state": said(
            TEXT,
            "Only those of an active one are sent; those of a deleted one end as cancelled.",
            enum=list(ConfigState),
        ),
        "url": said(TEXT_OR_NULL, "Null where the config was deleted."),
        "owed": NUMBER,
    }
)

HOLD_SCHEMAS: Final[Schema] = {
    "Hold": an_object(
        {
            "is_held": said(BOOLEAN, "Whether nothing is delivered until it is released."),
            "known_until": said(
                TIME_OR_NULL,
                "The time of the last thing that the restored copy knew; null where the server was not started after a "
                "restore, or the copy was empty.",
            ),
            "owed": said(
                NUMBER_OR_NULL,
                f"Deliveries owed now, counted up to {COUNTED_MAX:,}; null where it is not held, as are the next two.",
            ),
            "owed_in_copy": said(NUMBER_OR_NULL, "Of these, those of events that the copy had."),
            "replays": said(NUMBER_OR_NULL, "Jobs in the copy that would go on replaying deliveries."),
            "most_owed": a_list(_OWED_TO, description=f"The configs that are owed most, at most {MOST}."),
        },
        example={
            "is_held": True,
            "known_until": "2026-11-20T23:00:04.120Z",
            "owed": 1204,
            "owed_in_copy": 1200,
            "replays": 0,
            "most_owed": [
                {
                    "account": "default",
                    "postbackconfig_id": "pbc_38fweqg9nzw00",
                    "state": "active",
                    "url": "https://shop.example/hooks",
                    "owed": 1204,
                }
            ],
        },
    )
}
