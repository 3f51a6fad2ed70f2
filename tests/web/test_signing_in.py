"""Signing in and out, what a session is good for, and for how long."""

from dataclasses import replace

import pytest

from postback import web
from postback.actions.passwords import Passwords
from postback.domain.users import IDLE_MS, SESSION_MS, Role, User
from postback.ports import AuditFilter
from tests.doubles import ClockDouble
from tests.web.pages import CHEAP, OTHER, PASSWORD, Browser, Form, Page, Portal

pytestmark = pytest.mark.anyio

SESSION = "__Host-session"


async def sign_in(browser: Browser, email: str, password: str = PASSWORD, after: str = "/sign-in") -> Page:
    page = await browser.get(after)
    return await browser.submit(page.form("/sign-in").fill(email=email, password=password))


async def test_whoever_is_not_signed_in_is_led_to_where_they_wanted(portal: Portal, stranger: Browser) -> None:
    user = await portal.user()

    asked = await stranger.get("/locations?search=Main&page=2")
    page = await sign_in(stranger, user.email, after=asked.to)

    assert page.to == "/locations?search=Main&page=2"
    assert (await stranger.follow(page)).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\tevil",
        "javascript:alert(1)",
        "",
    ],
)
async def test_nobody_is_led_elsewhere(portal: Portal, stranger: Browser, target: str) -> None:
    user = await portal.user()
    page = await stranger.get("/sign-in")

    form = page.form("/sign-in").fill(email=user.email, password=PASSWORD, next=target)

    assert (await stranger.submit(form)).to == "/"


async def test_a_wrong_password_and_an_unknown_email_are_answered_alike(portal: Portal, stranger: Browser) -> None:
    user = await portal.user()

    wrong = await sign_in(stranger, user.email, "another password")
    unknown = await sign_in(stranger, "nobody@example.com", "another password")

    assert wrong.status == unknown.status == 422
    assert "The email or the password is not right" in wrong.text
    assert wrong.html.replace(user.email, "") == unknown.html.replace("nobody@example.com", "")
    assert SESSION not in stranger.jar


async def test_what_was_typed_stays_but_the_password(portal: Portal, stranger: Browser) -> None:
    page = await sign_in(stranger, "ann@example.com", "a secret of mine")

    assert page.form("/sign-in").values["email"] == ["ann@example.com"]
    assert "a secret of mine" not in page.html


async def test_a_disabled_user_is_not_let_in(portal: Portal, stranger: Browser) -> None:
    await portal.user()
    user = await portal.user(Role.EDITOR, disabled_ms=portal.clock())

    assert (await sign_in(stranger, user.email)).status == 422


async def test_signing_in_makes_a_token_that_nobody_knew_before(portal: Portal) -> None:
    """Session fixation: whoever planted a token in a browser would share the session."""
    user = await portal.user()
    browser = portal.browser(jar={SESSION: "planted"})

    await sign_in(browser, user.email)
    first = browser.jar[SESSION]
    await browser.submit((await browser.get("/")).form("/sign-out"))
    await sign_in(browser, user.email)

    assert len({"planted", first, browser.jar[SESSION]}) == 3
    assert (await portal.browser(jar={SESSION: first}).get("/")).status == 303


async def test_the_cookie_of_a_session_is_for_this_host_and_no_script(portal: Portal, stranger: Browser) -> None:
    user = await portal.user()

    page = await sign_in(stranger, user.email)

    [cookie] = [cookie for cookie in page.cookies if cookie.startswith(SESSION)]
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_signing_out_ends_the_session_in_the_store(portal: Portal, owner: Browser) -> None:
    before = dict(owner.jar)

    page = await owner.submit((await owner.get("/")).form("/sign-out"))

    assert "You are signed out." in (await owner.follow(page)).text
    assert (await portal.browser(jar=before).get("/")).status == 303


async def test_a_session_that_nobody_uses_is_over_after_half_an_hour(owner: Browser, clock: ClockDouble) -> None:
    clock.pass_(ms=IDLE_MS - 1)
    assert (await owner.get("/")).status == 200

    clock.pass_(ms=IDLE_MS)
    assert (await owner.get("/")).status == 303


async def test_a_session_is_over_after_twelve_hours_however_it_is_used(owner: Browser, clock: ClockDouble) -> None:
    for _ in range(SESSION_MS // (IDLE_MS // 2) - 1):
        clock.pass_(ms=IDLE_MS // 2)
        assert (await owner.get("/account")).status == 200

    clock.pass_(ms=IDLE_MS // 2)

    assert (await owner.get("/account")).status == 303


async def test_one_can_end_another_session_of_ones_own_and_nobody_elses(portal: Portal) -> None:
    user = await portal.user()
    here, there = await portal.browser_of(user), await portal.browser_of(user)
    other = await portal.signed_in()
    portal.clock.pass_(seconds=61)
    page = await here.get("/account")
    [ending] = [form for form in page.read.forms if form.action.endswith("/end") and form.action != _own(page)]

    assert (await other.submit(_with_token_of(await other.get("/account"), ending))).status == 404
    assert (await here.submit(ending)).to == "/account"

    assert (await there.get("/")).status == 303
    assert (await here.get("/")).status == 200


def _own(page: Page) -> str:
    """The row that says `this one` is the first: it was used last."""
    return next(form.action for form in page.read.forms if form.action.endswith("/end"))


def _with_token_of(page: Page, form: Form) -> Form:
    return form.fill(form_token=page.form("/sign-out").values["form_token"][0])


async def test_a_role_that_is_taken_away_is_gone_at_once(portal: Portal) -> None:
    await portal.user()
    user = await portal.user(Role.ADMIN)
    browser = await portal.browser_of(user)
    assert (await browser.get("/account/users")).status == 200

    await portal.users.change(replace(user, role=Role.VIEWER))

    page = await browser.get("/account/users")
    assert page.status == 403
    assert "your role is viewer" in page.text


async def test_who_tries_too_often_has_to_wait_and_is_told_how_long(portal: Portal, stranger: Browser) -> None:
    user = await portal.user()
    for _ in range(10):
        assert (await sign_in(stranger, user.email, "wrong")).status == 422

    page = await sign_in(stranger, user.email)

    assert page.status == 429
    assert 0 < int(page.headers["retry-after"]) <= 30
    # Others are let in, from anywhere.
    assert (await sign_in(portal.browser(), (await portal.user()).email)).status == 303


async def test_nobody_can_lock_somebody_out_where_they_have_signed_in_before(portal: Portal) -> None:
    user = await portal.user()
    home = portal.browser(peer="198.51.100.1")
    await sign_in(home, user.email)
    attacker = portal.browser(peer="203.0.113.9")
    while (await sign_in(attacker, user.email, "wrong")).status == 422:
        pass

    assert (await sign_in(portal.browser(peer="198.51.100.1"), user.email)).status == 303


async def test_success_and_failure_are_on_record(portal: Portal, stranger: Browser) -> None:
    user = await portal.user()
    await sign_in(stranger, user.email, "wrong")
    await sign_in(stranger, "nobody@example.com", "wrong")
    await sign_in(stranger, user.email)

    of_account = await portal.api.services.audit.entries("default", AuditFilter(), None, 2)
    of_nobody = await portal.api.services.audit.entries(None, AuditFilter(action="session.refuse"), None, 1)
    assert [entry.action for entry in of_account] == ["session.create", "session.refuse"]
    assert {entry.by and (entry.by.key_id, entry.by.address) for entry in of_account} == {(user.id, stranger.peer)}
    assert [entry.target for entry in of_nobody] == ["nobody@example.com"]
    assert "wrong" not in str([entry.before for entry in of_account]).replace("not right", "")


async def test_a_user_of_the_platform_sees_one_account_at_a_time_and_chooses_it(portal: Portal) -> None:
    await portal.location(OTHER, name="Elsewhere")
    browser = await portal.signed_in(Role.ADMIN, None)
    page = await browser.get("/locations")
    assert "Elsewhere" not in page.text

    await browser.submit(page.form(f"/accounts/{OTHER}/act-for"))

    assert "Elsewhere" in (await browser.get("/locations")).text


async def test_a_form_of_a_tab_that_shows_another_account_is_refused(portal: Portal) -> None:
    """Otherwise what was typed for one account would be saved in another."""
    browser = await portal.signed_in(Role.ADMIN, None)
    form = (await browser.get("/locations/add")).form("/locations/add").fill(name="Mine")
    await browser.submit((await browser.get("/")).form(f"/accounts/{OTHER}/act-for"))

    page = await browser.submit(form)

    assert page.status == 403
    assert "another account" in page.text
    assert "Mine" not in (await browser.get("/locations")).text


async def test_a_user_of_an_account_cannot_choose_another(portal: Portal, owner: Browser) -> None:
    token = (await owner.get("/")).form("/sign-out").values["form_token"][0]

    assert (await owner.post(f"/accounts/{OTHER}/act-for", {"form_token": token})).status == 404
    assert (await owner.get("/accounts")).status == 404


async def test_who_signs_in_anew_leaves_no_session_behind(portal: Portal, owner: Browser) -> None:
    """Of the token that a browser had until then nobody knows any more who has it."""
    other, before = await portal.user(), dict(owner.jar)
    form = (await owner.get("/")).form("/sign-out").at("/sign-in")

    page = await owner.submit(form.press("email", other.email).press("password", PASSWORD))

    assert page.to == "/"
    assert other.email in (await owner.get("/")).text
    assert (await portal.browser(jar=before).get("/")).status == 303


async def test_an_email_without_an_end_is_nobodys_and_is_not_kept(portal: Portal, stranger: Browser) -> None:
    """What was tried is kept in mind, for many thousands of tries."""
    await portal.user()
    page = await stranger.get("/sign-in")

    answer = await stranger.submit(page.form("/sign-in").fill(email="x" * 16_000, password="whatever it is"))

    assert answer.status == 422
    assert max(len(email) for _, email in portal.services.sessions.limit._buckets) < 300


async def test_whoever_is_not_signed_in_sends_short_forms_only(portal: Portal, stranger: Browser) -> None:
    """Anybody may send them, from as many connections as they like, and each is kept until it is all there."""
    form = (await stranger.get("/sign-in")).form("/sign-in").fill(email="ann@example.com")
    owner = await portal.signed_in()
    adding = (await owner.get("/locations/add")).form("/locations/add")

    assert (await stranger.submit(form.fill(password="x" * 17_000))).status == 413
    assert (await owner.submit(adding.fill(name="x" * 17_000))).status == 422


class ChangedMeanwhile(Passwords):
    """While a password is checked, which takes its time, its user gets another one elsewhere; once."""

    def __init__(self, portal: Portal, user_id: str) -> None:
        super().__init__(CHEAP)
        self._portal, self._user_id = portal, user_id
        self._is_changed = False

    async def is_right(self, password: str, hashed: str | None) -> bool:
        found = await super().is_right(password, hashed)
        if not self._is_changed:
            self._is_changed = True
            await self._portal.users.set_password(self._user_id, CHEAP.hash("violet spoons under gravel"))
        return found


def browser_amid_a_change(portal: Portal, user: User) -> Browser:
    sessions = replace(portal.services.sessions, passwords=ChangedMeanwhile(portal, user.id))
    return Browser(web.build(replace(portal.services, sessions=sessions)))


async def test_the_old_password_lets_nobody_in_who_is_checked_while_it_is_changed(portal: Portal) -> None:
    """The change ends all sessions; one that was stored a moment later lived on, by a password that was no more."""
    user = await portal.user()
    browser = browser_amid_a_change(portal, user)

    page = await sign_in(browser, user.email)

    assert (page.status, "The email or the password is not right" in page.text) == (422, True)
    assert SESSION not in browser.jar
    assert await portal.sessions.list(user.id) == []
    [entry, *_] = await portal.api.services.audit.entries("default", AuditFilter(action="session.refuse"), None, 1)
    assert entry.target == user.email
    assert (await sign_in(browser, user.email, "violet spoons under gravel")).to == "/"


async def test_of_two_who_change_a_password_at_once_the_second_does_not_undo_the_first(portal: Portal) -> None:
    user = await portal.user()
    browser = browser_amid_a_change(portal, user)
    browser.jar.update((await portal.browser_of(user)).jar)
    form = (await browser.get("/account/password")).form("/account/password")

    page = await browser.submit(form.fill(old_password=PASSWORD, new_password="forty lanterns over marsh"))

    assert page.wrong("old_password")
    assert (await sign_in(portal.browser(), user.email, "violet spoons under gravel")).to == "/"
