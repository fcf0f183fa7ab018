"""Virtual meters: a fleet's readings as a pure function of its plan and of time.

`demo_city` plans a small town, `Simulation` gives its readings in any window (history and live are
one function), `UniformLoad` gives cheap readings of very many meters for load.
"""

from services.metering.simulator.city import Installation, demo_city, installations
from services.metering.simulator.fleet import (
    FaultKind,
    FleetPlan,
    PlantedFault,
    Supply,
    VirtualMeter,
)
from services.metering.simulator.simulation import Live, Readings, Simulation, simulate
from services.metering.simulator.uniform import UniformLoad

__all__ = [
    "FaultKind",
    "FleetPlan",
    "Installation",
    "Live",
    "PlantedFault",
    "Readings",
    "Simulation",
    "Supply",
    "UniformLoad",
    "VirtualMeter",
    "demo_city",
    "installations",
    "simulate",
]
