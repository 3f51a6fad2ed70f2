"""What many deliveries at once look like, as JSON Schemas: the filter, the count, the job."""

from typing import Final

from postback.actions.fields import TEXT_MAX
from postback.api.schema_parts import (
    BOOLEAN,
    NUMBER,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    Schema,
    a_list,
    an_object,
    ref,
    said,
)
from postback.domain.events import TYPE_MAX
from postback.domain.jobs import COUNTED_MAX, SELECTABLE, JobKind, JobState

SEARCHED: Final = "The beginning of an id (evt_, dlv_, pbc_), the host of a URL, the name of a config, a message's tracking id, or else exactly what events are about."

_STATES: Final = {
    JobKind.REPLAY: "What is finished; by default failed.",
    JobKind.CANCEL: "What is open; by default all of it.",
}


def _asked(kind: JobKind) -> Schema:
    narrowing: Schema = {
        "state": said(TEXT, _STATES[kind], enum=[str(state) for state in SELECTABLE[kind]]),
        "postbackconfig_id": said(TEXT, "Deliveries to this config."),
        "event_type": said(TEXT, "Of events of this type.", minLength=1, maxLength=TYPE_MAX),
        "location_id": said(TEXT, "Of events of this location.", minLength=1),
        "reason": said(
            TEXT,
            "Whose last attempt failed for this reason: connection_refused, bad_status.503, tls_error.certificate_expired.",
        ),
        "since": said(TIME, "Of events accepted then or later."),
        "until": said(TIME, "Of events accepted before then."),
        "search": said(TEXT, SEARCHED, minLength=1, maxLength=TEXT_MAX),
    }
    return an_object(
        {
            "filter": an_object(narrowing, description="At least one of them besides state, or all beside it."),
            "all": said(BOOLEAN, "That a filter which narrows nothing, but perhaps the state, is meant so."),
            "dry_run": said(BOOLEAN, "Only count; nothing is done."),
        },
        example={"filter": {"postbackconfig_id": "pbc_38fweqg9nzw00", "since": "2026-11-21T00:00:00Z"}},
    )


_FILTER_SHOWN: Final = an_object(
    {
        "state": TEXT,
        "postbackconfig_id": TEXT,
        "event_type": TEXT,
        "location_id": TEXT,
        "reason": TEXT,
        "since": TIME,
        "until": TIME,
        "search": TEXT,
    },
    description="As it was asked for, the default state included.",
)

REPLAY_SCHEMAS: Final[Schema] = {
    "NewReplay": _asked(JobKind.REPLAY),
    "NewCancel": _asked(JobKind.CANCEL),
    "Count": an_object(
        {"count": said(NUMBER, f"How many deliveries it would be; {COUNTED_MAX} stands for that many or more.")},
        required=("count",),
        example={"count": 4812},
    ),
    "Replay": an_object(
        {
            "id": TEXT,
            "kind": said(TEXT, "What is done with the deliveries.", enum=list(JobKind)),
            "state": said(TEXT, "Whether it is still at work.", enum=list(JobState)),
            "filter": _FILTER_SHOWN,
            "selected": said(NUMBER, f"How many it was to be; beyond {COUNTED_MAX} it grows as they are done."),
            "done": said(NUMBER, "How many were replayed, or cancelled."),
            "skipped": said(NUMBER, "How many were not any more what they had been, or have no config now."),
            "created_at": TIME,
            "finished_at": TIME_OR_NULL,
        },
        example={
            "id": "rpl_38fweqzz5zw00",
            "kind": "replay",
            "state": "running",
            "filter": {"state": "failed", "postbackconfig_id": "pbc_38fweqg9nzw00"},
            "selected": 4812,
            "done": 1400,
            "skipped": 0,
            "created_at": "2026-11-21T04:55:46.088Z",
            "finished_at": None,
        },
    ),
    "Replays": an_object(
        {
            "replays": a_list(ref("Replay")),
            "next_cursor": said(TEXT_OR_NULL, "What to send as cursor for the next part; null at the end."),
        }
    ),
}
