"""gRPC: who holds a key, which meters there are, which service points."""

from __future__ import annotations

import grpc

from services.devices.domain.intake import ITEMS_MAX
from services.devices.events import to_message
from services.devices.pages import after_id
from services.devices.repository.meters import Meters
from services.devices.repository.service_points import ServicePoints
from services.kit.auth import KeyLookup, Role
from services.kit.db import Database
from services.kit.errors import Fault, InvalidInputError, TooLargeError
from services.kit.page import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from services.kit.rpc import caller
from services.stubs.meterfleet.devices.v1 import devices_pb2, devices_pb2_grpc
from services.stubs.meterfleet.identity.v1 import identity_pb2, identity_pb2_grpc

NAMES = (
    "meterfleet.identity.v1.IdentityService",
    "meterfleet.devices.v1.RegistryService",
)


class IdentityServicer(identity_pb2_grpc.IdentityServiceServicer):
    """Answers the other services' question who holds a key; asks for the internal token."""

    def __init__(self, lookup: KeyLookup) -> None:
        self._lookup = lookup

    def Authenticate(  # noqa: N802 - the contract's name
        self, request: identity_pb2.AuthenticateRequest, context: grpc.ServicerContext
    ) -> identity_pb2.AuthenticateResponse:
        """Finds the identity behind an API key's SHA-256.

        Raises:
            ForbiddenError: The caller is no service.
        """
        caller().require(Role.SERVICE)
        identity = self._lookup(request.key_digest)
        if identity is None:
            return identity_pb2.AuthenticateResponse(known=False)
        return identity_pb2.AuthenticateResponse(
            known=True,
            tenant_id=identity.tenant_id,
            tenant=identity.tenant,
            role=identity.role.value,
            key_id=identity.key_id,
        )


class RegistryServicer(devices_pb2_grpc.RegistryServiceServicer):
    """The registry of the caller's tenant, for reading."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def LookupMeters(  # noqa: N802 - the contract's name
        self, request: devices_pb2.LookupMetersRequest, context: grpc.ServicerContext
    ) -> devices_pb2.LookupMetersResponse:
        """Finds meters by any of their identifiers; what nobody is called is left out.

        Raises:
            TooLargeError: More than ITEMS_MAX identifiers.
        """
        tenant_id = caller().require(Role.READER).tenant_id
        if len(request.identifiers) > ITEMS_MAX:
            raise TooLargeError(f"{ITEMS_MAX} identifiers in one call are the most")
        with self._database.transaction() as session:
            meters = Meters(session, tenant_id)
            owners = meters.ids_by_identifier(set(request.identifiers))
            found = {meter.meter_id: meter for meter in meters.load(sorted({*owners.values()}))}
        messages = {meter_id: to_message(meter) for meter_id, meter in found.items()}
        return devices_pb2.LookupMetersResponse(
            meters={identifier: messages[meter_id] for identifier, meter_id in owners.items()}
        )

    def ListServicePoints(  # noqa: N802 - the contract's name
        self, request: devices_pb2.ListServicePointsRequest, context: grpc.ServicerContext
    ) -> devices_pb2.ListServicePointsResponse:
        """Lists service points in the order they were entered.

        Raises:
            InvalidInputError: The page size or the token is wrong.
        """
        tenant_id = caller().require(Role.READER).tenant_id
        page_size = request.page_size or PAGE_SIZE_DEFAULT
        if not 1 <= page_size <= PAGE_SIZE_MAX:
            fault = Fault("page_size", "page_size.invalid", f"from 1 to {PAGE_SIZE_MAX}")
            raise InvalidInputError("the page size is wrong", faults=[fault])
        after = after_id(request.page_token)
        with self._database.transaction() as session:
            page = ServicePoints(session, tenant_id).page(page_size, after)
        return devices_pb2.ListServicePointsResponse(
            service_points=[
                devices_pb2.ServicePoint(
                    service_point_id=point.service_point_id,
                    name=point.name,
                    commodity=point.commodity,
                    time_zone=point.time_zone,
                    address=point.address,
                    zone=point.zone,
                )
                for point in page.items
            ],
            next_page_token=page.next_page_token or "",
        )
