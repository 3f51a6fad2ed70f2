"""Whose key a request carries, and whether it may do what is asked."""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.types import Scope

from postback.actions.access import Access, Principal
from postback.api.errors import ASKING
from postback.api.services import Services
from postback.domain.accounts import Scope as KeyScope
from postback.domain.errors import Unauthorized

_HOW: Final = "send the header Authorization: Bearer <api key>"
_HOW_ACCOUNT: Final = "send the header Postback-Account: <account id>"
_UNREADABLE: Final = f"the key cannot be read; {_HOW}"
_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for"})


async def principal_of(scope: Scope, access: Access) -> Principal:
    """Who asks, by the headers of the request; Unauthorized for nobody."""
    authorization: bytes | None = None
    account: str | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if authorization is not None:
                raise Unauthorized(f"there are two keys; {_HOW} once")
            authorization = value
        elif name == b"postback-account":
            if account is not None:
                raise Unauthorized(f"there are two accounts; {_HOW_ACCOUNT} once")
            account = _text(value, f"the account cannot be read; {_HOW_ACCOUNT}")
    if authorization is None:
        raise Unauthorized(f"there is no key; {_HOW}")
    scheme, _, secret = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not secret.strip():
        raise Unauthorized(_UNREADABLE)
    # The peer's own address: what a header says of it anybody may have written.
    peer = scope.get("client")
    asking = await access.identify(_text(secret.strip(), _UNREADABLE), peer[0] if peer else None)
    scope[ASKING] = asking
    return await access.acting_for(asking, account)


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Joined = Annotated[Services, Depends(services_of)]


async def _reader(request: Request, services: Joined) -> Principal:
    return await _with_scope(request, services, KeyScope.READ)


async def _writer(request: Request, services: Joined) -> Principal:
    return await _with_scope(request, services, KeyScope.WRITE)


async def _admin(request: Request, services: Joined) -> Principal:
    return await _with_scope(request, services, KeyScope.ADMIN)


async def _local_or_reader(request: Request, services: Joined) -> None:
    """Open on the machine itself. Headers can only take that away: behind a proxy every connection is local."""
    if not _is_local(request):
        await _reader(request, services)


Reader = Annotated[Principal, Depends(_reader)]
Writer = Annotated[Principal, Depends(_writer)]
Admin = Annotated[Principal, Depends(_admin)]
LocalOrReader = Depends(_local_or_reader)
LOCAL_OR_READER: Final = "Open to the machine itself, unless through a proxy; from elsewhere with a key that may read."

_DEMANDS: Final[Mapping[Callable[..., object] | None, KeyScope]] = {
    _reader: KeyScope.READ,
    _writer: KeyScope.WRITE,
    _admin: KeyScope.ADMIN,
    _local_or_reader: KeyScope.READ,
}


def scopes_of(routers: Iterable[APIRouter]) -> Mapping[str, KeyScope]:
    """The name of each route that asks for a key → the scope that opens it."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    return {
        route.name: _DEMANDS[one.call]
        for route in routes
        for one in route.dependant.dependencies
        if one.call in _DEMANDS
    }


async def _with_scope(request: Request, services: Services, scope: KeyScope) -> Principal:
    principal = await principal_of(request.scope, services.access)
    principal.demand(scope)
    return principal


def _text(value: bytes, otherwise: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unauthorized(otherwise) from None


def _is_local(request: Request) -> bool:
    if any(name in _FORWARDED for name, _ in request.scope["headers"]):
        return False
    return request.client is not None and _is_loopback(request.client.host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
