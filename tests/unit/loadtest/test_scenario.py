"""Scenario files."""

from pathlib import Path

import pytest

from loadtest.errors import ScenarioError
from loadtest.scenario import Scenario, from_document, load


class TestFromDocument:
    def test_all_faults_at_once(self):
        """Every fault of a scenario is listed, by position."""
        document = {"meters": 0, "rate_per_s": "fast", "share_late": 2, "speed": 1, "seed": True}
        with pytest.raises(ScenarioError) as caught:
            from_document(document)
        places = {where for where, _ in caught.value.faults}
        assert places == {"/name", "/meters", "/rate_per_s", "/share_late", "/speed", "/seed"}
        assert caught.value.as_problem()["code"] == "scenario.invalid"

    def test_no_mapping(self):
        """A list is no scenario."""
        with pytest.raises(ScenarioError):
            from_document([])

    def test_ledger_bound(self):
        """More readings than the ledger holds are refused before anything is sent."""
        with pytest.raises(ScenarioError, match="the ledger holds"):
            from_document({"name": "x", "rate_per_s": 1_000_000, "duration_s": 3_600})


class TestLoad:
    def test_ours(self):
        """The scenario that is delivered is found by its short path and is valid."""
        assert load(Path("scenarios/steady.yaml")).name == "steady"

    def test_missing(self, tmp_path):
        """A missing or broken file is told by its path."""
        broken = tmp_path / "broken.yaml"
        broken.write_text("a: [", "utf-8")
        for path in (tmp_path / "absent.yaml", broken):
            with pytest.raises(ScenarioError, match=path.stem):
                load(path)


class TestCounts:
    def test_rate(self):
        """Batches, parts and intervals follow from rate, duration and fleet."""
        scenario = Scenario("x", meters=1_000, batch_readings=300, rate_per_s=500, duration_s=10)
        assert scenario.parts == 4
        assert scenario.batches == 20
        assert scenario.slots == 5
