"""Callbacks and Postback settings: what is typed becomes configs, and receivers that break the rule of callbacks are named."""

import pytest

from postback.actions.callbacks import Callbacks
from postback.actions.postback_settings import PostbackSettings
from postback.domain.deliveries import Verdict
from postback.domain.ids import config_text
from postback.domain.users import Role
from postback.domain.wire import Reason, Timings, Unreachable
from tests.build import answered
from tests.web.happenings import attempt, failed, publish
from tests.web.pages import Browser, Form, Page, Portal

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:9000/callbacks"
DELIVERIES = "callback_url_for_deliveries"


async def callbacks_form(browser: Browser) -> Form:
    return (await browser.get("/callbacks")).form("/callbacks")


async def saved(browser: Browser, **values: str) -> Page:
    return await browser.submit((await callbacks_form(browser)).fill(**values))


async def tried(browser: Browser, which: str, **values: str) -> Page:
    form = (await callbacks_form(browser)).fill(**values)
    return await browser.submit(form.press("which", which).at("/callbacks/test"))


async def test_callbacks_are_saved_and_shown(portal: Portal, owner: Browser) -> None:
    page = await saved(owner, callback_url_for_deliveries=URL, payload="form", naming="reference")

    assert "Saved" in (await owner.follow(page)).text
    shown = await portal.services.account_wide.show("default", Callbacks)
    assert shown.settings == Callbacks(callback_url_for_deliveries=URL, payload="form", naming="reference")
    assert (await callbacks_form(owner)).values[DELIVERIES] == [URL]


async def test_a_url_that_is_emptied_is_removed(portal: Portal, owner: Browser) -> None:
    await saved(owner, callback_url_for_deliveries=URL, callback_url_for_inbounds=URL)

    await saved(owner, callback_url_for_deliveries="")

    shown = await portal.services.account_wide.show("default", Callbacks)
    assert shown.settings == Callbacks(callback_url_for_inbounds=URL)


async def test_what_is_wrong_with_a_callback_stands_beside_its_field(owner: Browser) -> None:
    page = await saved(owner, callback_url_for_deliveries="nonsense", callback_url_for_inbounds=URL)

    assert (page.status, page.wrong(DELIVERIES)) == (422, True)
    values = page.form("/callbacks").values
    assert (values[DELIVERIES], values["callback_url_for_inbounds"]) == (["nonsense"], [URL])


async def test_a_test_of_a_callback_shows_the_answer_and_keeps_what_is_typed(portal: Portal, owner: Browser) -> None:
    await saved(owner, callback_url_for_deliveries=URL)
    portal.api.sender.outcome = answered(200)

    page = await tried(owner, DELIVERIES, callback_url_for_inbounds="http://127.0.0.1:9000/typed")

    assert page.status == 200
    assert "The receiver acknowledged it" in page.text
    assert page.form("/callbacks").values["callback_url_for_inbounds"] == ["http://127.0.0.1:9000/typed"]
    assert len(portal.api.sender.sent) == 1


@pytest.mark.parametrize("typed", ["", "http://127.0.0.1:9000/another"])
async def test_only_what_is_saved_is_tested(portal: Portal, owner: Browser, typed: str) -> None:
    if typed:
        await saved(owner, callback_url_for_deliveries=URL)

    page = await tried(owner, DELIVERIES, callback_url_for_deliveries=typed)

    assert (page.status, page.wrong(DELIVERIES)) == (422, True)
    assert portal.api.sender.sent == []


async def test_nothing_is_tested_that_is_no_callback(portal: Portal, owner: Browser) -> None:
    await saved(owner, callback_url_for_deliveries=URL)

    assert (await tried(owner, "payload")).status == 422
    assert portal.api.sender.sent == []


async def test_which_of_the_recent_answers_broke_the_rule_is_said(portal: Portal, owner: Browser) -> None:
    await saved(owner, callback_url_for_deliveries=URL)
    for outcome in (
        answered(200),
        answered(200, body=b"<html></html>"),
        Unreachable(Reason.RESPONSE_TIMEOUT, "no answer", Timings()),
    ):
        portal.api.sender.outcome = outcome
        await tried(owner, DELIVERIES)
        portal.clock.pass_(ms=10)

    page = await owner.get("/callbacks")

    assert "2 of the last 3 broke the rule" in page.text
    assert "it answered with a body" in page.text
    assert "it did not answer within 1 s" in page.text


async def test_a_callback_that_fails_is_said_to_be_failing(portal: Portal, owner: Browser) -> None:
    """The page showed it as active alone, and no figure of it."""
    await saved(owner, callback_url_for_inbounds=URL)
    [config] = (await portal.services.account_wide.show("default", Callbacks)).configs.values()
    await failed(portal, config_text(config.id))

    page = await owner.get("/callbacks")

    assert "Inbounds URL active failing 0 1" in page.text


async def test_a_callback_that_broke_the_rule_and_fails_is_said_to_do_both(portal: Portal, owner: Browser) -> None:
    await saved(owner, callback_url_for_inbounds=URL)
    [config] = (await portal.services.account_wide.show("default", Callbacks)).configs.values()
    late = Unreachable(Reason.RESPONSE_TIMEOUT, "no answer", Timings())
    await failed(portal, config_text(config.id), late)
    await publish(portal)
    await attempt(portal, config_text(config.id), late, Verdict.FAILED, warns="it did not answer within 1 s")

    page = await owner.get("/callbacks")

    assert "active warned failing" in page.text


async def test_the_settings_of_xml_postbacks_are_saved_and_shown(portal: Portal, owner: Browser) -> None:
    form = (await owner.get("/postbacksettings")).form("/postbacksettings")
    filled = form.fill(
        postback_url=URL,
        mo_postback_url=f"{URL}/mo",
        mms_mo_postback="0",
        xml_layout="2014-03",
        xml_content_type="form",
    )

    page = await owner.submit(filled)

    assert page.to == "/postbacksettings"
    shown = await portal.services.account_wide.show("default", PostbackSettings)
    assert shown.settings == PostbackSettings(
        postback_url=URL,
        mo_postback_url=f"{URL}/mo",
        mms_mo_postback=False,
        xml_layout="2014-03",
        xml_content_type="form",
    )
    again = (await owner.get("/postbacksettings")).form("/postbacksettings").values
    assert (again["mms_mo_postback"], again["enabled"], again["xml_layout"]) == (["0"], ["0", "1"], ["2014-03"])


async def test_what_is_wrong_with_a_setting_stands_beside_its_field(portal: Portal, owner: Browser) -> None:
    form = (await owner.get("/postbacksettings")).form("/postbacksettings")

    page = await owner.submit(form.fill(postback_url="nonsense", pass_postback_url=URL, xml_layout="2014-03"))

    assert (page.status, page.wrong("postback_url")) == (422, True)
    values = page.form("/postbacksettings").values
    assert (values["pass_postback_url"], values["xml_layout"]) == ([URL], ["2014-03"])
    assert (await portal.services.account_wide.show("default", PostbackSettings)).configs == {}


@pytest.mark.parametrize("path", ["/callbacks", "/postbacksettings"])
async def test_a_viewer_reads_the_settings_without_a_form(portal: Portal, owner: Browser, path: str) -> None:
    await saved(owner, callback_url_for_deliveries=URL)
    viewer = await portal.signed_in(Role.VIEWER)

    page = await viewer.get(path)

    assert page.status == 200
    assert not [form for form in page.read.forms if form.action.startswith(path)]
