"""The registry over HTTP (docs/api.md, devices)."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Response

from services.devices import shapes
from services.devices.domain.installations import NewInstallation, Removal
from services.devices.domain.intake import Label, read, read_item
from services.devices.domain.life_cycle import MeterState
from services.devices.domain.meters import Commodity, NewMeter, NewServicePoint
from services.devices.domain.organisations import NewKey, NewOrganisation
from services.devices.domain.products import read_product
from services.devices.keys import issue_key, make_organisation
from services.devices.pages import ID_MAX, after_id, after_text, after_uuid
from services.devices.registry import Registry
from services.devices.repository.meters import MeterFilter, Meters
from services.devices.repository.organisations import Keys, page_organisations
from services.devices.repository.products import Products
from services.devices.repository.service_points import ServicePoints
from services.kit.auth import Identity
from services.kit.db import Database
from services.kit.errors import ConflictError
from services.kit.http import Admin, Operator, Platform, Reader, caller
from services.kit.ids import IdSource
from services.kit.page import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

PageSize = Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)]
PageToken = Annotated[str | None, Query(max_length=500)]
JsonBody = Annotated[Any, Body()]
MeterId = Annotated[int, Path(ge=1, le=ID_MAX)]


def router(database: Database, registry: Registry, ids: IdSource) -> APIRouter:
    """All routes of the registry.

    Args:
        database: Where reads and keys go.
        registry: Where changes of the fleet go.
        ids: Ids and instants of keys.
    """
    routes = APIRouter(prefix="/v1")
    _add_products(routes, database, registry)
    _add_meters(routes, database, registry)
    _add_service_points(routes, database, registry)
    _add_installations(routes, registry)
    _add_summary(routes, database)
    _add_keys(routes, database, ids)
    _add_organisations(routes, database, ids)
    return routes


def _add_products(routes: APIRouter, database: Database, registry: Registry) -> None:
    @routes.post("/products", status_code=201, tags=["products"])
    def post_product(body: JsonBody, identity: Operator, response: Response) -> dict[str, Any]:
        """Register a product model; the same content again is 200, another is 409."""
        file = read_product(body)
        if not registry.add_product(identity.tenant_id, file):
            response.status_code = 200
        return dict(file.content)

    @routes.get("/products", tags=["products"])
    def list_products(
        identity: Reader, page_size: PageSize = PAGE_SIZE_DEFAULT, page_token: PageToken = None
    ) -> shapes.PageOut[dict[str, Any]]:
        """Product models by code."""
        after = after_text(page_token)
        with database.transaction() as session:
            page = Products(session, identity.tenant_id).page(page_size, after)
        return shapes.page_out(page, lambda document: document)

    @routes.get("/products/{code}", tags=["products"])
    def get_product(code: Label, identity: Reader) -> dict[str, Any]:
        """One product model as it was registered."""
        with database.transaction() as session:
            return Products(session, identity.tenant_id).content(code)


def _add_meters(routes: APIRouter, database: Database, registry: Registry) -> None:
    @routes.post(
        "/meters",
        status_code=201,
        tags=["meters"],
        openapi_extra=shapes.list_body("meters", NewMeter),
    )
    def post_meters(body: JsonBody, identity: Operator) -> shapes.MetersOut:
        """Register meters, all or none; they are in stock then."""
        intake = read(body, "meters", NewMeter)
        meters = registry.register_meters(identity.tenant_id, intake)
        return shapes.MetersOut(meters=[shapes.meter_out(meter) for meter in meters])

    @routes.get("/meters", tags=["meters"])
    def list_meters(
        identity: Reader,
        narrow: Annotated[MeterFilter, Depends(_meter_filter)],
        page_size: PageSize = PAGE_SIZE_DEFAULT,
        page_token: PageToken = None,
    ) -> shapes.PageOut[shapes.MeterLineOut]:
        """The fleet in the order of registration."""
        after = after_id(page_token)
        with database.transaction() as session:
            page = Meters(session, identity.tenant_id).page(narrow, page_size, after)
        return shapes.page_out(page, shapes.MeterLineOut.model_validate)

    @routes.get("/meters/{meter_id}", tags=["meters"])
    def get_meter(meter_id: MeterId, identity: Reader) -> shapes.MeterDetailOut:
        """Everything known of a meter."""
        with database.transaction() as session:
            meter = Meters(session, identity.tenant_id).get(meter_id)
            standing = [each for each in meter.installations if each.to_ms is None]
            points = ServicePoints(session, identity.tenant_id).load(
                [each.service_point_id for each in standing]
            )
        return shapes.meter_detail_out(meter, points[0] if points else None)


def _meter_filter(
    q: Annotated[Label | None, Query(description="Part of an identifier, name or address.")] = None,
    commodity: Commodity | None = None,
    state: MeterState | None = None,
    zone: Label | None = None,
) -> MeterFilter:
    return MeterFilter(q, commodity, state, zone)


def _add_service_points(routes: APIRouter, database: Database, registry: Registry) -> None:
    @routes.post(
        "/service-points",
        status_code=201,
        tags=["service points"],
        openapi_extra=shapes.list_body("service_points", NewServicePoint),
    )
    def post_service_points(body: JsonBody, identity: Operator) -> shapes.ServicePointsOut:
        """Enter service points, all or none."""
        intake = read(body, "service_points", NewServicePoint)
        points = registry.add_service_points(identity.tenant_id, intake)
        return shapes.ServicePointsOut(
            service_points=[shapes.ServicePointOut.model_validate(point) for point in points]
        )

    @routes.get("/service-points", tags=["service points"])
    def list_service_points(
        identity: Reader, page_size: PageSize = PAGE_SIZE_DEFAULT, page_token: PageToken = None
    ) -> shapes.PageOut[shapes.ServicePointOut]:
        """Service points in the order they were entered."""
        after = after_id(page_token)
        with database.transaction() as session:
            page = ServicePoints(session, identity.tenant_id).page(page_size, after)
        return shapes.page_out(page, shapes.ServicePointOut.model_validate)


def _add_installations(routes: APIRouter, registry: Registry) -> None:
    @routes.post(
        "/installations",
        status_code=201,
        tags=["installations"],
        openapi_extra=shapes.list_body("installations", NewInstallation),
    )
    def post_installations(body: JsonBody, identity: Operator) -> shapes.InstallationsOut:
        """Enter installations, all or none; the meters are active then, or removed if it ended."""
        intake = read(body, "installations", NewInstallation)
        made = registry.install(identity.tenant_id, intake)
        return shapes.InstallationsOut(
            installations=[shapes.installation_out(each) for each in made]
        )

    @routes.post(
        "/installations/{installation_id}/remove",
        tags=["installations"],
        openapi_extra=shapes.item_body(Removal),
    )
    def remove_installation(
        installation_id: uuid.UUID, body: JsonBody, identity: Operator
    ) -> shapes.InstallationOut:
        """End an installation; the same again changes nothing."""
        removal = read_item(body, Removal)
        return shapes.installation_out(
            registry.remove(identity.tenant_id, installation_id, removal)
        )


def _add_summary(routes: APIRouter, database: Database) -> None:
    @routes.get("/summary", tags=["meters"])
    def get_summary(identity: Reader) -> shapes.SummaryOut:
        """The fleet in numbers."""
        with database.transaction() as session:
            counts = Meters(session, identity.tenant_id).counts()
            service_points = ServicePoints(session, identity.tenant_id).count()
        by_commodity, by_state, by_product = Counter[str](), Counter[str](), Counter[str]()
        for commodity, state, product, count in counts:
            by_commodity[commodity] += count
            by_state[state] += count
            by_product[product] += count
        return shapes.SummaryOut(
            meters=by_state.total(),
            by_commodity=by_commodity,
            by_state=by_state,
            by_product=by_product,
            service_points=service_points,
        )

    @routes.get("/whoami", tags=["keys"])
    def who_am_i(identity: Annotated[Identity, Depends(caller)]) -> shapes.WhoAmIOut:
        """Who the caller is to us; any valid key may ask."""
        return shapes.WhoAmIOut.model_validate(identity)


def _add_keys(routes: APIRouter, database: Database, ids: IdSource) -> None:
    @routes.post(
        "/api-keys", status_code=201, tags=["keys"], openapi_extra=shapes.item_body(NewKey)
    )
    def post_key(body: JsonBody, identity: Admin) -> shapes.NewKeyOut:
        """Make a key; it is shown in this answer and never again."""
        asked = read_item(body, NewKey)
        with database.transaction() as session:
            made, key = issue_key(session, ids, identity.tenant_id, asked.name, asked.role)
        return shapes.NewKeyOut(**shapes.key_out(made).model_dump(), key=key)

    @routes.get("/api-keys", tags=["keys"])
    def list_keys(
        identity: Admin, page_size: PageSize = PAGE_SIZE_DEFAULT, page_token: PageToken = None
    ) -> shapes.PageOut[shapes.KeyOut]:
        """Keys in the order they were made, revoked ones too."""
        after = after_uuid(page_token)
        with database.transaction() as session:
            page = Keys(session, identity.tenant_id).page(page_size, after)
        return shapes.page_out(page, shapes.key_out)

    @routes.delete("/api-keys/{key_id}", status_code=204, tags=["keys"])
    def delete_key(key_id: uuid.UUID, identity: Admin) -> None:
        """Revoke a key; it stops working within five seconds. One cannot revoke one's own."""
        if str(key_id) == identity.key_id:
            # The last admin key would lock the organisation out.
            raise ConflictError("a key cannot revoke itself", code="api_key.own")
        with database.transaction() as session:
            Keys(session, identity.tenant_id).revoke(key_id, ids.clock.now_ms())


def _add_organisations(routes: APIRouter, database: Database, ids: IdSource) -> None:
    @routes.post(
        "/organisations",
        status_code=201,
        tags=["organisations"],
        openapi_extra=shapes.item_body(NewOrganisation),
    )
    def post_organisation(body: JsonBody, identity: Platform) -> shapes.NewOrganisationOut:
        """Make an organisation; its first admin key is shown in this answer and never again."""
        asked = read_item(body, NewOrganisation)
        with database.transaction() as session:
            made, key = make_organisation(session, ids, asked.name, asked.kind)
        return shapes.NewOrganisationOut(
            **shapes.organisation_out(made).model_dump(), admin_key=key
        )

    @routes.get("/organisations", tags=["organisations"])
    def list_organisations(
        identity: Platform, page_size: PageSize = PAGE_SIZE_DEFAULT, page_token: PageToken = None
    ) -> shapes.PageOut[shapes.OrganisationOut]:
        """Organisations in the order they were made."""
        after = after_id(page_token)
        with database.transaction() as session:
            page = page_organisations(session, page_size, after)
        return shapes.page_out(page, shapes.organisation_out)
