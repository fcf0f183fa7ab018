"""The platform's HTTP APIs as the load test uses them."""

import json

import httpx
import pytest

from loadtest.errors import ServiceError
from loadtest.services import Http, HttpStoreView, await_known, register_fleet
from loadtest.traffic import Traffic
from tests.unit.loadtest.fakes import NOW_MS, SCENARIO, FakeClock


def service(handler):
    """An API answered by a function."""
    return Http("http://test", "mf_key", httpx.MockTransport(handler))


class TestCall:
    def test_anonymous(self):
        """A key that is not accepted is told with the service's own code."""

        def refuse(request):
            assert request.headers["authorization"] == "Bearer mf_key"
            problem = {"code": "auth.unauthenticated", "detail": "send a key"}
            return httpx.Response(401, json=problem)

        with pytest.raises(ServiceError) as caught:
            service(refuse).call("GET", "/v1/tally")
        assert caught.value.code == "auth.unauthenticated"

    def test_faults(self):
        """The faults of a refused request are passed on with their positions."""

        def refuse(request):
            faults = [{"where": "/meters/0", "code": "x", "detail": "twice"}]
            return httpx.Response(409, json={"code": "conflict", "detail": "no", "faults": faults})

        with pytest.raises(ServiceError) as caught:
            service(refuse).call("POST", "/v1/meters")
        assert caught.value.faults == (("/meters/0", "twice"),)

    def test_away(self):
        """A service that does not answer, or answers without sense, is an error of its own."""

        def away(request):
            raise httpx.ConnectError("refused")

        with pytest.raises(ServiceError) as caught:
            service(away).call("GET", "/v1/tally")
        assert caught.value.code == "service.unreachable"
        with pytest.raises(ServiceError) as caught:
            service(lambda _: httpx.Response(502, text="bad")).call("GET", "/v1/tally")
        assert caught.value.code == "service.failed"


class TestRegister:
    def test_only_known(self, monkeypatch):
        """The fleet is registered in bounded calls, but for the meters that stay unknown."""
        monkeypatch.setattr("loadtest.services.METERS_PER_CALL", 40)
        calls = []

        def handle(request):
            calls.append((request.url.path, json.loads(request.content)))
            meters = calls[-1][1].get("meters", [])
            ids = [{"meter_id": int(m["serial"][-7:]) + 1_000} for m in meters]
            return httpx.Response(201, json={"meters": ids})

        traffic = Traffic(SCENARIO, "r1", NOW_MS)
        ids = register_fleet(service(handle), traffic)
        assert sorted(ids) == traffic.known.nonzero()[0].tolist()
        assert all(meter_id == number + 1_000 for number, meter_id in ids.items())
        assert [path for path, _ in calls] == ["/v1/products", *["/v1/meters"] * (len(calls) - 1)]
        assert max(len(body.get("meters", [])) for _, body in calls) == 40


class TestAwaitKnown:
    def test_waits(self):
        """Ingest answers 404 until it has heard of a meter."""
        answers = [404, 404, 200]

        def handle(request):
            problem = {"code": "not_found", "detail": "", "items": []}
            return httpx.Response(answers.pop(0), json=problem)

        await_known(service(handle), [7], FakeClock())
        assert answers == []

    def test_never(self):
        """If ingest never hears of a meter, the test ends with its answer."""

        def handle(request):
            return httpx.Response(404, json={"code": "not_found", "detail": "no meter 7"})

        with pytest.raises(ServiceError, match="no meter 7"):
            await_known(service(handle), [7], FakeClock())


class TestView:
    def test_pages(self):
        """All pages of a meter's readings are read, values to the least digit."""
        pages = {
            None: ([("2026-01-01T00:00:00Z", "12.345")], "more"),
            "more": (
                [("2026-01-01T00:15:00.250Z", "12.346"), ("2026-01-01T01:00:00Z", "1.0005")],
                None,
            ),
        }

        def handle(request):
            assert request.url.path == "/v1/meters/41/readings"
            rows, token = pages[request.url.params.get("page_token")]
            items = [{"at": at, "value": value, "unit": "m3"} for at, value in rows]
            return httpx.Response(200, json={"items": items, "next_page_token": token})

        stored = HttpStoreView(service(handle), {3: 41}).readings(3)
        start_ms = 1_767_225_600_000
        assert stored.at_ms.tolist() == [start_ms, start_ms + 900_250, start_ms + 3_600_000]
        assert stored.value.tolist() == [12_345, 12_346, -1]

    def test_tally(self):
        """The tally is read by its documented names."""
        answer = {"received": 9, "stored": 5, "duplicates": 3, "quarantined": 1}

        def handle(request):
            return httpx.Response(200, json={**answer, "records_behind": 2, "by_reason": {}})

        tally = HttpStoreView(service(handle), {}).tally()
        assert (tally.received, tally.stored, tally.records_behind) == (9, 5, 2)
