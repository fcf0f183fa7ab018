from services.stubs.meterfleet.readings.v1 import readings_pb2 as _readings_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestRequest(_message.Message):
    __slots__ = ("batch",)
    BATCH_FIELD_NUMBER: _ClassVar[int]
    batch: _readings_pb2.ReadingBatch
    def __init__(self, batch: _Optional[_Union[_readings_pb2.ReadingBatch, _Mapping]] = ...) -> None: ...

class Fault(_message.Message):
    __slots__ = ("where", "code", "detail")
    WHERE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    where: str
    code: str
    detail: str
    def __init__(self, where: _Optional[str] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class IngestResponse(_message.Message):
    __slots__ = ("batch_id", "readings", "faults")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    readings: int
    faults: _containers.RepeatedCompositeFieldContainer[Fault]
    def __init__(self, batch_id: _Optional[str] = ..., readings: _Optional[int] = ..., faults: _Optional[_Iterable[_Union[Fault, _Mapping]]] = ...) -> None: ...

class GetProgressRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetProgressResponse(_message.Message):
    __slots__ = ("records_behind", "received", "stored", "duplicates", "quarantined")
    RECORDS_BEHIND_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    records_behind: int
    received: int
    stored: int
    duplicates: int
    quarantined: int
    def __init__(self, records_behind: _Optional[int] = ..., received: _Optional[int] = ..., stored: _Optional[int] = ..., duplicates: _Optional[int] = ..., quarantined: _Optional[int] = ...) -> None: ...
