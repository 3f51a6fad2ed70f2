"""/v2/accounts and /v2/keys: whose things they are, and who may act for them."""

from fastapi import APIRouter, Request, Response

from postback.actions.accounts import ACCOUNTS_LISTED, KEYS_LISTED
from postback.api.answers import answer, no_content
from postback.api.documents import ONE, READING, WRITING, documented, list_parameters, listed, wrapped
from postback.api.fields import fields_of
from postback.api.keys import Admin, Joined
from postback.api.lists import listing, page_of
from postback.api.views import account_view, key_view, portal_link_view

router = APIRouter()

_ACCOUNT = wrapped("account", "Account")
_NEWEST_FIRST = "-created_at"


@router.get(
    "/v2/accounts",
    tags=["accounts"],
    **documented(
        "List accounts",
        answer=listed("accounts", "Account"),
        parameters=list_parameters(ACCOUNTS_LISTED),
        errors=(*READING, 422),
        description="Operator keys only.",
    ),
)
async def list_accounts(request: Request, principal: Admin, services: Joined) -> Response:
    asked = listing(request, ACCOUNTS_LISTED, default_sort=_NEWEST_FIRST)
    page = await services.account_actions.list(principal, asked.query)
    views = [account_view(account) for account in page.items]
    return answer(200, page_of("accounts", views, page.total, asked, f"{services.base_url}/v2/accounts"))


@router.put(
    "/v2/accounts/{account_id}",
    tags=["accounts"],
    **documented(
        "Make or change an account",
        also=201,
        answer=_ACCOUNT,
        body=wrapped("account", "NewAccount"),
        errors=(404, 409, *WRITING),
        description="Operator keys only. The id is your own; 201 when the account is new. What is not sent stays. "
        "409 while the history of a deleted account of that id is being removed.",
    ),
)
async def save_account(request: Request, account_id: str, principal: Admin, services: Joined) -> Response:
    fields = await fields_of(request, services, "account")
    account, is_new = await services.account_actions.save(principal, account_id, fields)
    return answer(201 if is_new else 200, {"account": account_view(account)})


@router.get(
    "/v2/accounts/{account_id}",
    tags=["accounts"],
    **documented("Show an account", answer=_ACCOUNT, errors=ONE, description="Operator keys only."),
)
async def show_account(account_id: str, principal: Admin, services: Joined) -> Response:
    account = await services.account_actions.find(principal, account_id)
    return answer(200, {"account": account_view(account)})


@router.delete(
    "/v2/accounts/{account_id}",
    tags=["accounts"],
    **documented(
        "Delete an account",
        status=204,
        errors=(*ONE, 409, 503),
        description="Operator keys only. Its keys go with it; 409 while it has locations, configs or open deliveries. "
        "Its history is removed soon after.",
    ),
)
async def delete_account(account_id: str, principal: Admin, services: Joined) -> Response:
    await services.account_actions.delete(principal, account_id)
    return no_content()


@router.post(
    "/v2/accounts/{account_id}/portal-link",
    tags=["accounts"],
    **documented(
        "Make a link that opens the account's portal once",
        status=201,
        answer=wrapped("portal_link", "PortalLink"),
        body=wrapped("portal_link", "NewPortalLink"),
        errors=(404, *WRITING),
        description="Operator keys only. Whoever opens it first sees the portal of this account and of no other, without "
        "being a user. The answer is the only one that shows the address.",
    ),
)
async def make_portal_link(request: Request, account_id: str, principal: Admin, services: Joined) -> Response:
    fields = await fields_of(request, services, "portal_link")
    made = await services.portal_links.make(principal, account_id, fields)
    return answer(201, {"portal_link": portal_link_view(made, services.base_url)})


@router.delete(
    "/v2/accounts/{account_id}/portal-link/{link_id}",
    tags=["accounts"],
    **documented(
        "Revoke a portal link",
        status=204,
        errors=(*ONE, 503),
        description="Operator keys only. It opens nothing any more, and whoever came by it is signed out at once.",
    ),
)
async def revoke_portal_link(account_id: str, link_id: str, principal: Admin, services: Joined) -> Response:
    await services.portal_links.revoke(principal, account_id, link_id)
    return no_content()


@router.get(
    "/v2/keys",
    tags=["keys"],
    **documented(
        "List the keys of the account",
        answer=listed("keys", "Key"),
        parameters=list_parameters(KEYS_LISTED),
        errors=(*READING, 422),
        description="Asked with an operator key, the operator keys are among them; their account is null.",
    ),
)
async def list_keys(request: Request, principal: Admin, services: Joined) -> Response:
    asked = listing(request, KEYS_LISTED, default_sort=_NEWEST_FIRST)
    page = await services.account_actions.list_keys(principal, asked.query)
    views = [key_view(key) for key in page.items]
    return answer(200, page_of("keys", views, page.total, asked, f"{services.base_url}/v2/keys"))


@router.post(
    "/v2/keys",
    tags=["keys"],
    **documented(
        "Make a key",
        status=201,
        answer=wrapped("key", "KeyWithSecret"),
        body=wrapped("key", "NewKey"),
        errors=WRITING,
        description="The answer is the only one that shows the key itself.",
    ),
)
async def create_key(request: Request, principal: Admin, services: Joined) -> Response:
    fields = await fields_of(request, services, "key")
    key, secret = await services.account_actions.add_key(principal, fields)
    return answer(201, {"key": {**key_view(key), "secret": secret}})


@router.delete(
    "/v2/keys/{key_id}",
    tags=["keys"],
    **documented(
        "Revoke a key",
        status=204,
        errors=(*ONE, 409, 503),
        description="It stops working within a second, everywhere. 409 for the key that asks.",
    ),
)
async def revoke_key(key_id: str, principal: Admin, services: Joined) -> Response:
    await services.account_actions.revoke_key(principal, key_id)
    return no_content()
