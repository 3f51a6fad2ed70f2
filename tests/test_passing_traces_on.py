"""A trace goes through: from the publisher's request over the event to each POST, and the log shows what was sent."""

from collections.abc import Iterator

import pytest

from postback.api.traces import trace_of
from postback.domain.configs import SigningSecret
from postback.domain.traces import read_traceparent
from postback.formats import render
from postback.receiver.server import Behaviour, Received, TestReceiver
from tests.build import NOON, a_config, an_event
from tests.live import Live
from tests.spans import TRACE_ID, TRACEPARENT


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("live")) as live:
        yield live


def test_each_attempt_is_sent_with_a_span_of_its_own_and_the_log_shows_which(live: Live) -> None:
    arrived: list[Received] = []
    with TestReceiver(lambda request, _: arrived.append(request), Behaviour(503, count=1)) as receiver:
        config = live.config(f"{receiver.url}/in", "order.paid", number_of_attempts=2, attempt_interval=1)
        event = live.publish("order.paid", headers={"traceparent": TRACEPARENT})
        live.until_nothing_is_owed()

    sent = [request.header("traceparent") or "" for request in arrived]
    spans = [read_traceparent(text) for text in sent]
    assert [span and span.trace_id for span in spans] == [TRACE_ID] * 2
    assert len({TRACEPARENT, *sent}) == 3
    delivery = live.ask("GET", f"/v2/deliveries/dlv_{event[4:]}{config[4:]}").json["delivery"]
    assert [attempt["request"]["headers"]["traceparent"] for attempt in delivery["attempts"]] == sent
    lines = [line for line in live.lines("attempt retry") + live.lines("attempt delivered") if line["config"] == config]
    assert [f"00-{line['trace_id']}-{line['span_id']}-01" for line in lines] == sent


def test_an_event_without_a_trace_is_sent_without_one(live: Live) -> None:
    arrived: list[Received] = []
    with TestReceiver(lambda request, _: arrived.append(request)) as receiver:
        live.config(f"{receiver.url}/in", "order.sent")
        live.publish("order.sent")
        live.publish("order.sent", headers={"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"})
        live.until_nothing_is_owed()

    assert [request.header("traceparent") for request in arrived] == [None, None]


def test_a_batch_belongs_to_the_trace_of_its_request(live: Live) -> None:
    batch = {"events": [{"type": "order.batched", "data": {}}, {"type": "order.batched", "data": {}}]}

    assert live.ask("POST", "/v2/events", batch, headers={"traceparent": TRACEPARENT}).status == 202

    assert live.rows("SELECT trace FROM events WHERE type = 'order.batched'") == [(TRACEPARENT,)] * 2


def test_a_change_of_a_record_belongs_to_the_trace_of_its_request(live: Live) -> None:
    location = live.made("/v2/locations", {"location": {"name": "Here"}})["id"]
    traced = {"traceparent": TRACEPARENT}

    contact = live.made("/v2/contacts", {"contact": {"last_name": "J", "location_id": location}}, headers=traced)["id"]
    live.ask("PUT", f"/v2/contacts/{contact}", {"contact": {"last_name": "K"}}, headers=traced)
    live.ask("DELETE", f"/v2/contacts/{contact}", headers=traced)

    found = live.rows("SELECT type, trace FROM events WHERE subject = ? ORDER BY id", contact)
    assert found == [(f"contact.{verb}", TRACEPARENT) for verb in ("created", "updated", "deleted")]


def test_a_header_of_the_config_itself_is_sent_as_the_owner_set_it(live: Live) -> None:
    """Two of them would be none: a receiver could not tell which holds."""
    own = f"00-{'a' * 32}-{'b' * 16}-00"
    arrived: list[Received] = []
    with TestReceiver(lambda request, _: arrived.append(request)) as receiver:
        live.config(f"{receiver.url}/in", "order.own", headers={"Traceparent": own})
        live.publish("order.own", headers={"traceparent": TRACEPARENT})
        live.until_nothing_is_owed()

    assert [value for name, value in arrived[0].headers if name.lower() == "traceparent"] == [own]


def test_a_signature_does_not_depend_on_the_trace() -> None:
    config = a_config(format="json", signing_secrets=(SigningSecret("whsec_" + "QUJD" * 8),))
    traced = render(an_event(trace=TRACEPARENT), config, 1, NOON)
    untraced = render(an_event(), config, 1, NOON)

    assert traced.body == untraced.body
    assert [header for header in traced.headers if header[0] != "traceparent"] == list(untraced.headers)
    assert len(traced.headers) == len(untraced.headers) + 1


def test_what_a_column_of_a_damaged_row_says_is_not_sent() -> None:
    assert render(an_event(trace="nonsense\r\nX-Evil: 1"), a_config(), 1, NOON).headers == ()


def test_only_one_header_names_a_trace() -> None:
    header = (b"traceparent", TRACEPARENT.encode())

    assert trace_of({"headers": [header]}) == TRACEPARENT
    assert trace_of({"headers": [header, header]}) is None
    assert trace_of({"headers": [(b"traceparent", b"\xff" * 55)]}) is None
    assert trace_of({"headers": []}) is None
