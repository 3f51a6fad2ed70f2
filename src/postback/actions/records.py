"""Records: locations, contacts, payments. A change and the event that tells of it become durable together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from postback.actions.locations import KnownLocations
from postback.actions.repeating import until_unpassed
from postback.domain.accounts import Actor
from postback.domain.deliveries import Refused
from postback.domain.errors import InvalidValue, RevisionPassed
from postback.domain.ids import encode
from postback.domain.records import Change, Delete, Insert, Record, Update
from postback.ports import Clock, Intake, NewEvent, Page, Query, Records
from postback.resources import UPDATE_IF_EXISTS, Resource, changed, check, event_data, new_record
from postback.resources.location import LOCATION

_NOT_VALID: Final = "location_id provided is not valid"


@dataclass(frozen=True, slots=True)
class RecordActions:
    records: Records
    intake: Intake
    locations: KnownLocations
    clock: Clock
    ids: Callable[[], int]
    trace: str | None = None

    def within(self, trace: str | None) -> "RecordActions":
        """The same for a request that belongs to this trace (traceparent), and with it the events that it makes."""
        return self if trace is None else replace(self, trace=trace)

    async def create(
        self, account: str, resource: Resource, fields: Mapping[str, object], *, by: Actor | None = None
    ) -> tuple[Record, bool]:
        """The record, and whether it was made: `update_if_exists` changes the one that has the same key already."""
        cleaned = await self._checked(account, resource, fields)
        key_field = resource.key
        if key_field is None or not cleaned.get(UPDATE_IF_EXISTS):
            return await self._insert(account, resource, cleaned, by), True

        async def insert_or_update() -> tuple[Record, bool]:
            location_id, key = str(cleaned["location_id"]), str(cleaned[key_field])
            record = await self.records.find_by_key(account, resource.name, location_id, key)
            if record is not None:
                return await self._update(resource, record, cleaned, by), False
            try:
                return await self._insert(account, resource, cleaned, by), True
            except InvalidValue as error:
                if key_field in error.errors:
                    # Somebody else made it in between: now there is one to change.
                    raise RevisionPassed(str(error)) from None
                raise

        return await until_unpassed(insert_or_update)

    async def change(
        self,
        account: str,
        resource: Resource,
        record_id: str,
        fields: Mapping[str, object],
        *,
        by: Actor | None = None,
    ) -> Record:
        """What is not sent stays, null removes."""
        cleaned = check(resource, fields, creating=False)

        async def change_once() -> Record:
            record = await self.records.find(account, resource.name, record_id)
            return await self._update(resource, record, cleaned, by)

        return await until_unpassed(change_once)

    async def delete(self, account: str, resource: Resource, record_id: str, *, by: Actor | None = None) -> None:
        record = await self.records.find(account, resource.name, record_id)
        await self._carry_out(resource, Delete(account, resource.name, record_id, by), record, "deleted")
        if resource is LOCATION:
            self.locations.forget(account, record_id)

    async def find(self, account: str, resource: Resource, record_id: str) -> Record:
        return await self.records.find(account, resource.name, record_id)

    async def list(self, account: str, resource: Resource, query: Query) -> Page[Record]:
        return await self.records.list(account, resource.name, query)

    async def _checked(self, account: str, resource: Resource, fields: Mapping[str, object]) -> Mapping[str, object]:
        """The fields as they are stored, or everything that is wrong with them in one answer."""
        errors: dict[str, list[str]] = {}
        cleaned: Mapping[str, object] = {}
        try:
            cleaned = check(resource, fields, creating=True)
        except InvalidValue as error:
            errors = {name: list(messages) for name, messages in error.errors.items()}
        location_id = fields.get("location_id")
        if (
            isinstance(location_id, str)
            and "location_id" not in errors
            and "location_id" in resource.by_name
            and not await self.locations.knows(account, location_id)
        ):
            errors["location_id"] = [_NOT_VALID]
        if errors:
            raise InvalidValue(errors)
        return cleaned

    async def _insert(
        self, account: str, resource: Resource, cleaned: Mapping[str, object], by: Actor | None
    ) -> Record:
        record_id = f"{resource.prefix}_{encode(self.ids())}"
        record = new_record(resource, cleaned, account=account, id=record_id, now_ms=self.clock(), by=by)
        await self._carry_out(resource, Insert(record, by), record, "created")
        return record

    async def _update(
        self, resource: Resource, record: Record, cleaned: Mapping[str, object], by: Actor | None
    ) -> Record:
        record = changed(resource, record, cleaned, now_ms=self.clock(), by=by)
        await self._carry_out(resource, Update(record, by), record, "updated")
        return record

    async def _carry_out(self, resource: Resource, change: Change, record: Record, verb: str) -> None:
        if resource is LOCATION:
            await self.records.apply([change])
            return
        event = NewEvent(
            account=record.account,
            type=f"{resource.name}.{verb}",
            data=event_data(record),
            location_id=record.location_id,
            subject=record.id,
            changes=[change],
            trace=self.trace,
        )
        [answer] = await self.intake.publish([event])
        if isinstance(answer, Refused):
            raise answer.error
