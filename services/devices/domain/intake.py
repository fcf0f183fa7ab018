"""What came in with one request: well-formed items by position, and every fault found so far."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from services.kit.errors import ConflictError, Fault, InvalidInputError, TooLargeError

#: Items one request may carry; all of them are one transaction.
ITEMS_MAX = 10_000
#: Faults one answer lists; the detail says how many there are.
FAULTS_MAX = 1000
#: Faults that contradict what is stored rather than being wrong by themselves.
CONFLICTS = frozenset(
    {
        "meter.exists",
        "meter.identifier_taken",
        "meter.illegal_step",
        "service_point.exists",
        "installation.overlap",
        "installation.too_many",
    }
)


def _check_printable(value: str) -> str:
    """Refuse control characters (PostgreSQL stores no NUL) and blanks at the ends."""
    if not value.isprintable() or value != value.strip():
        raise ValueError("only printable characters, and no blank at either end")
    return value


_Printable = AfterValidator(_check_printable)
Label = Annotated[str, StringConstraints(min_length=1, max_length=64), _Printable]
#: Free text for people, for example a postal address; may be empty.
Line = Annotated[str, StringConstraints(max_length=200), _Printable]


class Item(BaseModel):
    """Base of what clients send: frozen, and a misspelt field is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")


ItemT = TypeVar("ItemT", bound=Item)


@dataclass(slots=True)
class Intake(Generic[ItemT]):
    """The items of one request.

    Attributes:
        name: Name of the list in the request's body, for positions.
        items: Well-formed items by their index in that list.
        faults: Everything that is wrong, in the order found.
    """

    name: str
    items: dict[int, ItemT]
    faults: list[Fault]

    def fault(self, index: int, field: str, code: str, detail: str) -> None:
        """Note that `field` of item `index` is wrong."""
        self.faults.append(Fault(f"/{self.name}/{index}/{field}", code, detail))

    def note_doubles(self, keys: Mapping[int, Hashable], field: str, code: str) -> None:
        """Note every item whose key an earlier one has already; `keys` is by item index."""
        first: dict[Hashable, int] = {}
        for index, key in keys.items():
            before = first.setdefault(key, index)
            if before != index:
                self.fault(index, field, code, f"stands already at /{self.name}/{before}")

    def refuse_faults(self) -> None:
        """Raise if anything is wrong.

        Raises:
            ConflictError: All faults contradict what is stored.
            InvalidInputError: At least one item is wrong by itself.
        """
        if self.faults:
            _refuse(self.faults)


def _refuse(faults: list[Fault]) -> NoReturn:
    codes = {fault.code for fault in faults}
    code = codes.pop() if len(codes) == 1 else None
    conflict = all(fault.code in CONFLICTS for fault in faults)
    kind = ConflictError if conflict else InvalidInputError
    count = f"{len(faults)} faults" if len(faults) > 1 else "1 fault"
    detail = f"{count} in the request, nothing was stored; the first: {faults[0].detail}"
    raise kind(detail, faults=faults[:FAULTS_MAX], code=code)


def read(body: Any, name: str, kind: type[ItemT]) -> Intake[ItemT]:
    """Read `{"<name>": [item, …]}`, keeping the well-formed items and the faults of the others.

    Args:
        body: Parsed JSON of a request.
        name: The list's name.
        kind: What each item is.

    Raises:
        InvalidInputError: The body has another form, so that no item can be read.
        TooLargeError: More than ITEMS_MAX items.
    """
    entries = body.get(name) if isinstance(body, dict) and set(body) == {name} else None
    if not isinstance(entries, list) or not entries:
        text = f'the body is {{"{name}": [...]}} with 1 to {ITEMS_MAX} items'
        raise InvalidInputError(text, faults=[Fault(f"/{name}", "input.form", text)])
    if len(entries) > ITEMS_MAX:
        raise TooLargeError(f"{len(entries)} {name} in one request; {ITEMS_MAX} are the most")
    intake: Intake[ItemT] = Intake(name, {}, [])
    for index, entry in enumerate(entries):
        try:
            intake.items[index] = kind.model_validate(entry)
        except ValidationError as error:
            intake.faults.extend(faults_of(error, f"/{name}/{index}"))
    return intake


def faults_of(error: ValidationError, where: str) -> list[Fault]:
    """The faults of one item, as JSON pointers below `where`."""
    return [
        Fault("/".join([where, *map(str, item["loc"])]), f"input.{item['type']}", item["msg"])
        for item in error.errors(include_url=False, include_input=False)
    ]


def read_item(body: Any, kind: type[ItemT]) -> ItemT:
    """Read one item that is a request's whole body.

    Raises:
        InvalidInputError: With all faults at once, by JSON pointer.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        faults = faults_of(error, "")
        text = f"the body is wrong; the first fault: {faults[0].detail}"
        raise InvalidInputError(text, faults=faults) from error
