"""Asks the registry who holds an API key; the one contract the kit knows."""

from __future__ import annotations

import grpc

from services.kit.auth import Authenticator, Identity, Role
from services.kit.clock import Clock
from services.kit.errors import UnavailableError
from services.kit.rpc import connect, internal_metadata
from services.kit.settings import KitSettings
from services.stubs.meterfleet.identity.v1 import identity_pb2, identity_pb2_grpc

LOOKUP_TIMEOUT_S = 5.0


def remote_authenticator(settings: KitSettings, clock: Clock) -> Authenticator:
    """An authenticator that asks the service at `identity_target`."""
    token = settings.internal_token.get_secret_value()
    stub = identity_pb2_grpc.IdentityServiceStub(connect(settings.identity_target))

    def lookup(digest: bytes) -> Identity | None:
        try:
            answer = stub.Authenticate(
                identity_pb2.AuthenticateRequest(key_digest=digest),
                metadata=internal_metadata(token, 0),
                timeout=LOOKUP_TIMEOUT_S,
            )
        except grpc.RpcError as error:
            raise UnavailableError(
                "the registry that knows API keys is away", retry_after_s=2
            ) from error
        if not answer.known:
            return None
        return Identity(answer.tenant_id, answer.tenant, Role(answer.role), answer.key_id)

    return Authenticator(lookup, token, clock)
