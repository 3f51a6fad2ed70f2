"""Failures by cause and what needs attention, on the start page: with links that lead to exactly these."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from postback.domain.deliveries import Verdict
from postback.domain.ids import parse
from postback.domain.times import unix_ms
from postback.domain.users import Role
from postback.domain.wire import Reason, Timings, Unreachable
from tests.build import a_settlement, answered
from tests.web.at_work import claims_of, later, rows, settled
from tests.web.pages import Browser, Portal

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000
EXPIRED = Unreachable(Reason.TLS_ERROR, "the certificate is not accepted: certificate has expired", Timings())
REFUSED = Unreachable(Reason.CONNECTION_REFUSED, "127.0.0.1:9000: ECONNREFUSED (connection refused)", Timings())


# --- failures -------------------------------------------------------------------------------------------------------


async def test_failures_are_grouped_by_cause_with_links_to_their_configs_and_deliveries(
    portal: Portal, owner: Browser
) -> None:
    first, second = await portal.config(name="Billing"), await portal.config(name="Stock")
    await settled(portal, first, Verdict.FAILED, 3, outcome=EXPIRED)
    portal.clock.pass_(seconds=120)
    await settled(portal, second, Verdict.FAILED, 2, outcome=EXPIRED)
    await settled(portal, second, Verdict.FAILED, 1, outcome=answered(503))

    page = await owner.get("/")

    expired, unavailable = rows(page, "Failures by cause")
    assert expired[0] == "Certificate expired 2 configs, 5 deliveries"
    assert expired[1] == "Billing 3 Stock 2"
    assert expired[2:4] == ["2 min ago", "this minute"]
    assert unavailable[0] == "Answered 503 Service Unavailable 1 config, 1 delivery"
    assert page.links["Billing"] == f"/postbackconfigs/{first}"
    shown, replayed = page.links["Show deliveries: Certificate expired"], page.links["Replay all : Certificate expired"]
    assert (urlsplit(shown).path, urlsplit(replayed).path) == ("/deliveries", "/replays/new")
    for link in (shown, replayed):
        asked = {name: value for name, [value] in parse_qs(urlsplit(link).query).items()}
        since_ms = unix_ms(asked.pop("from"))
        assert asked == {"state": "failed", "reason": "tls_error.certificate_expired"}
        assert since_ms is not None
        assert since_ms <= portal.clock() - 120_000


async def test_what_a_link_asks_for_are_the_deliveries_that_it_counts(portal: Portal) -> None:
    """A delivery that was tried for hours was accepted long before it failed."""
    config_id = await portal.config(number_of_attempts=2, attempt_interval=3_600)
    [claim] = await claims_of(portal, config_id)
    await portal.api.store.settle(portal.api.worker, [a_settlement(claim, Verdict.RETRY, outcome=REFUSED)])
    portal.clock.pass_(seconds=3_600)
    [claim] = await portal.api.store.claim(portal.api.worker, {parse("pbc", config_id): 1}, 1 << 20)
    await portal.api.store.settle(portal.api.worker, [a_settlement(claim, Verdict.FAILED, outcome=REFUSED)])

    page = await later(portal, "/")

    asked = parse_qs(urlsplit(page.links["Replay all : Connection refused"]).query)
    sought = {"filter": {"state": "failed", "reason": asked["reason"][0], "since": asked["from"][0]}, "dry_run": True}
    portal.clock.pass_(seconds=1)
    assert (await portal.api.client.post("/v2/deliveries/replay", sought)).json == {"count": 1}


async def test_failures_are_of_the_span_that_is_chosen(portal: Portal) -> None:
    await settled(portal, await portal.config(), Verdict.FAILED, outcome=REFUSED)
    portal.clock.pass_(seconds=7_200)

    assert "Nothing failed for good in this time." in (await later(portal, "/")).text
    assert "Connection refused" in (await later(portal, "/?span=day")).text


@pytest.mark.parametrize("span", ["hour", "day", "week"])
async def test_what_happens_after_the_clock_was_set_back_is_shown_at_that_time(portal: Portal, span: str) -> None:
    config_id = await portal.config()
    await settled(portal, config_id, Verdict.DELIVERED)
    portal.clock.pass_(seconds=3000)
    assert "Nothing failed for good in this time." in (await later(portal, f"/?span={span}")).text
    portal.clock.pass_(seconds=-3000)
    assert "Nothing failed for good in this time." in (await later(portal, f"/?span={span}")).text

    await settled(portal, config_id, Verdict.FAILED, outcome=REFUSED)
    portal.clock.pass_(seconds=3000)

    page = await later(portal, f"/?span={span}")
    assert "Connection refused" in page.text
    assert re.findall(r"</svg>(delivered|failed) <strong class=\"num\">(\d)", page.html) == [
        ("delivered", "1"),
        ("failed", "1"),
    ]


async def test_of_many_configs_a_few_are_named_and_the_rest_are_counted(portal: Portal, owner: Browser) -> None:
    configs = [await portal.config(name=f"Number {number}") for number in range(5)]
    for config_id in configs:
        await settled(portal, config_id, Verdict.FAILED, outcome=REFUSED)
    await portal.services.configs.delete("default", configs[0])

    [row] = rows(await owner.get("/"), "Failures by cause")

    assert row[0] == "Connection refused 5 configs, 5 deliveries"
    assert row[1] == "Number 1 1 Number 2 1 Number 3 1 2 more"


async def test_who_may_not_replay_is_not_offered_it(portal: Portal) -> None:
    await settled(portal, await portal.config(), Verdict.FAILED, outcome=REFUSED)

    viewer = await (await portal.signed_in(Role.VIEWER)).get("/")
    editor = await (await portal.signed_in(Role.EDITOR)).get("/")

    assert "Connection refused" in viewer.text
    assert "Replay all" not in viewer.text
    assert "Replay all" in editor.text


# --- what needs attention -------------------------------------------------------------------------------------------


async def attention(browser: Browser) -> list[list[str]]:
    page = await browser.get("/")
    if "No postback config needs attention." in page.text:
        return []
    return rows(page, "Postback configs that need attention")


async def test_what_needs_attention_is_said_with_why_the_urgent_first(portal: Portal, owner: Browser) -> None:
    names = ("Paused", "Failing", "Expiring", "Warned", "Well")
    configs = {name: await portal.config(name=name) for name in names}
    for name in ("Paused", "Well", "Warned"):
        await settled(portal, configs[name], Verdict.DELIVERED)
    await settled(portal, configs["Failing"], Verdict.RETRY, outcome=answered(503))
    ends_ms = portal.clock() + 20 * DAY_MS
    await settled(portal, configs["Expiring"], Verdict.DELIVERED, outcome=answered(certificate_ends_ms=ends_ms))
    [claim] = await claims_of(portal, configs["Warned"])
    await portal.api.store.settle(portal.api.worker, [a_settlement(claim, warns="it answered with a body")])
    page = await owner.get(f"/postbackconfigs/{configs['Paused']}")
    await owner.submit(page.form(f"/postbackconfigs/{configs['Paused']}/pause"))

    found = await attention(owner)

    assert [row[0] for row in found] == ["Failing", "Expiring", "Warned", "Paused"]
    assert re.fullmatch(r"failing answered 503 Service Unavailable; began .*, never yet a success", found[0][1])
    assert found[1][1].startswith("certificate expires in 20 d: have it renewed")
    assert re.fullmatch(r".* it answered with a body; began .*", found[2][1])
    assert re.fullmatch(r"paused by owner\d+@example.com .*; what it is owed is held", found[3][1])


async def test_who_paused_a_config_is_for_those_who_may_see_the_audit(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    await settled(portal, config_id, Verdict.DELIVERED)
    path = f"/postbackconfigs/{config_id}"
    await owner.submit((await owner.get(path)).form(f"{path}/pause"))

    [viewer] = await attention(await portal.signed_in(Role.VIEWER))

    assert viewer[1] == "paused what it is owed is held"


async def test_who_paused_a_config_long_ago_is_found_however_much_was_done_since(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postback.actions.overview._LOOKED_AT", 1)
    config_id = await portal.config()
    await settled(portal, config_id, Verdict.DELIVERED)
    path = f"/postbackconfigs/{config_id}"
    page = await owner.get(path)
    portal.clock.pass_(ms=2_000)
    await owner.submit(page.form(f"{path}/pause"))
    portal.clock.pass_(seconds=60)
    for number in range(5):
        await portal.location(name=f"Street {number}")

    [paused] = await attention(owner)

    assert re.search(r"paused by owner\d+@example.com", paused[1])


async def test_an_expired_certificate_and_one_of_a_config_are_said_on_its_page(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(name="Billing")
    ends_ms = portal.clock() + 5 * DAY_MS
    await settled(portal, config_id, Verdict.DELIVERED, outcome=answered(certificate_ends_ms=ends_ms))

    near = await owner.get(f"/postbackconfigs/{config_id}")
    portal.clock.pass_(ms=6 * DAY_MS)
    owner = await portal.signed_in()
    [row] = await attention(owner)

    assert "The receiver's certificate expires in 5 d" in near.text.replace("’", "'").replace("&#39;", "'")
    assert row[1].startswith("certificate expired 1 d ago")


async def test_when_all_is_well_that_is_said(portal: Portal, owner: Browser) -> None:
    await settled(portal, await portal.config(), Verdict.DELIVERED)

    assert await attention(owner) == []
