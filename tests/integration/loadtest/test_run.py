"""A whole load test over real gRPC and HTTP, against a platform that can be told to fail."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from loadtest.errors import ServiceError
from loadtest.run import (
    EXIT_FAILED,
    EXIT_INVALID,
    EXIT_PASSED,
    EXIT_UNAVAILABLE,
    LoadTest,
    main,
    run,
)
from loadtest.scenario import Scenario
from tests.integration.loadtest.fake_platform import KEY, FakePlatform

SCENARIO = Scenario(
    name="small",
    meters=200,
    rate_per_s=2_000,
    duration_s=1,
    batch_readings=50,
    share_duplicated=0.05,
    share_late=0.05,
    share_unknown=0.05,
    # A busy machine must not make slots be missed where the test is not about that.
    in_flight_max=100,
    sample_meters=1_000,
    settle_s=5,
)


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    """A faithful platform."""
    fake = FakePlatform()
    yield fake
    fake.stop()


def load_test(platform, scenario=SCENARIO, key=KEY):
    """A load test against it."""
    return LoadTest(scenario, platform.ingest, platform.url, platform.url, key)


class TestRun:
    def test_anonymous(self, platform):
        """Without a valid key nothing is sent, and the service's own code comes back."""
        with pytest.raises(ServiceError) as caught:
            run(load_test(platform, key="mf_wrong"))
        assert caught.value.code == "auth.unauthenticated"
        assert platform.store.tally["received"] == 0

    def test_faithful(self, platform):
        """A faithful platform passes: everything sent is acknowledged and accounted for."""
        stages = []
        report = run(load_test(platform), lambda *stage: stages.append(stage))
        facts = report.as_json()
        assert report.passed, facts
        assert facts["sent"] == facts["acknowledged"] == platform.store.tally["received"]
        accounted = facts["stored"] + facts["duplicates_dropped"] + facts["quarantined"]
        assert facts["sent"] == accounted
        assert facts["duplicates_dropped"] > 0
        assert facts["quarantined"] > 0
        assert facts["schedule"]["batches_missed"] == 0
        assert facts["latency_ms"]["p50"] > 0
        assert {stage for stage, _, _ in stages} == {"registering", "sending", "working off"}

    @pytest.mark.parametrize(
        ("bug", "finding"), [("lose", "lost"), ("double", "duplicated"), ("alter", "altered")]
    )
    def test_planted_bug(self, platform, bug, finding):
        """A platform that loses, doubles or alters one reading of thousands is found out."""
        platform.store.bugs.add(bug)
        facts = run(load_test(platform)).as_json()
        assert facts[finding] == 1
        assert not facts["passed"]
        assert len(facts["sample"]["examples"]) == 1

    def test_refused(self, platform):
        """A batch refused with a fault is counted as refused, not as lost."""
        platform.store.bugs.add("refuse")
        facts = run(load_test(platform)).as_json()
        assert 0 < facts["refused"] <= 70
        assert facts["passed"], facts
        assert "batch.test" in facts["notes"][0]

    def test_broken_stream(self, platform):
        """After a broken stream the run goes on; what had no answer stays in doubt."""
        platform.store.break_at = 10
        facts = run(load_test(platform, replace(SCENARIO, duration_s=3))).as_json()
        assert facts["streams_broken"] == 1
        assert facts["batches_unanswered"] >= 1
        assert facts["in_doubt"] > 0
        assert facts["schedule"]["batches_missed"] > 0
        assert facts["acknowledged"] > 500
        assert facts["passed"], facts


class TestOpenLoop:
    def test_slow_server(self, platform):
        """A slow server slows nothing down: slots are missed, latency counts from the schedule."""
        platform.store.delay_s = 0.2
        scenario = replace(SCENARIO, in_flight_max=2, streams=1)
        facts = run(load_test(platform, scenario)).as_json()
        assert facts["schedule"]["batches_missed"] > 20
        # Waiting for each answer would take 40 times 0.2 s.
        assert facts["elapsed_s"] < 6
        # The second batch in flight waits for the first.
        assert facts["latency_ms"]["p90"] > 250
        assert facts["passed"], facts


class TestMain:
    def arguments(self, platform, tmp_path, key=KEY):
        """The command line for a small scenario."""
        path = tmp_path / "tiny.yaml"
        path.write_text("{name: tiny, meters: 50, rate_per_s: 200, duration_s: 1}", "utf-8")
        places = ["--ingest", platform.ingest, "--ingest-url", platform.url]
        return [str(path), *places, "--devices-url", platform.url, "--key", key, "--json"]

    def test_passed(self, platform, tmp_path, capsys):
        """The command prints the report as JSON and ends with 0."""
        assert main(self.arguments(platform, tmp_path)) == EXIT_PASSED
        assert json.loads(capsys.readouterr().out)["lost"] == 0

    def test_failed(self, platform, tmp_path, capsys):
        """A lost reading ends the command with 1, for scripts to see; the table says it too."""
        platform.store.bugs.add("lose")
        assert main(self.arguments(platform, tmp_path)[:-1]) == EXIT_FAILED
        assert "FAILED" in capsys.readouterr().out

    def test_errors(self, platform, tmp_path, capsys):
        """A faulty scenario ends with 2, a refused key with 3, each with a code."""
        arguments = self.arguments(platform, tmp_path, key="mf_wrong")
        assert main(arguments) == EXIT_UNAVAILABLE
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["code"] == "auth.unauthenticated"
        assert main([str(tmp_path / "absent.yaml"), *arguments[1:]]) == EXIT_INVALID
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["code"] == "scenario.invalid"
