"""The audit as a page: filters, what was changed, pages."""

import re
from dataclasses import replace

import pytest

from postback.domain.accounts import Actor, Scope
from postback.domain.audited import AUDITED
from postback.domain.configs import RESOURCES
from postback.domain.users import Role
from postback.ports import AuditEntry
from postback.web.audit_shown import Changed, changes
from postback.web.pages.locations import LOCATION
from tests import manual
from tests.doubles import ClockDouble
from tests.web.happenings import attempt, publish
from tests.web.pages import OTHER, Browser, Page, Portal
from tests.web.test_texts_from_outside import CORPUS, nothing_came_alive

pytestmark = pytest.mark.anyio

AUDIT = "/account/audit"
ENTRY = AuditEntry(id=1, at_ms=0, by=None, action="location.change", target="loc_1", before=None, after=None)


def actions(page: Page) -> list[str]:
    """What was done, row by row."""
    return re.findall(r'<td class="what">([^<]+)<', page.html)


async def test_who_did_what_is_shown_with_what_changed(portal: Portal, owner: Browser) -> None:
    add = (await owner.get("/locations/add")).form("/locations/add").fill(name="Main Street", city="Springfield")
    added = await owner.submit(add)
    form = (await owner.get(f"{added.to}/settings")).form(f"{added.to}/settings")
    await owner.submit(form.fill(city="Shelbyville"))

    page = await owner.get(f"{AUDIT}?kind=location.change")

    assert "Springfield" in page.text
    assert "Shelbyville" in page.text
    assert "owner1@example.com" in page.text
    assert owner.peer in page.text
    assert "Main Street" not in page.text


def test_only_what_became_another_is_told_of_a_change() -> None:
    entry = replace(
        ENTRY,
        before={"name": "A", "limits": {"configs": 5, "max_body": None}, "tags": ["x"]},
        after={"name": "A", "limits": {"configs": 6, "max_body": None}, "tags": [], "new": True},
    )

    assert changes(entry) == [
        Changed("limits.configs", "5", "6"),
        Changed("tags", '["x"]', "[]"),
        Changed("new", "–", "true"),
    ]


def test_of_what_was_made_or_removed_all_that_was_set_is_told() -> None:
    facts = {"name": "A", "city": None, "headers": {"X-Key": "***"}}

    assert changes(replace(ENTRY, after=facts)) == [Changed("name", "–", "A"), Changed("headers.X-Key", "–", "***")]
    assert changes(replace(ENTRY, before=facts)) == [Changed("name", "A", "–"), Changed("headers.X-Key", "***", "–")]
    assert changes(ENTRY) == []


async def test_it_is_narrowed_by_who_kind_thing_and_time(portal: Portal, clock: ClockDouble) -> None:
    shop = Actor("key_shop", "Shop", "192.0.2.1")
    location = await portal.location()
    await portal.services.configs.create("default", {"url": "http://127.0.0.1:9/", "event_types": ["*"]}, by=shop)
    clock.pass_(seconds=3600)
    await portal.services.records.delete("default", LOCATION, location, by=Actor("usr_1", "ann@example.com"))
    owner = await portal.signed_in()

    async def found(query: str) -> set[str]:
        return set(actions(await owner.get(f"{AUDIT}?{query}")))

    assert await found("who=key_shop") == await found("who=Shop") == {"postbackconfig: create"}
    assert await found("who=ann%40example.com") == {"location: delete"}
    assert await found("kind=location.create") == {"location: create"}
    assert await found(f"thing={location}") == {"location: create", "location: delete"}
    lately = await found("from=2026-09-21T15:00")
    assert "location: delete" in lately
    assert not {"location: create", "postbackconfig: create"} & lately
    assert await found("to=2026-09-21T15:00:00") >= {"location: create", "postbackconfig: create"}
    assert await found(f"thing={location}&from=2026-09-21T15:00&who=nobody") == set()
    assert "Nothing found" in (await owner.get(f"{AUDIT}?who=nobody")).text


async def test_a_time_that_is_none_is_said_beside_its_field(owner: Browser) -> None:
    page = await owner.get(f"{AUDIT}?from=yesterday&who=ann")

    assert (page.status, page.wrong("from"), page.wrong("to")) == (422, True, False)
    assert 'value="ann"' in page.html


async def test_it_goes_on_page_by_page_with_its_filter(portal: Portal, owner: Browser) -> None:
    for number in range(60):
        await portal.location(name=f"Street {number}")

    first = await owner.get(f"{AUDIT}?kind=location.create")
    second = await owner.get(AUDIT + first.links["Older"])
    third = await owner.get(AUDIT + second.links["Older"])

    assert [len(actions(page)) for page in (first, second, third)] == [25, 25, 10]
    assert "Older" not in third.links
    assert "Newest" not in first.links
    assert actions(await owner.get(AUDIT + third.links["Newest"])) == actions(first)
    assert (await owner.get(f"{AUDIT}?cursor=nonsense")).status == 422


async def test_a_page_looks_at_so_many_entries_and_says_where_it_goes_on(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is rare would otherwise be looked for through all there is, while somebody waits."""
    monkeypatch.setattr("postback.web.pages.audit.LOOKED_AT", 10)
    rare = await portal.location()
    await portal.services.records.delete("default", LOCATION, rare, by=Actor("key_shop", "Shop"))
    for number in range(25):
        await portal.location(name=f"Street {number}")

    for query in (f"thing={rare}&kind=location.delete", "who=key_shop", "kind=location.delete", "who=Shop"):
        page = await owner.get(f"{AUDIT}?{query}")
        pages = 1
        while not actions(page):
            assert "There are none back to" in page.text
            assert "Nothing found" not in page.text
            page = await owner.get(AUDIT + page.links["Older"])
            pages += 1
        assert (pages, actions(page)) == (3, ["location: delete"])

    assert len(actions(await owner.get(AUDIT))) == 25
    lately = await owner.get(f"{AUDIT}?who=nobody&from=2026-09-21T23:00")
    assert "Nothing found" in lately.text


async def test_each_sees_their_account_and_the_platform_is_for_those_who_run_it(portal: Portal, owner: Browser) -> None:
    await portal.location(OTHER, name="Elsewhere")
    await portal.api.services.account_actions.add_operator_key("third operator key")
    boss, editor = await portal.signed_in(Role.OWNER, None), await portal.signed_in(Role.EDITOR, None)

    of_platform = await boss.get(f"{AUDIT}?of=platform")

    assert "third operator key" in of_platform.text
    assert "Elsewhere" not in (await owner.get(AUDIT)).text + of_platform.text
    for page in (await owner.get(f"{AUDIT}?of=platform"), await boss.get(AUDIT)):
        assert "third operator key" not in page.text
    assert "The platform itself" not in (await owner.get(AUDIT)).text
    assert (await editor.get(AUDIT)).status == 403


async def test_accounts_see_the_platform_where_operators_see_who_of_them_it_was(portal: Portal) -> None:
    boss, admin = await portal.user(Role.OWNER, None), await portal.signed_in(Role.ADMIN)
    operator, guest = await portal.browser_of(boss), await portal.came_by_link("default", Role.ADMIN)
    operator.peer = "203.0.113.9"
    await operator.submit((await operator.get("/locations/add")).form("/locations/add").fill(name="Made by the boss"))

    seen = [await browser.get(f"{AUDIT}?kind=location.create") for browser in (admin, guest)]
    known = await operator.get(f"{AUDIT}?kind=location.create")

    for page in seen:
        assert "Made by the boss" in page.text
        assert page.links["the platform"] == "?who=platform"
        for secret in (boss.email, boss.id, operator.peer):
            assert secret not in page.html
        for who in (boss.email, boss.id):
            assert "Made by the boss" not in (await admin.get(f"{AUDIT}?who={who}")).text
    assert boss.email in known.links
    assert operator.peer in known.text
    for browser in (admin, operator):
        assert actions(await browser.get(f"{AUDIT}?who=platform")) == ["location: create"]


async def test_operators_are_marked_and_nobody_else_whatever_the_name(portal: Portal, owner: Browser) -> None:
    boss = await portal.user(Role.OWNER, None)
    operator = await portal.browser_of(boss)
    await operator.submit((await operator.get("/locations/add")).form("/locations/add").fill(name="Real"))
    forged = await portal.location(name="Forged")
    forger = Actor("key_shop", "the platform", "192.0.2.1")
    await portal.services.records.delete("default", LOCATION, forged, by=forger)

    def marks(page: Page) -> list[bool]:
        rows = re.findall(r"<tr>.*?</tr>", page.html, re.DOTALL)
        return ["of the platform" in row for row in rows if 'class="what"' in row]

    for browser in (owner, operator):
        assert marks(await browser.get(f"{AUDIT}?kind=location.delete")) == [False]
        by_name = await browser.get(f"{AUDIT}?who=the+platform")
        assert "location: delete" not in actions(by_name)
        assert "location: create" in actions(by_name)
        assert all(marks(by_name))
        assert actions(await browser.get(f"{AUDIT}?who=key_shop")) == ["location: delete"]


async def test_the_overview_names_no_operator_to_an_account(portal: Portal) -> None:
    boss, owner = await portal.user(Role.OWNER, None), await portal.signed_in()
    operator = await portal.browser_of(boss)
    config_id = await portal.config()
    await publish(portal)
    await attempt(portal, config_id)
    path = f"/postbackconfigs/{config_id}"
    await operator.submit((await operator.get(path)).form(f"{path}/pause"))

    seen, known = await owner.get("/"), await operator.get("/")

    assert "by the platform" in seen.text
    assert boss.email not in seen.html
    assert f"by {boss.email}" in known.text


async def test_who_may_not_do_something_is_on_record_once_with_the_route(portal: Portal, owner: Browser) -> None:
    viewer = await portal.user(Role.VIEWER)
    browser = await portal.browser_of(viewer)
    config_id = await portal.config()

    for _ in range(3):
        assert (await browser.get(f"/postbackconfigs/{config_id}/edit?secret=canary")).status == 403
    assert (await browser.post("/theme", {"theme": "dark"})).status == 403
    assert (await portal.browser().get("/account/users")).status == 303

    page = await owner.get(f"{AUDIT}?kind=access.refuse")
    assert actions(page) == ["access: refuse"]
    for said in (viewer.email, browser.peer, "this needs the right to change configs; your role is viewer"):
        assert said in page.text
    assert 'title="GET /postbackconfigs/{config_id}/edit"' in page.html
    assert "canary" not in page.html
    assert config_id not in page.html
    assert "access: refuse" in (await owner.get(AUDIT)).links


async def test_what_an_operator_may_not_do_is_of_the_platform(portal: Portal, owner: Browser) -> None:
    boss, viewer = await portal.signed_in(Role.OWNER, None), await portal.signed_in(Role.VIEWER, None)

    assert (await viewer.get("/accounts/add")).status == 403

    assert actions(await owner.get(f"{AUDIT}?kind=access.refuse")) == []
    assert actions(await boss.get(f"{AUDIT}?of=platform&kind=access.refuse")) == ["access: refuse"]


async def test_no_secret_stands_in_it(portal: Portal, owner: Browser) -> None:
    await portal.config(
        format="json",
        signing_secret="whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY",
        headers={"X-Api-Key": "s3cret-of-a-header"},
        basic_auth_username="user-of-theirs",
        basic_auth_password="pass-of-theirs",
    )
    key = await portal.api.key(Scope.READ)

    page = await owner.get(AUDIT)

    assert "***" in page.text
    for secret in ("QUJDREVG", "s3cret-of-a-header", "user-of-theirs", "pass-of-theirs", key):
        assert secret not in page.html


@pytest.mark.parametrize("text", CORPUS)
async def test_what_others_typed_stays_text_in_it(portal: Portal, owner: Browser, text: str) -> None:
    location = await portal.location(name=text[:64], city=text)
    await portal.services.records.delete("default", LOCATION, location, by=Actor("key_x", text, text))

    for path in (AUDIT, f"{AUDIT}?who=%3Cb%3E&thing=%3Cscript%3Ealert(1)%3C%2Fscript%3E&kind=%22%3E"):
        page = await owner.get(path)
        assert page.status == 200
        nothing_came_alive(page)


def test_every_action_that_the_manual_tells_of_can_be_asked_for_and_no_other() -> None:
    cells = manual.column(manual.section(manual.page("api"), "Audit"), "action")
    told = {name for cell in cells for name in re.findall(r"\w+\.\w+", cell)}

    # Those of locations stand for those of each kind of record.
    of_records = {f"{resource}.{verb}" for resource in RESOURCES for verb in ("create", "change", "delete")}
    assert told | of_records == set(AUDITED)
