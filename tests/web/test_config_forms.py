"""Add Postback, and changing one: what is typed is kept or said to be wrong beside its field, secrets stay secret, and what
the API would refuse is refused."""

import re
from dataclasses import replace
from typing import Any

import pytest

from postback import web
from postback.domain.configs import PostbackConfig
from tests.web.pages import Browser, Form, Page, Portal

pytestmark = pytest.mark.anyio

ADD = "/postbackconfigs/add"
URL = "http://127.0.0.1:9000/receiver"


async def add_form(browser: Browser, location: str) -> Form:
    return (await browser.get(f"{ADD}?location_id={location}")).form(ADD)


def id_in(path: str) -> str:
    found = re.search(r"pbc_\w+", path)
    assert found, path
    return found[0]


async def edit(browser: Browser, config_id: str, **values: str) -> Page:
    path = f"/postbackconfigs/{config_id}/edit"
    return await browser.submit((await browser.get(path)).form(path).fill(**values))


async def test_the_form_says_how_often_each_format_tries_by_itself(owner: Browser) -> None:
    page = await owner.get("/postbackconfigs/add")

    assert "Empty: api-default 1, xml 6, sms-callback 1, json 8, cloudevents 8." in page.text


async def test_a_postback_is_added_by_the_fields_of_the_documents(portal: Portal, owner: Browser) -> None:
    location = await portal.location()
    form = (await add_form(owner, location)).fill(
        url=URL,
        resource="contact",
        on_delete="0",
        number_of_attempts="3",
        attempt_interval="60",
        basic_auth_username="ann",
        basic_auth_password=" pass word",
    )

    page = await owner.submit(form)

    config = await portal.stored(id_in(page.to))
    assert (config.url, config.location_id, config.resource) == (URL, location, "contact")
    assert (config.on_create, config.on_update, config.on_delete) == (True, True, False)
    assert (config.retry.attempts, config.retry.waits_s) == (3, (60,))
    assert config.basic_auth is not None
    assert (config.basic_auth.username, config.basic_auth.password) == ("ann", " pass word")
    shown = await owner.follow(page)
    assert URL in shown.text
    assert "pass word" not in shown.html


async def test_what_was_left_empty_is_as_the_format_has_it(portal: Portal, owner: Browser) -> None:
    form = (await add_form(owner, "")).fill(url=URL, event_types="sms.*\nmms.received", format="xml")

    config = await portal.stored(id_in((await owner.submit(form)).to))

    assert config.event_types == ("sms.*", "mms.received")
    assert config.location_id is None
    assert config.retry.attempts == 6
    assert not {"number_of_attempts", "attempt_interval", "callback_payload", "headers"} & set(config.as_sent)


async def test_every_further_field_arrives(portal: Portal, owner: Browser) -> None:
    form = (await add_form(owner, "")).fill(
        url=URL,
        event_types="*",
        format="json",
        name="CRM",
        headers="X-Customer: 17\nX-Api-Key: s3cret",
        retry_schedule="5, 300 1800",
        success_status="200",
        connect_timeout="1.5",
        response_timeout="2",
        total_timeout="3",
        max_in_flight="7",
        rate_limit="0.5",
        never_disable="1",
    )

    page = await owner.submit(form)

    config = await portal.stored(id_in(page.links["To the postback config"]))
    assert config.headers == {"X-Customer": "17", "X-Api-Key": "s3cret"}
    assert config.retry.waits_s == (5, 300, 1800)
    assert (config.success, config.deadlines.connect_s, config.deadlines.total_s) == ("200", 1.5, 3)
    assert (config.max_in_flight, config.rate_limit, config.disable_after_s) == (7, 0.5, None)
    assert config.as_sent["name"] == "CRM"


async def test_a_signing_secret_is_shown_once(portal: Portal, owner: Browser) -> None:
    form = (await add_form(owner, "")).fill(url=URL, event_types="*", format="json")

    page = await owner.submit(form)
    config = await portal.stored(id_in(page.links["To the postback config"]))
    secret = config.signing_secrets[0].text

    assert secret in page.text
    for path in (f"/postbackconfigs/{id_in(page.html)}", f"/postbackconfigs/{id_in(page.html)}/edit"):
        assert secret not in (await owner.get(path)).html


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("url", "ftp://nowhere"),
        ("url", ""),
        ("number_of_attempts", "many"),
        ("number_of_attempts", "51"),
        ("attempt_interval", "0"),
        ("attempt_interval", "1.5"),
        ("basic_auth_username", "a:b"),
        ("product_transaction_id", "17"),
        ("expands", "nonsense"),
        ("retry_schedule", "5, soon"),
        ("connect_timeout", "1000"),
        ("max_in_flight", "-1"),
        ("rate_limit", "nan"),
        ("disable_after", "5"),
        ("headers", "no colon"),
        ("headers", "Host: elsewhere"),
        ("headers", "X-A: 1\nX-A: 2"),
        ("name", "x" * 300),
    ],
)
async def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(
    portal: Portal, owner: Browser, name: str, typed: str
) -> None:
    form = (await add_form(owner, await portal.location())).fill(url=URL, name="A name")

    page = await owner.submit(form.fill(**{name: typed}))

    assert page.status == 422
    assert page.wrong(name)
    again = page.form(ADD)
    assert again.values[name] == [typed]
    expected = {**form.values, name: [typed]}
    assert {key: value for key, value in again.values.items() if key != "form_token"} == {
        key: value for key, value in expected.items() if key != "form_token"
    }
    assert (await portal.services.configs.configs.snapshot("default")).configs == {}


async def test_two_ways_to_wait_are_refused_as_the_api_does(portal: Portal, owner: Browser) -> None:
    form = (await add_form(owner, "")).fill(url=URL, event_types="*", attempt_interval="5", retry_schedule="5, 10")

    assert (await owner.submit(form)).wrong("retry_schedule")


async def test_records_are_of_a_location(owner: Browser) -> None:
    form = (await add_form(owner, "")).fill(url=URL, wants_by="resource", resource="contact")

    assert (await owner.submit(form)).wrong("location_id")


async def test_event_types_that_are_missing_or_none_are_said(owner: Browser) -> None:
    form = (await add_form(owner, "")).fill(url=URL)

    for typed in ("", "Not A Type"):
        assert (await owner.submit(form.fill(event_types=typed))).wrong("event_types")


async def test_a_change_takes_away_what_was_emptied_and_keeps_secrets(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(
        name="CRM",
        number_of_attempts=5,
        headers={"X-Api-Key": "s3cret", "X-Customer": "17"},
        basic_auth_username="ann",
        basic_auth_password="opensesame",
        disable_after=600,
    )
    page = await owner.get(f"/postbackconfigs/{config_id}/edit")

    assert "s3cret" not in page.html
    assert "opensesame" not in page.html
    saved = await edit(owner, config_id, name="", number_of_attempts="", disable_after="")

    assert saved.status == 303
    config = await portal.stored(config_id)
    assert "name" not in config.as_sent
    assert config.retry.attempts == 1
    assert config.disable_after_s == 5 * 86_400
    assert config.headers == {"X-Api-Key": "s3cret", "X-Customer": "17"}
    assert config.basic_auth is not None
    assert config.basic_auth.password == "opensesame"


async def test_a_form_that_is_saved_as_it_was_shown_changes_nothing(portal: Portal, owner: Browser) -> None:
    location = await portal.location()
    for fields in (
        {"event_types": ["sms.*", "mms.sent"], "format": "xml", "xml_layout": "2014-03", "xml_content_type": "form"},
        {"format": "sms-callback", "callback_naming": "reference", "time_zone": "Europe/Paris"},
        {"format": "json", "retry_schedule": [5, 10], "rate_limit": 2.5, "disable_after": None},
        {
            "event_types": None,
            "location_id": location,
            "resource": "transaction",
            "product_transaction_id": "17",
            "on_update": "1",
            "expands": "contact,tags",
            "is_active": "0",
        },
    ):
        config_id = await portal.config(**fields)
        before = await portal.stored(config_id)
        assert (await edit(owner, config_id)).status == 303
        after = await portal.stored(config_id)
        assert _told(before) == _told(after)


def _told(config: PostbackConfig) -> dict[str, Any]:
    passing = ("version", "modified_ms", "as_sent")
    return {name: getattr(config, name) for name in config.__slots__ if name not in passing}


async def test_secrets_do_not_follow_to_another_server(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(headers={"X-Api-Key": "s3cret"})

    page = await edit(owner, config_id, url="http://127.0.0.1:9001/elsewhere")

    assert page.status == 422
    assert page.wrong("headers")


async def test_basic_auth_is_taken_away_when_asked(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(basic_auth_username="ann", basic_auth_password="opensesame")

    await edit(owner, config_id, remove_basic_auth="1")

    assert (await portal.stored(config_id)).basic_auth is None


async def test_a_config_turns_from_records_to_events_and_back(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(location_id=await portal.location(), event_types=None, resource="contact")

    assert (await edit(owner, config_id, wants_by="event_types", event_types="sms.*")).status == 303
    assert (await portal.stored(config_id)).event_types == ("sms.*",)
    assert (await edit(owner, config_id, wants_by="resource", resource="contact", on_update="1")).status == 303
    config = await portal.stored(config_id)
    assert (config.event_types, config.resource, config.on_update) == ((), "contact", True)


@pytest.mark.parametrize(
    ("format_name", "event_type", "said"),
    [
        ("api-default", "contact.created", "type=CREATE&resource=contact"),
        ("xml", "mms.sent", "<CODE>N101</CODE>"),
        ("sms-callback", "sms.received", '"number":"+12025550166"'),
        ("json", "sms.received", '"type":"sms.received"'),
        ("cloudevents", "sms.received", '"specversion":"1.0"'),
    ],
)
async def test_the_body_of_an_example_is_shown_and_nothing_is_saved(
    portal: Portal, owner: Browser, format_name: str, event_type: str, said: str
) -> None:
    form = (await add_form(owner, "")).fill(event_types="*", format=format_name, preview_type=event_type)

    page = await owner.submit(form.press("preview", "1"))

    assert page.status == 200
    assert said in page.text.replace(" ", "").replace("\n", "") or said in page.text
    assert page.form(ADD).values["event_types"] == ["*"]
    assert (await portal.services.configs.configs.snapshot("default")).configs == {}


async def test_a_preview_says_why_there_is_none(owner: Browser) -> None:
    form = (await add_form(owner, "")).fill(event_types="*", format="xml", preview_type="contact.created")

    assert "cannot say" in (await owner.submit(form.press("preview", "1"))).text


async def test_a_password_is_not_put_into_a_page_and_that_is_said(owner: Browser) -> None:
    form = (await add_form(owner, "")).fill(url="nonsense", basic_auth_username="ann", basic_auth_password="opensesame")

    page = await owner.submit(form)

    assert page.status == 422
    assert "Type it again" in page.text
    assert "opensesame" not in page.html


async def test_before_anything_is_chosen_the_preview_says_what_to_choose(portal: Portal, owner: Browser) -> None:
    """It said: event_types is a list; expected a list of 1 to 100 types."""
    page = await owner.get(ADD)

    assert "No body to show: name an event type that it wants to hear of" in page.text


async def test_where_this_machine_may_be_called_a_receiver_to_try_is_named(portal: Portal, owner: Browser) -> None:
    elsewhere = await portal_without_loopback(portal).browser_of(await portal.user())

    assert "To try it out: http://127.0.0.1:9000/receiver" in (await owner.get(ADD)).text
    assert "http://127.0.0.1:9000" not in (await elsewhere.get(ADD)).text
    edited = await portal.config(url="https://known.example/in")
    assert "To try it out" not in (await owner.get(f"/postbackconfigs/{edited}/edit")).text


def portal_without_loopback(portal: Portal) -> Portal:
    services = replace(portal.services, calls_loopback=False)
    return replace(portal, services=services, app=web.build(services))
