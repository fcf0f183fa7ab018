"""HTTP of ingest over real servers: who may do what, and what each door and question answers."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet
import pytest

from services.ingest import events
from services.kit.log import LogUnavailableError
from services.metering.batch import ChannelRef, from_bytes
from tests.ingest_harness import HOUR_MS, START_MS, WATER, batch
from tests.integration.ingest.world import PARTITIONS, TENANTS, World, codes

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
IMPORT = f"/v1/imports?obis={WATER}&unit=L"
FILE = b"meter,at,value\nA,2027-01-02T00:00:00Z,5\n"
ROW = {"meter": "A", "obis": WATER, "at": "2027-01-01T00:00:00Z", "value": 90000, "unit": "L"}
SPAN = "from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z"
AGES = "from=0001-01-01T00:00:00Z&to=9999-12-31T00:00:00Z"
READERS = {"reader", "operator", "admin"}
#: Method, path, body, its type, and the roles that may.
OPERATIONS: list[tuple[str, str, Any, str, set[str]]] = [
    ("POST", "/v1/readings", {"readings": []}, "application/json",
     {"gateway", "operator", "admin"}),
    ("POST", IMPORT, b"", CSV, {"operator", "admin"}),
    ("GET", "/v1/meters/1/readings", None, "", READERS),
    ("GET", "/v1/meters/1/curve", None, "", READERS),
    ("GET", f"/v1/usage?service_point_id=11&{SPAN}", None, "", READERS),
    ("GET", "/v1/quarantine", None, "", READERS),
    ("POST", "/v1/quarantine/replay", {"meter": "nobody"}, "application/json",
     {"operator", "admin"}),
    ("GET", "/v1/tally", None, "", READERS),
    ("GET", "/v1/storage", None, "", READERS),
]  # fmt: skip
CASES = [pytest.param(*row, id=f"{row[0]} {row[1].partition('?')[0]}") for row in OPERATIONS]


# --- the wall ----------------------------------------------------------------------------------


def test_every_operation_is_in_the_matrix(world: World) -> None:
    """No route can be added without saying here who may use it."""
    paths = world.http.get("/openapi.json").json()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert {(m, path.replace("{meter_id}", "1")) for m, path in routes} == {
        (method, path.partition("?")[0]) for method, path, *_ in OPERATIONS
    }


@pytest.mark.parametrize(("method", "path", "body", "kind", "allowed"), CASES)
@pytest.mark.parametrize("key", [None, "nobody-has-this"])
def test_a_stranger_is_refused(
    world: World, method: str, path: str, body: Any, kind: str, allowed: set[str], key: str | None
) -> None:
    """Without a key, or with one that nobody has, nothing is answered."""
    problem = world.refused(method, path, body, key, kind)
    assert (problem["status"], problem["code"]) == (401, "auth.unauthenticated")


def test_another_tenant_sees_nothing(world: World) -> None:
    """Another tenant's meters and service points are absent, its lists and counts are empty."""
    world.harness.feed(batch([("wall", START_MS, 1)]))
    for path in ("meters/1/readings", "meters/1/curve", f"usage?service_point_id=11&{SPAN}"):
        assert world.refused("GET", f"/v1/{path}", key="village-admin")["status"] == 404
        world.get(f"/v1/{path}", "city-admin")
    assert world.get("/v1/quarantine", "village-admin")["items"] == []
    assert world.get("/v1/quarantine")["items"]
    tally = world.get("/v1/tally", "village-admin")
    assert (tally["received"], tally["by_reason"]) == (0, {})
    replayed = world.call("POST", "/v1/quarantine/replay", {}, "village-admin").json()
    assert replayed == {"replayed": 0}


def test_another_tenants_readings_stay_its_own(world: World) -> None:
    """Readings sent under another tenant's meter names go on as the sender's, whatever they say."""
    since = world.ends()
    assert world.call("POST", "/v1/readings", {"readings": [ROW]}, "village-gateway").is_success
    assert world.call("POST", IMPORT, FILE, "village-operator", CSV).is_success
    assert [from_bytes(r.value).origin.tenant_id for r in world.appended(since)] == [8, 8]


@pytest.mark.parametrize(("method", "path", "body", "kind", "allowed"), CASES)
@pytest.mark.parametrize("role", ["gateway", "reader", "operator", "admin"])
def test_a_role_does_what_it_may_and_no_more(
    world: World, method: str, path: str, body: Any, kind: str, allowed: set[str], role: str
) -> None:
    """Each role passes the door exactly where the matrix says so."""
    answer = world.call(method, path, body, f"city-{role}", kind)
    assert answer.status_code < 500, answer.text
    assert (answer.status_code != 403) == (role in allowed)


# --- doors -------------------------------------------------------------------------------------


def test_readings_are_on_the_log_when_they_are_acknowledged(world: World) -> None:
    """What was sent lies on the meter's partition, with tenant, source and digest of the door."""
    since = world.ends()
    rows = [ROW, {**ROW, "meter": "dev-a", "at": "2027-01-01T02:00:00+01:00", "value": 90.5,
                  "unit": "m3"}]  # fmt: skip
    body = json.dumps({"readings": rows, "batch_id": "mine-1"}).encode()
    answer = world.call("POST", "/v1/readings", body, "city-gateway")
    assert answer.status_code == 202
    assert answer.json() == {"batch_id": "mine-1", "readings": 2}
    (record,) = world.appended(since)
    assert record.partition == events.partition_of(TENANTS["city"], "ACME:A", PARTITIONS)
    sent = from_bytes(record.value)
    assert sent.meters == ("A", "dev-a")
    assert sent.channels == (ChannelRef(WATER, "L", 0), ChannelRef(WATER, "m3", -1))
    assert sent.at_ms.tolist() == [START_MS + 8760 * HOUR_MS, START_MS + 8761 * HOUR_MS]
    assert sent.value.tolist() == [90000, 905]
    origin = sent.origin
    assert (origin.tenant_id, origin.source, origin.batch_id) == (7, "http", "mine-1")
    assert origin.payload_digest == hashlib.sha256(body).digest()


def test_a_batch_without_an_id_gets_one(world: World) -> None:
    """The id in the answer is the one on the log, so that a sender can find its readings."""
    since = world.ends()
    answer = world.call("POST", "/v1/readings", {"readings": [ROW]}).json()
    (record,) = world.appended(since)
    assert from_bytes(record.value).origin.batch_id == answer["batch_id"] != ""


def test_all_faults_come_at_once_and_nothing_is_taken(world: World) -> None:
    """Good readings beside wrong ones are not taken either; each fault says where it is."""
    since = world.ends()
    wrong: list[dict[str, Any]] = [
        {**ROW, "at": "2027-01-01T00:00:00"},
        {**ROW, "value": "much"},
        {**ROW, "unit": "pint"},
        {**ROW, "obis": "water"},
        {key: value for key, value in ROW.items() if key != "meter"},
        {**ROW, "tenant_id": 8},
    ]
    problem = world.refused("POST", "/v1/readings", {"readings": [ROW, *wrong]}, "city-gateway")
    assert problem["status"] == 400
    assert {where.split("/")[2] for where, _ in codes(problem)} == set("123456")
    assert world.appended(since) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"7", b'{"readings": 7}', b'{"readings": null}', b"{", b"\xff\xfe",
     b'{"readings": [7, null, []]}', b'{"readings": [], "tenant_id": 8}', b'{"readings": []}',
     b'{"readings": [], "batch_id": 7}'],
)  # fmt: skip
def test_a_body_that_is_no_list_of_readings_is_refused(world: World, body: bytes) -> None:
    """A body of a wrong type, a broken one and an empty list are one problem with its faults."""
    since = world.ends()
    problem = world.refused("POST", "/v1/readings", body)
    assert problem["status"] == 400
    assert problem["faults"]
    assert world.appended(since) == []


def test_an_empty_list_says_so(world: World) -> None:
    """An empty batch is the sender's mistake, and named as such."""
    assert codes(world.refused("POST", "/v1/readings", {"readings": []})) == [("/", "batch.empty")]
    header = b"meter,at,value\n"
    problem = world.refused("POST", IMPORT, header, content_type=CSV)
    assert codes(problem) == [("/", "batch.empty")]


def test_what_the_database_cannot_hold_never_reaches_the_log(world: World) -> None:
    """A NUL in an id or a name would stop the pipeline for good: the doors refuse it."""
    since = world.ends()
    for body in (
        {"readings": [ROW], "batch_id": "a\0b"},
        {"readings": [{**ROW, "meter": "A\0B"}]},
        {"readings": [ROW], "batch_id": "x" * 201},
    ):
        assert world.refused("POST", "/v1/readings", body)["faults"][0]["code"] == "batch.text"
    content = b"meter,at,value\nA\0B,2027-01-02T00:00:00Z,5\n"
    assert world.refused("POST", IMPORT, content, content_type=CSV)["status"] == 400
    assert world.appended(since) == []


def _parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_files_come_in_by_their_columns(world: World) -> None:
    """CSV and Parquet with columns of any name land as the same readings, digest of the file."""
    query = f"/v1/imports?obis={WATER}&unit=m3&zone=Europe/Madrid&meter=id&at=when&value=dial"
    table = b"id,when,dial\nA,2027-03-01 00:00:00,1.250\nB,2027-03-01 01:00:00,2\n"
    packed = _parquet(id=["A", "B"], when=["2027-03-01 00:00:00", "2027-03-01 01:00:00"],
                      dial=["1.250", "2"])  # fmt: skip
    got = []
    for body, kind in ((table, CSV), (packed, PARQUET)):
        since = world.ends()
        answer = world.call("POST", query, body, content_type=kind)
        assert answer.status_code == 202, answer.text
        assert answer.json()["readings"] == 2
        sent = [from_bytes(record.value) for record in world.appended(since)]
        origins = {(one.origin.source, one.origin.payload_digest) for one in sent}
        assert origins == {("file", hashlib.sha256(body).digest())}
        got.append(sorted(
            (one.meters[m], at, value, one.channels[0])
            for one in sent
            for m, at, value in zip(one.meter.tolist(), one.at_ms.tolist(), one.value.tolist(),
                                    strict=True)
        ))  # fmt: skip
    assert got[0] == got[1]
    reference = ChannelRef(WATER, "m3", -2)
    midnight_ms = START_MS + (365 + 59) * 24 * HOUR_MS - HOUR_MS
    assert got[0] == [
        ("A", midnight_ms, 125, reference),
        ("B", midnight_ms + HOUR_MS, 200, reference),
    ]


def test_a_file_with_faults_is_refused_whole(world: World) -> None:
    """Each fault names its row and column; nothing of the file is taken."""
    since = world.ends()
    content = b"meter,at,value\nA,2027-01-02T00:00:00Z,5\n,2027-01-02T01:00:00Z,x\n"
    problem = world.refused("POST", IMPORT, content, content_type=CSV)
    assert codes(problem) == [
        ("row 2, column meter", "meter.invalid"),
        ("row 2, column value", "value.not_a_number"),
    ]
    for body, kind in ((b"PAR1", PARQUET), (FILE, "application/pdf"), (b"a,b\n1,2\n", CSV)):
        problem = world.refused("POST", IMPORT, body, content_type=kind)
        assert problem["status"] == 400
        assert problem["faults"]
    problem = world.refused("POST", "/v1/imports?obis=x&unit=y&zone=z", FILE, content_type=CSV)
    assert {where for where, _ in codes(problem)} == {"obis", "unit", "zone"}
    assert world.appended(since) == []


def test_a_log_that_is_away_is_no_acknowledgement(away: World) -> None:
    """Senders are told to come again, and when; nothing is lost because nothing is promised."""
    for path, body, kind in (
        ("/v1/readings", {"readings": [ROW]}, "application/json"),
        (IMPORT, FILE, CSV),
    ):
        answer = away.call("POST", path, body, content_type=kind)
        assert (answer.status_code, answer.json()["code"]) == (429, "door.log_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    assert away.appended(dict.fromkeys(range(PARTITIONS), 0)) == []


def test_a_replay_without_a_log_leaves_all_in_quarantine(away: World) -> None:
    """What the log did not take stays open, to be replayed another time."""
    away.harness.feed(batch([("nobody", START_MS, 1)]))
    problem = away.refused("POST", "/v1/quarantine/replay", {})
    assert (problem["status"], problem["code"]) == (503, LogUnavailableError.code)
    assert [item["state"] for item in away.get("/v1/quarantine")["items"]] == ["open"]
    assert away.get("/v1/tally")["quarantined"] == 1


# --- questions ---------------------------------------------------------------------------------


def test_readings_come_in_pages(world: World) -> None:
    """Pages follow one another without gap or repeat, oldest first, and the last says it is."""
    path = f"/v1/meters/2/readings?{SPAN}&page_size=20"
    pages = [world.get(path)]
    while pages[-1]["next_page_token"]:
        assert len(pages) < 5
        pages.append(world.get(f"{path}&page_token={pages[-1]['next_page_token']}"))
    assert [len(page["items"]) for page in pages] == [20, 20, 8]
    items = [item for page in pages for item in page["items"]]
    assert [item["value"] for item in items] == [f"0.{n:03d}" for n in range(48)]
    assert items[1] == {
        "at": "2026-01-01T01:00:00Z", "value": "0.001", "register": "0.001", "unit": "m3",
        "rules": [], "usable": True,
    }  # fmt: skip


def test_readings_are_found_by_their_time(world: World) -> None:
    """Both ends belong to the asked time, whatever offset from UTC they are written with."""
    ends = f"from={quote('2026-01-01T02:00:00+01:00')}&to=2026-01-01T03:00:00Z"
    items = world.get(f"/v1/meters/1/readings?{ends}")["items"]
    assert [item["at"][11:16] for item in items] == ["01:00", "02:00", "03:00"]


def test_a_curve_is_thinned_but_keeps_its_use(world: World) -> None:
    """However few points are asked for, they end at the newest and their use sums to the whole."""
    whole = world.get("/v1/meters/1/curve?points=5000&to=2026-03-01T00:00:00Z")
    assert len(whole["at_ms"]) == 59 * 24 + 1
    for points in (2, 10, 100):
        thin = world.get(f"/v1/meters/1/curve?points={points}&to=2026-03-01T00:00:00Z")
        assert points // 2 <= len(thin["at_ms"]) <= points + 1
        assert thin["at_ms"][-1] == whole["at_ms"][-1]
        assert sum(thin["use"][1:]) == thin["register"][-1] - thin["register"][0]
    assert (whole["unit"], whole["scaler"], whole["kind"]) == ("m3", -3, "register")


@pytest.mark.parametrize(
    ("bucket", "span", "hours"),
    [
        ("day", ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), [23]),
        ("day", ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), [25]),
        ("day", ("2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z"), [24, 23, 24]),
        ("hour", ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), [1] * 23),
        ("hour", ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), [1] * 25),
        ("month", ("2026-02-28T23:00:00Z", "2026-04-30T22:00:00Z"), [743, 720]),
        ("month", ("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"), [745]),
    ],
)
def test_usage_keeps_local_days(
    world: World, bucket: str, span: tuple[str, str], hours: list[int]
) -> None:
    """Days of 23 and 25 hours and the months around them have the use of their own hours."""
    query = f"service_point_id=11&from={span[0]}&to={span[1]}&bucket={bucket}"
    answer = world.get(f"/v1/usage?{query}")
    assert answer["time_zone"] == "Europe/Madrid"
    (channel,) = answer["channels"]
    buckets = channel["buckets"]
    assert [Decimal(b["quantity"]) for b in buckets] == [Decimal(h) / 100 for h in hours]
    assert [one["from"] for one in buckets[1:]] == [one["to"] for one in buckets[:-1]]
    assert (buckets[0]["from"], buckets[-1]["to"]) == span
    assert {one["known_ppm"] for one in buckets} == {1_000_000}
    assert (channel["obis"], channel["unit"], channel["events"]) == (WATER, "m3", [])


def test_usage_takes_another_zone(world: World) -> None:
    """A zone whose hours begin at half past has its days and hours there."""
    query = "service_point_id=11&from=2026-03-01T18:30:00Z&to=2026-03-02T18:30:00Z"
    for bucket, count in (("day", 1), ("hour", 24)):
        answer = world.get(f"/v1/usage?{query}&bucket={bucket}&zone=Asia/Kolkata")
        buckets = answer["channels"][0]["buckets"]
        assert len(buckets) == count
        assert buckets[0]["from"] == "2026-03-01T18:30:00Z"
        assert buckets[-1]["to"] == "2026-03-02T18:30:00Z"


@pytest.fixture
def aside(world: World) -> Iterator[None]:
    """Three entries in quarantine and nothing else in it."""
    world.call("POST", "/v1/quarantine/replay", {})
    harness = world.harness
    harness.feed(batch([("x", START_MS, 1), ("x", START_MS + HOUR_MS, 2)]))
    harness.feed(batch([("y", START_MS, 1)]))
    harness.feed(batch([("A", START_MS - HOUR_MS, 1)], unit="kWh"))
    yield
    world.call("POST", "/v1/quarantine/replay", {})


@pytest.mark.usefixtures("aside")
def test_quarantine_is_listed_newest_first(world: World) -> None:
    """Pages and reasons show what waits, of how many readings, and why."""
    first = world.get("/v1/quarantine?page_size=2")
    rest = world.get(f"/v1/quarantine?page_size=2&page_token={first['next_page_token']}")
    items = first["items"] + rest["items"]
    assert rest["next_page_token"] is None
    assert sorted((item["meter"], item["readings"], item["reason"]) for item in items) == [
        ("A", 1, "unit.mismatch"), ("x", 2, "meter.unknown"), ("y", 1, "meter.unknown"),
    ]  # fmt: skip
    assert [item["quarantine_id"] for item in items] == sorted(
        (item["quarantine_id"] for item in items), reverse=True
    )
    filtered = world.get("/v1/quarantine?reason=unit.mismatch")["items"]
    assert [item["meter"] for item in filtered] == ["A"]
    assert world.get("/v1/quarantine?state=discarded")["items"] == []


@pytest.mark.usefixtures("aside")
def test_a_replay_goes_back_to_the_log(world: World) -> None:
    """Replayed readings are on the log as they came, counted no more, and shown as replayed."""
    before, since = world.get("/v1/tally"), world.ends()
    assert world.call("POST", "/v1/quarantine/replay", {"meter": "x"}).json() == {"replayed": 2}
    (record,) = world.appended(since)
    assert record.partition == events.partition_of(TENANTS["city"], "x", PARTITIONS)
    sent = from_bytes(record.value)
    assert (sent.meters, sent.value.tolist(), sent.origin.tenant_id) == (("x",), [1, 2], 7)
    after = world.get("/v1/tally")
    assert after["by_reason"] == {"meter.unknown": 1, "unit.mismatch": 1}
    assert before["received"] - after["received"] == 2
    assert before["quarantined"] - after["quarantined"] == 2
    assert "x" in {item["meter"] for item in world.get("/v1/quarantine?state=replayed")["items"]}
    assert world.call("POST", "/v1/quarantine/replay", {"meter": "x"}).json() == {"replayed": 0}
    body = {"reason": "unit.mismatch"}
    assert world.call("POST", "/v1/quarantine/replay", body).json() == {"replayed": 1}


@pytest.mark.usefixtures("aside")
def test_the_tally_adds_up(world: World) -> None:
    """Received is the sum of what became of it, and the reasons sum to what is in quarantine."""
    tally = world.get("/v1/tally")
    assert tally["received"] == tally["stored"] + tally["duplicates"] + tally["quarantined"]
    assert sum(tally["by_reason"].values()) == tally["quarantined"] == 4
    assert tally["stored"] == 8_760 + 48


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("meters/x/readings", 400),
        ("meters/9223372036854775808/readings", 400),
        ("meters/0/curve", 400),
        ("meters/999/curve", 404),
        ("meters/1/readings?channel=99", 404),
        ("meters/1/readings?page_size=0", 400),
        ("meters/1/readings?page_size=1001", 400),
        ("meters/1/readings?page_token=xx", 400),
        ("meters/1/readings?page_token=WzkyMjMzNzIwMzY4NTQ3NzU4MDhd", 400),
        ("meters/1/readings?page_token=Wy05OTk5OTk5OTk5OTk5OTk5OTld", 400),
        ("meters/1/readings?from=yesterday", 400),
        ("meters/1/readings?from=2026-01-01T00:00:00", 400),
        ("meters/1/readings?from=0001-01-01T00:00:00%2B14:00", 200),
        ("meters/1/readings?to=9999-12-31T23:59:59-14:00&page_size=1", 200),
        ("meters/1/curve?points=1", 400),
        ("meters/1/curve?points=5001", 400),
        ("usage?service_point_id=11", 400),
        (f"usage?service_point_id=999&{SPAN}", 404),
        (f"usage?service_point_id=9223372036854775808&{SPAN}", 400),
        (f"usage?service_point_id=11&{SPAN}&zone=Mars/Base", 400),
        (f"usage?service_point_id=11&{SPAN}&zone=../etc/passwd", 400),
        (f"usage?service_point_id=11&{SPAN}&bucket=week", 400),
        ("usage?service_point_id=11&from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", 400),
        (f"usage?service_point_id=11&{AGES}&bucket=hour", 400),
        (f"usage?service_point_id=11&{AGES}&bucket=day", 400),
        ("usage?service_point_id=11&from=9999-12-30T00:00:00Z&to=9999-12-31T00:00:00Z", 200),
        ("quarantine?page_token=xx", 400),
        ("quarantine?page_token=WyJub3QgYW4gaWQiXQ", 400),
        ("quarantine?state=lost", 400),
        ("quarantine?reason=%00", 400),
    ],
)  # fmt: skip
def test_a_wrong_question_is_one_problem(world: World, path: str, status: int) -> None:
    """Whatever stands in an address, the answer says what is wrong with it, never a 500."""
    answer = world.call("GET", f"/v1/{path}", key="city-reader")
    assert answer.status_code == status, answer.text
    if status == 400:
        assert answer.json()["faults"]


def test_a_wrong_replay_is_one_problem(world: World) -> None:
    """A replay of what cannot be a name is refused."""
    for body in ({"meter": "\0"}, {"reason": "\0"}, {"meter": 7}, []):
        problem = world.refused("POST", "/v1/quarantine/replay", body)
        assert problem["status"] == 400
