from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChannelRef(_message.Message):
    __slots__ = ("obis", "unit", "scaler")
    OBIS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SCALER_FIELD_NUMBER: _ClassVar[int]
    obis: str
    unit: str
    scaler: int
    def __init__(self, obis: _Optional[str] = ..., unit: _Optional[str] = ..., scaler: _Optional[int] = ...) -> None: ...

class ReadingBatch(_message.Message):
    __slots__ = ("version", "batch_id", "tenant_id", "source", "received_at_ms", "payload_digest", "rank", "meters", "channels", "meter", "channel", "at_ms", "value")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    METERS_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    METER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    version: int
    batch_id: str
    tenant_id: int
    source: str
    received_at_ms: int
    payload_digest: bytes
    rank: int
    meters: _containers.RepeatedScalarFieldContainer[str]
    channels: _containers.RepeatedCompositeFieldContainer[ChannelRef]
    meter: _containers.RepeatedScalarFieldContainer[int]
    channel: _containers.RepeatedScalarFieldContainer[int]
    at_ms: _containers.RepeatedScalarFieldContainer[int]
    value: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, version: _Optional[int] = ..., batch_id: _Optional[str] = ..., tenant_id: _Optional[int] = ..., source: _Optional[str] = ..., received_at_ms: _Optional[int] = ..., payload_digest: _Optional[bytes] = ..., rank: _Optional[int] = ..., meters: _Optional[_Iterable[str]] = ..., channels: _Optional[_Iterable[_Union[ChannelRef, _Mapping]]] = ..., meter: _Optional[_Iterable[int]] = ..., channel: _Optional[_Iterable[int]] = ..., at_ms: _Optional[_Iterable[int]] = ..., value: _Optional[_Iterable[int]] = ...) -> None: ...

class ValidatedBatch(_message.Message):
    __slots__ = ("version", "tenant_id", "source_partition", "source_offset", "received_at_ms", "meter_id", "channel", "at_ms", "value", "curve", "flags")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_PARTITION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    METER_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CURVE_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    version: int
    tenant_id: int
    source_partition: int
    source_offset: int
    received_at_ms: int
    meter_id: _containers.RepeatedScalarFieldContainer[int]
    channel: _containers.RepeatedScalarFieldContainer[int]
    at_ms: _containers.RepeatedScalarFieldContainer[int]
    value: _containers.RepeatedScalarFieldContainer[int]
    curve: _containers.RepeatedScalarFieldContainer[int]
    flags: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, version: _Optional[int] = ..., tenant_id: _Optional[int] = ..., source_partition: _Optional[int] = ..., source_offset: _Optional[int] = ..., received_at_ms: _Optional[int] = ..., meter_id: _Optional[_Iterable[int]] = ..., channel: _Optional[_Iterable[int]] = ..., at_ms: _Optional[_Iterable[int]] = ..., value: _Optional[_Iterable[int]] = ..., curve: _Optional[_Iterable[int]] = ..., flags: _Optional[_Iterable[int]] = ...) -> None: ...

class UsageCorrected(_message.Message):
    __slots__ = ("tenant_id", "meter_id", "channel", "from_ms", "to_ms", "cause")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    METER_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    FROM_MS_FIELD_NUMBER: _ClassVar[int]
    TO_MS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    tenant_id: int
    meter_id: int
    channel: int
    from_ms: int
    to_ms: int
    cause: str
    def __init__(self, tenant_id: _Optional[int] = ..., meter_id: _Optional[int] = ..., channel: _Optional[int] = ..., from_ms: _Optional[int] = ..., to_ms: _Optional[int] = ..., cause: _Optional[str] = ...) -> None: ...
