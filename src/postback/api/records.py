"""/v2/locations, /v2/contacts, /v2/transactions …: the same five routes for every kind of record."""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request, Response

from postback.actions.fields import Reader as FieldReader
from postback.actions.fields import unix_seconds
from postback.actions.records import RecordActions
from postback.api.answers import answer, no_content
from postback.api.documents import ONE, READING, TRACEPARENT, WRITING, documented, list_parameters, listed, wrapped
from postback.api.fields import fields_of
from postback.api.keys import Joined, Reader, Writer
from postback.api.lists import listing, page_of
from postback.api.schema_examples import RECORDS
from postback.api.services import Services
from postback.api.traces import trace_of
from postback.api.views import record_view
from postback.domain.records import LOCATION
from postback.resources import UPDATE_IF_EXISTS, Field, Kind, Resource


def routes_of(resource: Resource) -> APIRouter:
    name, plural, schema = resource.name, resource.plural, resource.name.capitalize()
    one = wrapped(name, schema)
    new = wrapped(name, f"New{schema}", required=[field.name for field in resource.fields if field.required])
    example = {key: value for key, value in RECORDS[name].items() if not resource.by_name[key].fixed}
    changed = wrapped(name, f"New{schema}", example=example)
    path, path_of_one = f"/v2/{plural}", f"/v2/{plural}/{{record_id}}"
    tells = "" if name == LOCATION else f" Configs of its location that ask for it hear of it as {name}."
    in_use = (409,) if name == LOCATION else ()
    # A change of any other record is an event as well.
    limited = () if name == LOCATION else (429,)
    traced = () if name == LOCATION else (TRACEPARENT,)
    filters = _filters(resource)
    router = APIRouter(tags=[plural])

    @router.post(
        path,
        name=f"create_{name}",
        **documented(
            f"Create {resource.one}",
            status=201,
            also=200 if UPDATE_IF_EXISTS in resource.by_name else None,
            answer=one,
            body=new,
            parameters=traced,
            errors=(*WRITING, *limited),
            description=f"Creates {resource.one}.{tells}{'created.' if tells else ''}",
        ),
    )
    async def create(request: Request, principal: Writer, services: Joined) -> Response:
        fields = await fields_of(request, services, name)
        record, is_new = await _actions(request, services).create(
            principal.account, resource, fields, by=principal.actor
        )
        return answer(
            201 if is_new else 200,
            {name: record_view(resource, record, services.base_url, sees_all=principal.sees_all)},
        )

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
        views = [record_view(resource, record, services.base_url, sees_all=principal.sees_all) for record in page.items]
        return answer(200, page_of(plural, views, page.total, asked, services.base_url + path))

    @router.get(path_of_one, name=f"show_{name}", **documented(f"Show {resource.one}", answer=one, errors=ONE))
    async def show(record_id: str, principal: Reader, services: Joined) -> Response:
        record = await services.record_actions.find(principal.account, resource, record_id)
        return answer(200, {name: record_view(resource, record, services.base_url, sees_all=principal.sees_all)})

    @router.put(
        path_of_one,
        name=f"change_{name}",
        **documented(
            f"Change {resource.one}",
            answer=one,
            body=changed,
            parameters=traced,
            errors=(404, *WRITING, *limited),
            description=f"What is not sent stays, null removes.{tells}{'updated.' if tells else ''}",
        ),
    )
    async def change(request: Request, record_id: str, principal: Writer, services: Joined) -> Response:
        fields = await fields_of(request, services, name)
        record = await _actions(request, services).change(
            principal.account, resource, record_id, fields, by=principal.actor
        )
        return answer(200, {name: record_view(resource, record, services.base_url, sees_all=principal.sees_all)})

    @router.delete(
        path_of_one,
        name=f"delete_{name}",
        **documented(
            f"Delete {resource.one}",
            status=204,
            parameters=traced,
            errors=(*ONE, *in_use, *limited, 503),
            description=f"Deletes {resource.one}.{tells}{'deleted.' if tells else ''}",
        ),
    )
    async def delete(request: Request, record_id: str, principal: Writer, services: Joined) -> Response:
        await _actions(request, services).delete(principal.account, resource, record_id, by=principal.actor)
        return no_content()

    return router


def _actions(request: Request, services: Services) -> RecordActions:
    return services.record_actions.within(trace_of(request.scope))


def _filters(resource: Resource) -> Mapping[str, FieldReader]:
    """Of the fields that do not take any text."""
    return {name: _filter(field) for name, field in resource.by_name.items() if field.kind not in _OF_TEXTS}


def _filter(field: Field) -> FieldReader:
    # The numbers that are ours are times.
    return unix_seconds if field.kind is Kind.NUMBER and field.read_only else field.read


_OF_TEXTS: Final = (Kind.TEXT, Kind.ID)
