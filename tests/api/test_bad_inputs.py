"""Bad bodies, paths and values, each with what it must get. What lies below HTTP is in test_bad_connections."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from postback.actions import jsontext
from postback.ports import LogFilter
from tests.api.client import Api, Client, Reply
from tests.build import ACCOUNT

pytestmark = pytest.mark.anyio

EVENTS, CONFIGS, LOCATIONS = "/v2/events", "/v2/postbackconfigs", "/v2/locations"
EVERYWHERE = pytest.mark.parametrize("target", [EVENTS, CONFIGS, LOCATIONS, "/v2/keys"])
WRAPPER = {EVENTS: "event", CONFIGS: "postbackconfig", LOCATIONS: "location", "/v2/keys": "key"}


@pytest.fixture
async def location_id(api: Api) -> str:
    return await api.location()


def is_malformed(reply: Reply, *words: str) -> None:
    """A 400 in our form, whose message says what and where."""
    assert (reply.status, reply.code) == (400, "malformed"), reply.body
    for word in words:
        assert word in reply.message


def holding(target: str, value: bytes) -> bytes:
    """A body for the route with this JSON somewhere inside."""
    if target == EVENTS:
        return b'{"event":{"type":"a.b","data":{"x":%b}}}' % value
    return b'{"%b":{"name":%b}}' % (WRAPPER[target].encode(), value)


async def events(client: Client) -> list[Any]:
    found: list[Any] = (await client.get(EVENTS)).json["events"]
    return found


@EVERYWHERE
async def test_01_what_is_not_json_is_a_400_with_the_position(client: Client, target: str) -> None:
    for body in (
        b"", b" \n", b"{}x", b'{"a":1,}', b'{"a":1 /* one */}', b"{'a':1}", b'{"a":01}', b'{"a":tru}', b'{"a":"\\x"}',
    ):  # fmt: skip
        reply = await client.post(target, body)

        is_malformed(reply)
        assert "(byte " in reply.message or ", character " in reply.message


@EVERYWHERE
async def test_02_a_byte_order_mark_is_a_400_that_names_it(client: Client, target: str) -> None:
    is_malformed(await client.post(target, b"\xef\xbb\xbf" + holding(target, b"1")), "BOM")


@EVERYWHERE
async def test_03_invalid_utf8_is_a_400(client: Client, target: str) -> None:
    body = holding(target, b'"\xff"')

    is_malformed(await client.post(target, body), "UTF-8", f"byte {body.index(0xFF)}")


@EVERYWHERE
async def test_04_utf16_is_a_400(client: Client, target: str) -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        is_malformed(await client.post(target, holding(target, b'"x"').decode().encode(encoding)))


@EVERYWHERE
async def test_05_a_lone_surrogate_is_a_400(client: Client, target: str) -> None:
    for escape in (b"\\ud83d", b"\\udc00", b"\\ude00\\ud83d", b"\\ud83dx\\ude00", b"\\uD83D\\n"):
        is_malformed(await client.post(target, holding(target, b'"' + escape + b'"')), "surrogate")


async def test_05_a_pair_of_surrogates_and_an_escaped_backslash_are_fine(api: Api, client: Client) -> None:
    reply = await client.post(LOCATIONS, b'{"location":{"name":"\\ud83d\\ude00 \\\\ud83d"}}')

    assert (reply.status, reply.json["location"]["name"]) == (201, "😀 \\ud83d")
    assert (await client.post(EVENTS, holding(EVENTS, b'"\\ud83d\\ude00 \\\\ud83d"'))).status == 202


async def test_06_a_nul_is_kept_in_payloads_and_refused_elsewhere(api: Api, client: Client, location_id: str) -> None:
    payload = await client.post(EVENTS, holding(EVENTS, b'"a\\u0000b"'))
    event = {"type": "a.b", "data": {}}

    assert payload.status == 202
    [(stored, _)] = (await api.services.log_actions.events(ACCOUNT, LogFilter(), None, 1)).items
    assert stored.data == b'{"x":"a\\u0000b"}'
    for field in ("type", "subject", "location_id", "idempotency_key"):
        reply = await client.post(EVENTS, {"event": {**event, field: "a\0b"}})
        assert list(reply.errors) == [field]
    config = {"location_id": location_id, "resource": "contact", "url": "http://127.0.0.1/"}
    for field, value in {
        "name": "a\0b",
        "location_id": "a\0b",
        "url": "http://127.0.0.1/\0",
        "headers": {"X-\0": "x"},
        "basic_auth_username": "a\0b",
    }.items():
        assert list((await client.post(CONFIGS, {"postbackconfig": {**config, field: value}})).errors) == [field]
    for field in ("last_name", "contact_api_id", "city"):
        contact = {"location_id": location_id, "last_name": "x", field: "a\0b"}
        assert list((await client.post("/v2/contacts", {"contact": contact})).errors) == [field]


@EVERYWHERE
async def test_07_raw_control_characters_in_a_string_are_a_400(client: Client, target: str) -> None:
    for character in (b"\x00", b"\n", b"\t", b"\x1f"):
        is_malformed(await client.post(target, holding(target, b'"a' + character + b'b"')))


@pytest.mark.parametrize("target", [CONFIGS, LOCATIONS, "/v2/keys"])
async def test_09_nan_and_infinity_are_a_400(client: Client, target: str) -> None:
    for constant in (b"NaN", b"Infinity", b"-Infinity"):
        is_malformed(await client.post(target, holding(target, constant)), constant.decode())


async def test_09_nan_and_infinity_are_a_400_in_payloads_too(client: Client) -> None:
    for constant in (b"NaN", b"Infinity", b"-Infinity"):
        is_malformed(await client.post(EVENTS, holding(EVENTS, constant)), "(byte ")


async def test_10_a_number_beyond_numbers_is_a_400_and_stays_in_payloads(api: Api, client: Client) -> None:
    is_malformed(await client.post(LOCATIONS, holding(LOCATIONS, b"1e999")))

    assert (await client.post(EVENTS, holding(EVENTS, b"1e999"))).status == 202
    [(stored, _)] = (await api.services.log_actions.events(ACCOUNT, LogFilter(), None, 1)).items
    assert stored.data == b'{"x":1e999}'


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1])
async def test_11_a_number_beyond_64_bits_is_a_422_and_stays_in_payloads(
    api: Api, client: Client, location_id: str, number: int
) -> None:
    config = {"location_id": location_id, "resource": "contact", "url": "http://127.0.0.1/"}
    for field in ("number_of_attempts", "attempt_interval", "max_in_flight", "connect_timeout", "on_create"):
        assert list((await client.post(CONFIGS, {"postbackconfig": {**config, field: number}})).errors) == [field]
    contact = {"location_id": location_id, "last_name": "x", "header_message_type": number}
    assert list((await client.post("/v2/contacts", {"contact": contact})).errors) == ["header_message_type"]
    assert list((await client.post(EVENTS, {"event": {"type": "a.b", "data": {}, "subject": number}})).errors) == [
        "subject"
    ]

    assert (await client.post(EVENTS, holding(EVENTS, b"%d" % number))).status == 202
    [(stored, _)] = (await api.services.log_actions.events(ACCOUNT, LogFilter(), None, 1)).items
    assert stored.data == b'{"x":%d}' % number


@EVERYWHERE
async def test_12_a_number_of_five_thousand_digits_is_a_400(client: Client, target: str) -> None:
    is_malformed(await client.post(target, holding(target, b"1" * 5000)), "digits")
    assert await events(client) == []


def test_12_a_run_of_digits_is_looked_at_from_its_beginning_only() -> None:
    """Tried anew from each of its digits, a megabyte of runs that were just short enough held the server for seconds."""
    run = b"1" * 5_000

    assert jsontext._MANY_DIGITS.match(run, 0)
    assert all(jsontext._MANY_DIGITS.match(run, start) is None for start in range(1, 700))


async def test_12_a_text_of_five_thousand_digits_is_fine(client: Client) -> None:
    assert (await client.post(EVENTS, holding(EVENTS, b'"' + b"1" * 5000 + b'"'))).status == 202


@EVERYWHERE
@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
async def test_13_a_hundred_thousand_brackets_are_a_400(client: Client, target: str, bracket: bytes) -> None:
    closing = {b"[": b"1" + b"]" * 100_000, b'{"a":': b"1" + b"}" * 100_000}[bracket]

    is_malformed(await client.post(target, holding(target, bracket * 100_000 + closing)), "nested")
    is_malformed(await client.post(target, bracket * 100_000))


@pytest.mark.parametrize(
    "event", [b'{"type":5,"data":%b}', b'{"type":"a.b","zz":1,"data":%b}', b'{"type":%b,"data":{}}']
)
async def test_13_nesting_that_one_reader_bears_and_the_next_does_not_is_never_a_500(
    client: Client, event: bytes
) -> None:
    """How deep is too deep depends on the stack: some depths passed the first reading and broke the explanation."""
    for depth in range(900, 1_001, 4):
        broken = event % (b"[" * depth + b"]" * depth)

        assert (await client.post(EVENTS, b'{"event":%b}' % broken)).status in (400, 422)
        batch = await client.post(EVENTS, b'{"events":[%b,{"type":"a.b","data":{}}]}' % broken)
        assert batch.status in (202, 400)
        if batch.status == 202:
            assert "id" in batch.json["events"][1]


@pytest.mark.parametrize("target", [CONFIGS, LOCATIONS])
async def test_13_an_envelope_is_at_most_64_deep(client: Client, target: str) -> None:
    # Two levels stand around it.
    assert (await client.post(target, holding(target, b"[" * 62 + b"]" * 62))).status == 422
    is_malformed(await client.post(target, holding(target, b"[" * 63 + b"]" * 63)), "nested")


async def test_14_a_deep_payload_is_kept_as_it_is(api: Api, client: Client) -> None:
    deep = b"[" * 500 + b"]" * 500

    assert (await client.post(EVENTS, holding(EVENTS, deep))).status == 202
    [(stored, _)] = (await api.services.log_actions.events(ACCOUNT, LogFilter(), None, 1)).items
    assert stored.data == b'{"x":' + deep + b"}"


async def test_15_a_payload_is_stored_byte_for_byte(api: Api, client: Client) -> None:
    data = b'{ "z":1.0e2,  "a" : -0.0, "a":[ ], "\\u0041":"\\/" }'

    assert (await client.post(EVENTS, b'{"event":{"type":"a.b","data":' + data + b"}}")).status == 202
    [(stored, _)] = (await api.services.log_actions.events(ACCOUNT, LogFilter(), None, 1)).items
    assert stored.data == data


@pytest.mark.parametrize("data", [b"[]", b'"x"', b"5", b"null", b"true"])
async def test_16_a_payload_that_is_no_object_is_a_422(client: Client, data: bytes) -> None:
    reply = await client.post(EVENTS, b'{"event":{"type":"a.b","data":' + data + b"}}")

    assert list(reply.errors) == ["data"]


@pytest.mark.parametrize("target", [CONFIGS, LOCATIONS, "/v2/keys"])
async def test_08_a_name_that_stands_twice_is_a_400(client: Client, target: str) -> None:
    wrapper = WRAPPER[target].encode()

    is_malformed(await client.post(target, b'{"%b":{"name":"a","name":"b"}}' % wrapper), "name", "twice")
    is_malformed(await client.post(target, b'{"%b":{},"%b":{}}' % (wrapper, wrapper)), "twice")


async def test_08_names_that_stand_twice_in_a_payload_go_on_as_they_are(api: Api, client: Client) -> None:
    data = b'{"a":1,"a":2}'

    assert (await client.post(EVENTS, b'{"event":{"type":"a.b","data":' + data + b"}}")).status == 202
    [(stored, _)] = (await api.services.log_actions.events(ACCOUNT, LogFilter(), None, 1)).items
    assert stored.data == data


def payload_of(size: int) -> bytes:
    data = b'{"x":"' + b"y" * (size - 8) + b'"}'
    assert len(data) == size
    return b'{"event":{"type":"a.b","data":' + data + b"}}"


async def test_17_a_payload_may_be_as_long_as_the_limit_and_no_longer(api: Api, client: Client) -> None:
    limit = api.services.max_body

    exactly = await client.post(EVENTS, payload_of(limit))
    one_more = await client.post(EVENTS, payload_of(limit + 1))
    ten_times = await client.post(EVENTS, payload_of(10 * limit))

    assert exactly.status == 202
    for reply in (one_more, ten_times):
        assert (reply.status, reply.code) == (413, "too_large")
    assert len(await events(client)) == 1


async def test_17_a_batch_may_be_longer_and_its_events_may_not(api: Api, client: Client) -> None:
    limit = api.services.max_body
    fits, too_long = (json.loads(payload_of(size))["event"] for size in (limit // 2, limit + 1))

    reply = await client.post(EVENTS, {"events": [fits, fits, fits, too_long]})

    assert reply.status == 202
    assert [sorted(answer) for answer in reply.json["events"]] == [["deliveries", "id"]] * 3 + [["error"]]
    assert reply.json["events"][3]["error"]["code"] == "too_large"


async def test_22_what_is_a_megabyte_long_is_refused(api: Api, client: Client, location_id: str) -> None:
    long = "x" * 1_000_000
    event = {"type": "a.b", "data": {}}
    for field in ("type", "subject", "location_id", "idempotency_key", "occurred_at", "account"):
        reply = await client.post(EVENTS, {"event": {**event, field: long}})
        assert field in reply.errors
        assert len(reply.body) < 1000
    config = {"location_id": location_id, "resource": "contact", "url": "http://127.0.0.1/"}
    for field in ("name", "url", "location_id", "resource", "format", "expands", "basic_auth_username"):
        reply = await client.post(CONFIGS, {"postbackconfig": {**config, field: long}})
        assert field in reply.errors
        assert len(reply.body) < 1000
    unknown = await client.post(LOCATIONS, {"location": {"name": "x", long: 1}})
    assert unknown.status == 422
    assert len(unknown.body) < 1000
    assert (await client.get(f"{EVENTS}?subject={long}")).status == 414
    assert (await client.get(f"{EVENTS}/{long}")).status == 414
    assert (await client.post(EVENTS, {"event": event}, idempotency_key="k" * 256)).status == 422


@pytest.mark.parametrize(
    "name",
    [
        "😀 family: 👩‍👩‍👧",
        "e\u0301" * 30,
        "left\u202egpj.exe",
        "\ufeffname",
        "Ame\u0301lie",
        "Am\u00e9lie",
        "<script>alert(1)</script>",
    ],
)
async def test_23_every_name_is_kept_exactly(api: Api, client: Client, location_id: str, name: str) -> None:
    located = (await client.post(LOCATIONS, {"location": {"name": name}})).json["location"]
    config = await api.config(location_id, name=name)

    assert (await client.get(f"{LOCATIONS}/{located['id']}")).json["location"]["name"] == name
    assert (await client.get(f"{CONFIGS}/{config['id']}")).json["postbackconfig"]["name"] == name


async def test_23_keys_that_look_the_same_are_the_same(client: Client, location_id: str) -> None:
    composed, decomposed = "Am\u00e9lie", "Ame\u0301lie"
    contact = {"location_id": location_id, "last_name": "x"}

    first = await client.post("/v2/contacts", {"contact": {**contact, "contact_api_id": composed}})
    second = await client.post("/v2/contacts", {"contact": {**contact, "contact_api_id": decomposed}})

    assert (first.status, list(second.errors)) == (201, ["contact_api_id"])


@pytest.mark.parametrize(
    "event_type",
    [
        "../../x",
        "a b",
        "a\r\nX: y",
        "a..b",
        ".",
        "." * 300,
        "*",
        "a.*",
        "a",
        "a.b\n",
        "A.b",
        "ä.b",
        "a." * 10 + "b",
        "",
    ],
)
async def test_24_an_event_type_of_another_form_is_a_422(client: Client, event_type: str) -> None:
    assert list((await client.post(EVENTS, {"event": {"type": event_type, "data": {}}})).errors) == ["type"]


async def test_25_ids_come_from_us_and_hold_no_dot(client: Client) -> None:
    given = await client.post(EVENTS, {"event": {"id": "evt.1", "type": "a.b", "data": {}}})
    made = await client.post(EVENTS, {"event": {"type": "a.b", "data": {}}})

    assert list(given.errors) == ["id"]
    assert "." not in made.json["event"]["id"]
    assert len(made.json["event"]["id"]) <= 36


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(\\w+\\.?)*$", "a%", "_", "*"])
async def test_26_a_filter_is_a_text_and_never_a_pattern(client: Client, pattern: str) -> None:
    await client.post(EVENTS, {"event": {"type": "a.b", "data": {"id": "a" * 27}}})

    for field in ("type", "subject"):
        assert (await client.get(f"{EVENTS}?{field}={quote(pattern)}")).json["events"] == []


@pytest.mark.parametrize("target", [CONFIGS, LOCATIONS, "/v2/contacts"])
async def test_34_fields_that_are_ours_or_nobodys_are_a_422(client: Client, location_id: str, target: str) -> None:
    known: dict[str, Any] = {
        CONFIGS: {"location_id": location_id, "resource": "contact", "url": "http://127.0.0.1/"},
        LOCATIONS: {"name": "x"},
        "/v2/contacts": {"location_id": location_id, "last_name": "x"},
    }[target]
    wrapper = {**WRAPPER, "/v2/contacts": "contact"}[target]

    for field in ("id", "tenant_id", "account", "created_ts", "modified_ts", "_links", "revision", "version"):
        inside = await client.post(target, {wrapper: {**known, field: "mine"}})
        outside = await client.post(target, {wrapper: known, field: "mine"})

        assert list(inside.errors) == list(outside.errors) == [field]


async def test_35_a_key_that_is_not_utf_8_is_refused_and_not_taken_for_another(client: Client) -> None:
    """Replaced by the same sign, two keys were one, and the second event was silently the first."""
    body = {"event": {"type": "a.b", "data": {}}}

    reply = await client.post(EVENTS, body, **{"Idempotency-Key": "\udcff\udcfe"})

    assert reply.status == 422
    assert list(reply.errors) == ["Idempotency-Key"]


async def test_35_a_key_of_idempotency_is_bound_to_its_account_and_its_event(api: Api, client: Client) -> None:
    other = await api.other_account()
    event = {"type": "a.b", "data": {"n": 1}, "idempotency_key": "k"}

    first = await client.post(EVENTS, {"event": event})
    others = await other.post(EVENTS, {"event": event})
    changed = await client.post(EVENTS, {"event": {**event, "data": {"n": 2}}})
    elsewhere = await client.send("POST", LOCATIONS, {"location": {"name": "x"}}, headers={"Idempotency-Key": "k"})

    assert (first.status, others.status, changed.status, elsewhere.status) == (202, 202, 409, 201)
    assert first.json["event"]["id"] != others.json["event"]["id"]


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("/v2/events", "GET, HEAD, POST"),
        ("/v2/events/evt_1", "GET, HEAD"),
        ("/v2/contacts", "GET, HEAD, POST"),
        ("/v2/contacts/con_1", "DELETE, GET, HEAD, PUT"),
        ("/v2/deliveries/dlv_1/replay", "POST"),
        ("/v2/accounts/acme", "DELETE, GET, HEAD, PUT"),
        ("/health", "GET, HEAD"),
    ],
)
async def test_36_a_method_that_is_not_possible_is_a_405_that_names_those_that_are(
    client: Client, target: str, allowed: str
) -> None:
    for method in ("TRACE", "PATCH", "OPTIONS", "CONNECT", "PROPFIND"):
        reply = await client.send(method, target)

        assert (reply.status, reply.code, reply.headers["allow"]) == (405, "method_not_allowed", allowed)


async def test_36_a_header_does_not_change_the_method(client: Client, location_id: str) -> None:
    reply = await client.send("GET", f"{LOCATIONS}/{location_id}", headers={"X-HTTP-Method-Override": "DELETE"})

    assert reply.status == 200
    assert (await client.get(f"{LOCATIONS}/{location_id}")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "//v2/locations",
        "/v2//locations",
        "/v2/locations/",
        "/v2/locations;a=b",
        "/v2/locations/%2e%2e",
        "/v2/../v2/locations",
        "/v2/locations%0a",
        "/v2/locations%00",
        "/V2/locations",
        "/v2/locations/..;/keys",
        "/",
    ],
)
async def test_36_a_path_of_another_form_is_a_404(client: Client, path: str) -> None:
    reply = await client.get(path)

    assert (reply.status, reply.code) == (404, "not_found")


async def test_36_head_answers_as_get(client: Client, location_id: str) -> None:
    assert (await client.send("HEAD", f"{LOCATIONS}/{location_id}")).status == 200
    assert (await client.send("HEAD", "/v2/nothing")).status == 404
    assert (await client.send("HEAD", "/v2/deliveries/dlv_1/replay")).status == 405


async def test_37_links_are_made_from_the_public_url_whatever_the_headers_say(client: Client, location_id: str) -> None:
    reply = await client.get(
        f"{LOCATIONS}/{location_id}", host="evil.example", x_forwarded_host="evil.example", x_forwarded_proto="gopher"
    )

    assert reply.json["location"]["_links"]["self"]["href"] == f"https://api.example/v2/locations/{location_id}"
    assert b"evil.example" not in reply.body


@pytest.mark.parametrize(
    "time",
    [
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:60Z",
        1_790_000_000_000,
        1_790_000_000,
        "1790000000000",
        "2026-09-21T12:00:00+25:00",
        "2026-09-21T12:00:00+01:60",
        "2026-09-21T12:00:00",
        "2026-09-21 12:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-09-21T24:00:00Z",
        "２０26-09-21T12:00:00Z",
        "",
    ],
)
async def test_38_a_time_that_is_none_is_a_422(client: Client, time: Any) -> None:
    for field in ("occurred_at", "deliver_at"):
        reply = await client.post(EVENTS, {"event": {"type": "a.b", "data": {}, field: time}})

        assert list(reply.errors) == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number_of_attempts", 0),
        ("number_of_attempts", -1),
        ("number_of_attempts", 51),
        ("number_of_attempts", 1_000_000),
        ("number_of_attempts", 1.5),
        ("number_of_attempts", "3"),
        ("number_of_attempts", True),
        ("attempt_interval", 0),
        ("attempt_interval", -300),
        ("attempt_interval", 86_401),
        ("attempt_interval", 1_000_000_000),
        ("retry_schedule", []),
        ("retry_schedule", [0]),
        ("retry_schedule", [-1]),
        ("retry_schedule", [604_801]),
        ("retry_schedule", [1] * 50),
        ("retry_schedule", [604_800] * 5),
        ("retry_schedule", [1.5]),
        ("retry_schedule", "5"),
        ("retry_schedule", [None]),
    ],
)
async def test_39_a_retry_policy_beyond_its_bounds_is_a_422(
    client: Client, location_id: str, field: str, value: Any
) -> None:
    config = {"location_id": location_id, "resource": "contact", "url": "http://127.0.0.1/"}

    reply = await client.post(CONFIGS, {"postbackconfig": {**config, field: value}})

    assert list(reply.errors) == [field]


async def test_39_a_retry_policy_with_nan_is_a_400(client: Client) -> None:
    is_malformed(await client.post(CONFIGS, b'{"postbackconfig":{"attempt_interval":NaN}}'), "NaN")


async def test_39_the_largest_retry_policies_are_taken(api: Api, location_id: str) -> None:
    await api.config(location_id, number_of_attempts=50, attempt_interval=52_897)
    await api.config(location_id, retry_schedule=[604_800] * 4)
    await api.config(location_id, retry_schedule=[1] * 49, number_of_attempts=50)


@EVERYWHERE
async def test_01_an_empty_body_is_said_to_be_empty(client: Client, target: str) -> None:
    for body in (b"", b" \n"):
        is_malformed(await client.post(target, body), "the body is empty")


async def test_01_what_is_no_envelope_is_answered_in_our_words_once(client: Client) -> None:
    for body in ({"event": {}, "x": 1}, {"events": {}}, []):
        reply = await client.post(EVENTS, json.dumps(body).encode())

        assert reply.errors == {"event": ['expected {"event": {…}} or {"events": [{…}, …]}']}


async def test_01_a_line_that_cannot_be_read_is_named_by_its_number(client: Client) -> None:
    lines = b'{"type":"a.b","data":{}}\n\n{"type":\n{"type":"\xff"}\n{"type":"a.b","data":{"n":%b}}' % (b"1" * 5000)

    answers = (await client.post(EVENTS, lines, content_type="application/x-ndjson")).json["events"]

    messages = [answer["error"]["message"] for answer in answers[1:]]
    assert [message.partition(":")[0] for message in messages] == ["line 3", "line 4", "line 5"]
