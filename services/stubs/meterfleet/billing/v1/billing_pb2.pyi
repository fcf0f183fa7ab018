from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunBillsRequest(_message.Message):
    __slots__ = ("from_date", "to_date", "agreement_ids")
    FROM_DATE_FIELD_NUMBER: _ClassVar[int]
    TO_DATE_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    from_date: str
    to_date: str
    agreement_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, from_date: _Optional[str] = ..., to_date: _Optional[str] = ..., agreement_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RunBillsResponse(_message.Message):
    __slots__ = ("run_id", "issued", "already_issued", "held")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ISSUED_FIELD_NUMBER: _ClassVar[int]
    ALREADY_ISSUED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    issued: int
    already_issued: int
    held: int
    def __init__(self, run_id: _Optional[str] = ..., issued: _Optional[int] = ..., already_issued: _Optional[int] = ..., held: _Optional[int] = ...) -> None: ...

class GetBillRequest(_message.Message):
    __slots__ = ("bill_id",)
    BILL_ID_FIELD_NUMBER: _ClassVar[int]
    bill_id: str
    def __init__(self, bill_id: _Optional[str] = ...) -> None: ...

class Line(_message.Message):
    __slots__ = ("line_id", "quantity", "unit", "price", "amount", "because", "lineage_json")
    LINE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_JSON_FIELD_NUMBER: _ClassVar[int]
    line_id: str
    quantity: str
    unit: str
    price: str
    amount: str
    because: str
    lineage_json: str
    def __init__(self, line_id: _Optional[str] = ..., quantity: _Optional[str] = ..., unit: _Optional[str] = ..., price: _Optional[str] = ..., amount: _Optional[str] = ..., because: _Optional[str] = ..., lineage_json: _Optional[str] = ...) -> None: ...

class Bill(_message.Message):
    __slots__ = ("bill_id", "agreement_id", "account", "service_point", "from_date", "to_date", "currency", "total", "state", "lines")
    BILL_ID_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SERVICE_POINT_FIELD_NUMBER: _ClassVar[int]
    FROM_DATE_FIELD_NUMBER: _ClassVar[int]
    TO_DATE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    bill_id: str
    agreement_id: str
    account: str
    service_point: str
    from_date: str
    to_date: str
    currency: str
    total: str
    state: str
    lines: _containers.RepeatedCompositeFieldContainer[Line]
    def __init__(self, bill_id: _Optional[str] = ..., agreement_id: _Optional[str] = ..., account: _Optional[str] = ..., service_point: _Optional[str] = ..., from_date: _Optional[str] = ..., to_date: _Optional[str] = ..., currency: _Optional[str] = ..., total: _Optional[str] = ..., state: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[Line, _Mapping]]] = ...) -> None: ...

class GetBillResponse(_message.Message):
    __slots__ = ("bill",)
    BILL_FIELD_NUMBER: _ClassVar[int]
    bill: Bill
    def __init__(self, bill: _Optional[_Union[Bill, _Mapping]] = ...) -> None: ...
