"""/v2/locations and /v2/contacts: the same five routes for every kind of record."""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request, Response

from postback.actions.fields import Reader as FieldReader
from postback.actions.fields import unix_seconds
from postback.api.answers import answer, no_content
from postback.api.documents import ONE, READING, WRITING, documented, list_parameters, listed, wrapped
from postback.api.fields import fields_of
from postback.api.keys import Joined, Reader, Writer
from postback.api.lists import listing, page_of
from postback.api.views import record_view
from postback.domain.records import LOCATION
from postback.resources import UPDATE_IF_EXISTS, Field, Kind, Resource


def routes_of(resource: Resource) -> APIRouter:
    name, plural, schema = resource.name, resource.plural, resource.name.capitalize()
    one, new = wrapped(name, schema), wrapped(name, f"New{schema}")
    path, path_of_one = f"/v2/{plural}", f"/v2/{plural}/{{record_id}}"
    tells = "" if name == LOCATION else f" Configs of its location that ask for it hear of it as {name}."
    in_use = (409,) if name == LOCATION else ()
    filters = _filters(resource)
    router = APIRouter(tags=[plural])

    @router.post(
        path,
        name=f"create_{name}",
        **documented(
            f"Create a {name}",
            status=201,
            also=200 if UPDATE_IF_EXISTS in resource.by_name else None,
            answer=one,
            body=new,
            errors=WRITING,
            description=f"Creates a {name}.{tells}{'created' if tells else ''}",
        ),
    )
    async def create(request: Request, principal: Writer, services: Joined) -> Response:
        fields = await fields_of(request, services, name)
        record, is_new = await services.record_actions.create(principal.account, resource, fields)
        return answer(201 if is_new else 200, {name: record_view(resource, record, services.base_url)})

    @router.get(
        path,
        name=f"list_{plural}",
        **documented(
            f"List {plural}",
            answer=listed(plural, schema),
            parameters=list_parameters(resource.listed),
            errors=(*READING, 422),
        ),
    )
    async def list_(request: Request, principal: Reader, services: Joined) -> Response:
        asked = listing(request, {listed_name: listed_name for listed_name in resource.listed}, filters)
        page = await services.record_actions.list(principal.account, resource, asked.query)
        views = [record_view(resource, record, services.base_url) for record in page.items]
        return answer(200, page_of(plural, views, page.total, asked, services.base_url + path))

    @router.get(path_of_one, name=f"show_{name}", **documented(f"Show a {name}", answer=one, errors=ONE))
    async def show(record_id: str, principal: Reader, services: Joined) -> Response:
        record = await services.record_actions.find(principal.account, resource, record_id)
        return answer(200, {name: record_view(resource, record, services.base_url)})

    @router.put(
        path_of_one,
        name=f"change_{name}",
        **documented(
            f"Change a {name}",
            answer=one,
            body=new,
            errors=(404, *WRITING),
            description=f"What is not sent stays, null removes.{tells}{'updated' if tells else ''}",
        ),
    )
    async def change(request: Request, record_id: str, principal: Writer, services: Joined) -> Response:
        fields = await fields_of(request, services, name)
        record = await services.record_actions.change(principal.account, resource, record_id, fields)
        return answer(200, {name: record_view(resource, record, services.base_url)})

    @router.delete(
        path_of_one,
        name=f"delete_{name}",
        **documented(
            f"Delete a {name}",
            status=204,
            errors=(*ONE, *in_use, 503),
            description=f"Deletes a {name}.{tells}{'deleted' if tells else ''}",
        ),
    )
    async def delete(record_id: str, principal: Writer, services: Joined) -> Response:
        await services.record_actions.delete(principal.account, resource, record_id)
        return no_content()

    return router


def _filters(resource: Resource) -> Mapping[str, FieldReader]:
    """Of the fields that do not take any text."""
    return {name: _filter(field) for name, field in resource.by_name.items() if field.kind not in _OF_TEXTS}


def _filter(field: Field) -> FieldReader:
    # The numbers that are ours are times.
    return unix_seconds if field.kind is Kind.NUMBER and field.read_only else field.read


_OF_TEXTS: Final = (Kind.TEXT, Kind.ID)
