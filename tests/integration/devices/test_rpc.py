"""gRPC: identities for services only, the registry for its tenant only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from services.devices.domain.intake import ITEMS_MAX
from services.kit.auth import key_digest
from services.kit.rpc import internal_metadata, problem_of
from services.stubs.meterfleet.devices.v1 import devices_pb2, devices_pb2_grpc
from services.stubs.meterfleet.identity.v1 import identity_pb2, identity_pb2_grpc
from tests.integration.devices.world import INTERNAL_TOKEN, World

Metadata = list[tuple[str, str]]


def _as(world: World, key: str) -> Metadata:
    return [("authorization", f"Bearer {world.keys[key]}")]


def _status(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    problem = problem_of(caught.value)
    return problem.status, problem.code


def _calls(world: World) -> list[Callable[[Metadata], Any]]:
    identity = identity_pb2_grpc.IdentityServiceStub(world.channel)
    registry = devices_pb2_grpc.RegistryServiceStub(world.channel)
    digest = key_digest(world.keys["reader"])
    ask = identity_pb2.AuthenticateRequest(key_digest=digest)
    look = devices_pb2.LookupMetersRequest(identifiers=["x"])
    points = devices_pb2.ListServicePointsRequest()
    return [
        lambda metadata: identity.Authenticate(ask, metadata=metadata),
        lambda metadata: registry.LookupMeters(look, metadata=metadata),
        lambda metadata: registry.ListServicePoints(points, metadata=metadata),
    ]


def test_strangers_and_low_roles_are_refused(world: World) -> None:
    """Every method needs a key; only services may ask who holds a key."""
    for call in _calls(world):
        assert _status(lambda call=call: call([]))[0] == 401
        assert _status(lambda call=call: call(_as(world, "gateway")))[0] == 403
        assert _status(lambda call=call: call(_as(world, "platform")))[0] == 403
        call(internal_metadata(INTERNAL_TOKEN, world.tenants["city"]))
    authenticate = _calls(world)[0]
    for key in ("reader", "operator", "admin"):
        assert _status(lambda key=key: authenticate(_as(world, key))) == (403, "auth.forbidden")


def test_services_learn_who_holds_a_key(world: World) -> None:
    """Authenticate tells tenant and role by the key's SHA-256, the platform's key included."""
    stub = identity_pb2_grpc.IdentityServiceStub(world.channel)

    def ask(key: str) -> identity_pb2.AuthenticateResponse:
        request = identity_pb2.AuthenticateRequest(key_digest=key_digest(key))
        return stub.Authenticate(request, metadata=internal_metadata(INTERNAL_TOKEN, 0))

    answer = ask(world.keys["operator"])
    assert (answer.known, answer.tenant, answer.role) == (True, "city", "operator")
    assert answer.tenant_id == world.tenants["city"]
    assert answer.key_id == world.get("/v1/whoami", "operator")["key_id"]
    assert ask(world.keys["platform"]).role == "platform"
    assert not ask("mf_nobody").known


def test_meters_are_found_by_any_identifier_of_their_tenant(world: World) -> None:
    """A look-up answers for each known name, with channels and installations, and no other's."""
    world.register("r-1")
    world.register("r-1", "r-2", key="other")
    (point,) = world.supply("r-1", zone="west")
    world.install("Aqualith:r-1", "r-1", multiplier="2.5")
    stub = devices_pb2_grpc.RegistryServiceStub(world.channel)
    request = devices_pb2.LookupMetersRequest(
        identifiers=["Aqualith:r-1", "r-1", "r-2", "Aqualith:r-2", "no\0body", ""]
    )
    answer = stub.LookupMeters(request, metadata=_as(world, "reader"))
    assert set(answer.meters) == {"Aqualith:r-1", "r-1"}
    meter = answer.meters["r-1"]
    assert meter == answer.meters["Aqualith:r-1"]
    assert meter.tenant_id == world.tenants["city"]
    assert list(meter.identifiers) == ["Aqualith:r-1", "r-1"]
    assert (meter.state, meter.commodity, meter.revision) == ("active", "water", 2)
    assert [(c.number, c.obis, c.scaler) for c in meter.channels] == [(1, "8-0:1.0.0", -3)]
    (installation,) = meter.installations
    assert installation.service_point_id == point["service_point_id"]
    assert (installation.multiplier, installation.to_ms) == ("2.5", 0)
    assert (installation.time_zone, installation.zone) == ("Europe/Madrid", "west")


def test_a_look_up_is_bounded(world: World) -> None:
    """More identifiers than one call may carry are refused."""
    stub = devices_pb2_grpc.RegistryServiceStub(world.channel)
    request = devices_pb2.LookupMetersRequest(identifiers=["x"] * (ITEMS_MAX + 1))
    call = lambda: stub.LookupMeters(request, metadata=_as(world, "reader"))  # noqa: E731
    assert _status(call) == (413, "too_large")


def test_service_points_come_in_pages(world: World) -> None:
    """Every service point of the tenant is on exactly one page, and none of another's."""
    world.supply(*(f"s-{number}" for number in range(5)))
    stub = devices_pb2_grpc.RegistryServiceStub(world.channel)
    token, seen = "", []
    while True:
        request = devices_pb2.ListServicePointsRequest(page_size=2, page_token=token)
        page = stub.ListServicePoints(request, metadata=_as(world, "reader"))
        seen += [point.name for point in page.service_points]
        token = page.next_page_token
        if not token:
            break
    names = [point["name"] for point in world.get("/v1/service-points")["items"]]
    assert seen == names
    request = devices_pb2.ListServicePointsRequest()
    assert not stub.ListServicePoints(request, metadata=_as(world, "other")).service_points
    for wrong in ({"page_size": 1001}, {"page_size": -1}, {"page_token": "xx"}):
        request = devices_pb2.ListServicePointsRequest(**wrong)
        metadata = _as(world, "reader")
        call = lambda r=request, m=metadata: stub.ListServicePoints(r, metadata=m)  # noqa: E731
        assert _status(call)[0] == 400
