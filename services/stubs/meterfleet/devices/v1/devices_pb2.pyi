from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChannelKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNEL_KIND_UNSPECIFIED: _ClassVar[ChannelKind]
    CHANNEL_KIND_REGISTER: _ClassVar[ChannelKind]
    CHANNEL_KIND_INTERVAL: _ClassVar[ChannelKind]
    CHANNEL_KIND_INSTANT: _ClassVar[ChannelKind]
CHANNEL_KIND_UNSPECIFIED: ChannelKind
CHANNEL_KIND_REGISTER: ChannelKind
CHANNEL_KIND_INTERVAL: ChannelKind
CHANNEL_KIND_INSTANT: ChannelKind

class Channel(_message.Message):
    __slots__ = ("number", "obis", "unit", "scaler", "kind", "digits", "interval_s", "rate_max_per_h", "reverse_max")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OBIS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SCALER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DIGITS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_S_FIELD_NUMBER: _ClassVar[int]
    RATE_MAX_PER_H_FIELD_NUMBER: _ClassVar[int]
    REVERSE_MAX_FIELD_NUMBER: _ClassVar[int]
    number: int
    obis: str
    unit: str
    scaler: int
    kind: ChannelKind
    digits: int
    interval_s: int
    rate_max_per_h: int
    reverse_max: int
    def __init__(self, number: _Optional[int] = ..., obis: _Optional[str] = ..., unit: _Optional[str] = ..., scaler: _Optional[int] = ..., kind: _Optional[_Union[ChannelKind, str]] = ..., digits: _Optional[int] = ..., interval_s: _Optional[int] = ..., rate_max_per_h: _Optional[int] = ..., reverse_max: _Optional[int] = ...) -> None: ...

class Installation(_message.Message):
    __slots__ = ("service_point_id", "service_point", "from_ms", "to_ms", "multiplier", "time_zone", "zone")
    SERVICE_POINT_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_POINT_FIELD_NUMBER: _ClassVar[int]
    FROM_MS_FIELD_NUMBER: _ClassVar[int]
    TO_MS_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    service_point_id: int
    service_point: str
    from_ms: int
    to_ms: int
    multiplier: str
    time_zone: str
    zone: str
    def __init__(self, service_point_id: _Optional[int] = ..., service_point: _Optional[str] = ..., from_ms: _Optional[int] = ..., to_ms: _Optional[int] = ..., multiplier: _Optional[str] = ..., time_zone: _Optional[str] = ..., zone: _Optional[str] = ...) -> None: ...

class Meter(_message.Message):
    __slots__ = ("tenant_id", "meter_id", "revision", "maker", "serial", "identifiers", "product", "commodity", "state", "channels", "installations")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    METER_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    MAKER_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIERS_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    COMMODITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    INSTALLATIONS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: int
    meter_id: int
    revision: int
    maker: str
    serial: str
    identifiers: _containers.RepeatedScalarFieldContainer[str]
    product: str
    commodity: str
    state: str
    channels: _containers.RepeatedCompositeFieldContainer[Channel]
    installations: _containers.RepeatedCompositeFieldContainer[Installation]
    def __init__(self, tenant_id: _Optional[int] = ..., meter_id: _Optional[int] = ..., revision: _Optional[int] = ..., maker: _Optional[str] = ..., serial: _Optional[str] = ..., identifiers: _Optional[_Iterable[str]] = ..., product: _Optional[str] = ..., commodity: _Optional[str] = ..., state: _Optional[str] = ..., channels: _Optional[_Iterable[_Union[Channel, _Mapping]]] = ..., installations: _Optional[_Iterable[_Union[Installation, _Mapping]]] = ...) -> None: ...

class LookupMetersRequest(_message.Message):
    __slots__ = ("identifiers",)
    IDENTIFIERS_FIELD_NUMBER: _ClassVar[int]
    identifiers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, identifiers: _Optional[_Iterable[str]] = ...) -> None: ...

class LookupMetersResponse(_message.Message):
    __slots__ = ("meters",)
    class MetersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Meter
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Meter, _Mapping]] = ...) -> None: ...
    METERS_FIELD_NUMBER: _ClassVar[int]
    meters: _containers.MessageMap[str, Meter]
    def __init__(self, meters: _Optional[_Mapping[str, Meter]] = ...) -> None: ...

class ListServicePointsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ServicePoint(_message.Message):
    __slots__ = ("service_point_id", "name", "commodity", "time_zone", "address", "zone")
    SERVICE_POINT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMODITY_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    service_point_id: int
    name: str
    commodity: str
    time_zone: str
    address: str
    zone: str
    def __init__(self, service_point_id: _Optional[int] = ..., name: _Optional[str] = ..., commodity: _Optional[str] = ..., time_zone: _Optional[str] = ..., address: _Optional[str] = ..., zone: _Optional[str] = ...) -> None: ...

class ListServicePointsResponse(_message.Message):
    __slots__ = ("service_points", "next_page_token")
    SERVICE_POINTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    service_points: _containers.RepeatedCompositeFieldContainer[ServicePoint]
    next_page_token: str
    def __init__(self, service_points: _Optional[_Iterable[_Union[ServicePoint, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
