"""Every route of the app, with each kind of key and with none, on own things, on those of others and on none at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from postback.api import publish
from postback.api.app import framework
from postback.domain.accounts import Scope
from tests.api.client import OPERATOR, Api, Client, Reply
from tests.api.test_access_matrix import IDS, LOCAL, ONE_THING, OPEN, OPERATORS, ROUTES, ask, one_of_each_kind, shape

pytestmark = pytest.mark.anyio

Route = tuple[str, str, Any, Scope]
Things = dict[str, str]


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of all that the app answers, also of what it does not describe."""
    left = list(app.router.routes)
    while left:
        route = left.pop()
        if isinstance(route, APIRoute):
            yield from ((method, shape(route.path)) for method in route.methods or ())
        else:
            # A router that was included; whatever else there may be some day is no part of the walk, and fails here.
            left += route.original_router.routes  # type: ignore[attr-defined]


@pytest.fixture
async def ours(api: Api) -> Things:
    """One thing of each kind in the account `default`."""
    return await one_of_each_kind(api)


@pytest.fixture
async def theirs(api: Api) -> Things:
    """One thing of each kind in the account `other`."""
    await api.other_account()
    things = await one_of_each_kind(replace(api, client=api.client.as_(OPERATOR, "other")))
    return {**things, "account": "other"}


def told(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    return reply.status, dict(reply.headers), reply.body


ON_RECORD = " WHERE action <> 'access.refuse'"


def kept(api: Api) -> list[tuple[object, ...]]:
    """All that the store holds of anything, but for when a key was last used and which requests were refused."""
    with closing(sqlite3.connect(api.store.path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return [
            (table, *row)
            for table in tables
            if table != "api_keys"
            for row in connection.execute(f"SELECT * FROM {table}{ON_RECORD if table == 'audit' else ''}")
        ]


async def test_no_route_of_the_app_is_left_out(api: Api) -> None:
    """Taken from the app itself: a route that its document does not describe is one to walk all the same."""
    exist = [*routes_of(framework(api.services)), ("POST", publish.PATH)]

    assert sorted(exist) == sorted({(method, shape(target)) for method, target, *_ in [*ROUTES, *OPEN, *LOCAL]})


async def test_what_is_refused_says_nothing_of_what_there_is_and_changes_nothing(
    api: Api, ours: Things, theirs: Things
) -> None:
    nothing = {**ours, **IDS, "account": "nobody", "empty_account": "nobody"}
    nobody = api.client.as_(None)
    account = api.client.as_(await api.key(*Scope))
    lacking = {
        scope: [api.client.as_(await api.key(*(set(Scope) - {scope}), account=whose)) for whose in ("default", None)]
        for scope in Scope
    }
    others = api.client.as_(await api.key(*Scope, account="other"))
    before = kept(api)

    async def answers(client: Client, route: Route, *things: Things) -> list[tuple[int, dict[str, str], bytes]]:
        """One, where all are the same but for nothing."""
        found = [told(await ask(client, route, one)) for one in things]
        return [one for place, one in enumerate(found) if one not in found[:place]]

    for route in ROUTES:
        named = route[:2]
        [(status, *_)] = await answers(nobody, route, ours, theirs, nothing)
        assert status == 401, named
        for client in lacking[route[3]]:
            [(status, *_)] = await answers(client, route, ours, theirs, nothing)
            assert status == 403, named
        if route in OPERATORS:
            for client in (account, others):
                [(status, *_)] = await answers(client, route, ours, theirs, nothing)
                assert status == 403, named
        elif route in ONE_THING:
            for client, not_its in ((account, theirs), (api.client, theirs), (others, ours)):
                [(status, *_)] = await answers(client, route, not_its, nothing)
                assert status == 404, named
        elif "{location}" in str(route[2]):
            for client, not_its in ((account, theirs), (api.client, theirs), (others, ours)):
                [(status, *_)] = await answers(client, route, not_its, nothing)
                assert status == 422, named
    assert kept(api) == before


async def test_own_things_open_to_a_key_of_the_account_and_to_an_operators(
    api: Api, ours: Things, theirs: Things
) -> None:
    """All routes one after the other, those that remove something last."""
    account = api.client.as_(await api.key(*Scope))
    operator = api.client.as_(OPERATOR, "other")

    for route in sorted(ROUTES, key=lambda route: route[0] == "DELETE"):
        if route not in OPERATORS:
            reply = await ask(account, route, ours)
            assert reply.status in {200, 201, 202, 204}, (route[:2], reply.body)
        reply = await ask(operator, route, theirs)
        assert reply.status in {200, 201, 202, 204}, (route[:2], reply.body)


async def test_what_was_deleted_cannot_be_told_from_what_never_was(api: Api, ours: Things) -> None:
    nothing = {**ours, **IDS}
    deletions = [route for route in ONE_THING if route[0] == "DELETE"]
    assert [(await ask(api.client, route, ours)).status for route in deletions] == [204] * len(deletions)
    gone = tuple(route[1] for route in deletions)

    for route in [route for route in ONE_THING if route[1].startswith(gone)]:
        deleted, unknown = [told(await ask(api.client, route, things)) for things in (ours, nothing)]
        assert deleted == unknown, route[:2]
        assert deleted[0] == 404, route[:2]


async def test_nothing_of_others_is_in_anything_that_is_listed(api: Api, ours: Things, theirs: Things) -> None:
    listing = [route for route in ROUTES if route[0] == "GET" and "{" not in route[1] and route not in OPERATORS]
    account = api.client.as_(await api.key(*Scope))
    others = api.client.as_(await api.key(*Scope, account="other"))
    operator = api.client.as_(OPERATOR, "other")
    shared = {"account", "empty_account"}

    for route in listing:
        for client, own, not_its in ((account, ours, theirs), (others, theirs, ours), (operator, theirs, ours)):
            shown = (await ask(client, route, own)).body.decode()
            assert [name for name, id_ in not_its.items() if name not in shared and id_ in shown] == [], route[:2]
