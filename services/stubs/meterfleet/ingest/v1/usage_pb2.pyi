from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetUsageRequest(_message.Message):
    __slots__ = ("service_point_ids", "obis", "boundaries_ms")
    SERVICE_POINT_IDS_FIELD_NUMBER: _ClassVar[int]
    OBIS_FIELD_NUMBER: _ClassVar[int]
    BOUNDARIES_MS_FIELD_NUMBER: _ClassVar[int]
    service_point_ids: _containers.RepeatedScalarFieldContainer[int]
    obis: _containers.RepeatedScalarFieldContainer[str]
    boundaries_ms: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, service_point_ids: _Optional[_Iterable[int]] = ..., obis: _Optional[_Iterable[str]] = ..., boundaries_ms: _Optional[_Iterable[int]] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("meter_id", "meter", "channel", "at_ms", "value", "flags", "payload_digest", "log_position")
    METER_ID_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LOG_POSITION_FIELD_NUMBER: _ClassVar[int]
    meter_id: int
    meter: str
    channel: int
    at_ms: int
    value: int
    flags: int
    payload_digest: bytes
    log_position: str
    def __init__(self, meter_id: _Optional[int] = ..., meter: _Optional[str] = ..., channel: _Optional[int] = ..., at_ms: _Optional[int] = ..., value: _Optional[int] = ..., flags: _Optional[int] = ..., payload_digest: _Optional[bytes] = ..., log_position: _Optional[str] = ...) -> None: ...

class RegisterEvent(_message.Message):
    __slots__ = ("meter_id", "channel", "at_ms", "kind", "offset_delta", "from_value", "to_value")
    METER_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OFFSET_DELTA_FIELD_NUMBER: _ClassVar[int]
    FROM_VALUE_FIELD_NUMBER: _ClassVar[int]
    TO_VALUE_FIELD_NUMBER: _ClassVar[int]
    meter_id: int
    channel: int
    at_ms: int
    kind: str
    offset_delta: int
    from_value: int
    to_value: int
    def __init__(self, meter_id: _Optional[int] = ..., channel: _Optional[int] = ..., at_ms: _Optional[int] = ..., kind: _Optional[str] = ..., offset_delta: _Optional[int] = ..., from_value: _Optional[int] = ..., to_value: _Optional[int] = ...) -> None: ...

class ChannelUsage(_message.Message):
    __slots__ = ("obis", "unit", "scaler", "quantity", "register", "known_ppm", "evidence", "events", "readings_usable", "readings_failed")
    OBIS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SCALER_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    REGISTER_FIELD_NUMBER: _ClassVar[int]
    KNOWN_PPM_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    READINGS_USABLE_FIELD_NUMBER: _ClassVar[int]
    READINGS_FAILED_FIELD_NUMBER: _ClassVar[int]
    obis: str
    unit: str
    scaler: int
    quantity: _containers.RepeatedScalarFieldContainer[int]
    register: _containers.RepeatedScalarFieldContainer[int]
    known_ppm: _containers.RepeatedScalarFieldContainer[int]
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    events: _containers.RepeatedCompositeFieldContainer[RegisterEvent]
    readings_usable: int
    readings_failed: int
    def __init__(self, obis: _Optional[str] = ..., unit: _Optional[str] = ..., scaler: _Optional[int] = ..., quantity: _Optional[_Iterable[int]] = ..., register: _Optional[_Iterable[int]] = ..., known_ppm: _Optional[_Iterable[int]] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[RegisterEvent, _Mapping]]] = ..., readings_usable: _Optional[int] = ..., readings_failed: _Optional[int] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("service_point_id", "channels")
    SERVICE_POINT_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    service_point_id: int
    channels: _containers.RepeatedCompositeFieldContainer[ChannelUsage]
    def __init__(self, service_point_id: _Optional[int] = ..., channels: _Optional[_Iterable[_Union[ChannelUsage, _Mapping]]] = ...) -> None: ...
