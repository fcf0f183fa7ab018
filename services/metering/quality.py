"""What validation thinks of a reading, as one uint32 of flags: a bit for each rule that spoke.

Bit n belongs to rule Vn of the published VEE rules (docs/vee.md), so that a stored flag can be read
without a table. Bits 0, 1 and 30 carry marks of the register chain; bit 1 would be V01's, which
stops a collection and never speaks of a reading. Bit 31 stays free: flags fit a signed 32-bit
column.

The raw value is never overwritten. A reading is one of five: PASS; WARN (usable, listed);
PENDING (not usable until later readings decide); FAIL (not usable: estimate or hold); REJECT
(never enters the series: quarantine or revisions).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.uint32]
Bools = NDArray[np.bool_]


class Rule(IntFlag):
    """The bits of a reading's flags; the value of Vn is `1 << n`, for good."""

    #: Off the register's curve; later readings will accept or fail it. A cause is set beside it.
    PENDING = 1 << 0
    #: A little under the curve (backflow or jitter, V17 as a warning): the register moved back by
    #: no more than it may, so it is read as the mark; the curve has a point here and stays flat.
    BELOW_MARK = 1 << 1
    V02_CLOCK = 1 << 2
    V03_IDENTITY = 1 << 3
    V04_INTERVAL = 1 << 4
    V05_DUPLICATE = 1 << 5
    V06_UNIT = 1 << 6
    V07_GAP = 1 << 7
    V08_DEVICE_STATUS = 1 << 8
    V09_SUM = 1 << 9
    V10_SPIKE = 1 << 10
    V11_REACTIVE = 1 << 11
    V12_HIGH_LOW = 1 << 12
    V13_DEMAND = 1 << 13
    V14_CHANGE = 1 << 14
    V15_ZERO = 1 << 15
    V16_INACTIVE = 1 << 16
    #: The register went back, or an interval's use is negative.
    V17_NEGATIVE = 1 << 17
    #: The value does not fit the dial: negative, or more digits than the register has.
    V18_DIAL = 1 << 18
    V19_DELTA = 1 << 19
    #: More than the connection can physically let through.
    V20_PHYSICAL_LIMIT = 1 << 20
    V21_SIBLINGS = 1 << 21
    V22_ESTIMATED_LONG = 1 << 22
    V23_STATISTICS = 1 << 23
    #: An instant in the future, before the year 2000 or before the meter was installed.
    V24_INSTANT = 1 << 24
    V25_PREVIOUS = 1 << 25
    V26_USAGE_HOURS = 1 << 26
    V27_STUCK = 1 << 27
    V28_LEAK = 1 << 28
    V29_HEAT = 1 << 29
    #: Good, but only because later readings confirmed it: no chain may be resumed from here.
    CONFIRMED_LATER = 1 << 30


class Outcome(IntEnum):
    """The class of a reading, from best to worst."""

    PASS = 0
    WARN = 1
    PENDING = 2
    FAIL = 3
    REJECT = 4


#: Never enters the final series.
REJECT_MASK = int(
    Rule.V03_IDENTITY | Rule.V04_INTERVAL | Rule.V05_DUPLICATE | Rule.V06_UNIT | Rule.V24_INSTANT
)
#: In the series, but its value is not to be used.
FAIL_MASK = int(Rule.V17_NEGATIVE | Rule.V18_DIAL | Rule.V20_PHYSICAL_LIMIT | Rule.V25_PREVIOUS)
PENDING = int(Rule.PENDING)
BELOW_MARK = int(Rule.BELOW_MARK)
CONFIRMED_LATER = int(Rule.CONFIRMED_LATER)
#: Usable and listed. A new rule warns until there is a reason for it to fail readings, because a
#: warning is still billed and an estimate is a guess.
WARN_MASK = 0x3FFFFFFF & ~(REJECT_MASK | FAIL_MASK | PENDING)
#: A reading without these bits is a point of the curve.
UNUSABLE_MASK = REJECT_MASK | FAIL_MASK | PENDING
#: What only the register chain says of a reading of a register, when it is no point of its curve.
OFF_CHAIN_MASK = PENDING | int(Rule.V17_NEGATIVE | Rule.V18_DIAL | Rule.V20_PHYSICAL_LIMIT)


def usable(flags: Flags) -> Bools:
    """Which readings may be used as points of the curve, shape of `flags`."""
    result: Bools = (flags & np.uint32(UNUSABLE_MASK)) == 0
    return result


def followed(flags: Flags) -> Bools:
    """Which readings the register chain went through, whatever other rules think of them."""
    result: Bools = (flags & np.uint32(OFF_CHAIN_MASK)) == 0
    return result


def outcome(flags: Flags) -> NDArray[np.uint8]:
    """The class of each reading as `Outcome` numbers, uint8, shape of `flags`.

    A pending reading bears the cause it would fail for, and is PENDING all the same.
    """
    result = np.full(flags.shape, Outcome.PASS, dtype=np.uint8)
    result[(flags & np.uint32(WARN_MASK)) != 0] = Outcome.WARN
    result[(flags & np.uint32(FAIL_MASK)) != 0] = Outcome.FAIL
    result[(flags & np.uint32(PENDING)) != 0] = Outcome.PENDING
    result[(flags & np.uint32(REJECT_MASK)) != 0] = Outcome.REJECT
    return result


def rule_names(flags: int) -> list[str]:
    """The rules in one reading's flags by name, in the order of their bits."""
    return [rule.name for rule in Rule if flags & rule and rule.name]
