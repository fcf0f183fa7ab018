"""A platform of a few dozen lines that speaks the real protocols: gRPC in, HTTP to look.

It keeps readings in memory and can be told to misbehave, to show that the harness notices.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent import futures
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import grpc

from services.metering.batch import from_message
from services.stubs.meterfleet.ingest.v1 import ingest_pb2, ingest_pb2_grpc

KEY = "mf_test"


class Store:
    """What the platform holds, and the bugs it was told to have."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ids: dict[str, int] = {}
        self.rows: dict[int, list[tuple[int, int]]] = {}
        self.tally = {"received": 0, "stored": 0, "duplicates": 0, "quarantined": 0}
        self.bugs: set[str] = set()
        self.delay_s = 0.0
        self.break_at = 0
        self.batches = 0

    def take(self, batch) -> None:
        """Take a batch in, once."""
        with self.lock:
            self.batches += 1
            columns = (batch.meter.tolist(), batch.at_ms.tolist(), batch.value.tolist())
            for meter, at_ms, value in zip(*columns, strict=True):
                self._take_one(self.ids.get(batch.meters[meter]), at_ms, value)

    def _take_one(self, meter_id, at_ms, value) -> None:
        self.tally["received"] += 1
        if meter_id is None:
            self.tally["quarantined"] += 1
            return
        rows = self.rows[meter_id]
        if any(at == at_ms for at, _ in rows):
            self.tally["duplicates"] += 1
            return
        if self._happens("lose"):
            return
        rows.append((at_ms, value + self._happens("alter")))
        self.tally["stored"] += 1
        if self._happens("double"):
            rows.append((at_ms, value))
            self.tally["stored"] += 1
            self.tally["received"] += 1

    def _happens(self, bug) -> bool:
        found = bug in self.bugs and self.tally["stored"] > 100
        if found:
            self.bugs.remove(bug)
        return found


class Ingest(ingest_pb2_grpc.IngestServiceServicer):
    """The door."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def Ingest(self, request_iterator, context):  # noqa: N802 - the contract's name
        """Answer each batch once it is stored."""
        metadata = dict(context.invocation_metadata())
        if metadata.get("authorization") != f"Bearer {KEY}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "send a key")
        for request in request_iterator:
            time.sleep(self._store.delay_s)
            if self._store.break_at and self._store.batches >= self._store.break_at:
                self._store.break_at = 0
                context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
            batch = from_message(request.batch)
            response = ingest_pb2.IngestResponse(batch_id=batch.origin.batch_id)
            if "refuse" in self._store.bugs:
                self._store.bugs.remove("refuse")
                response.faults.add(where="/at_ms", code="batch.test", detail="told to")
            else:
                self._store.take(batch)
                response.readings = len(batch)
            yield response


def _handler(store: Store) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Registry and store over HTTP, as docs/api.md says."""

        protocol_version = "HTTP/1.1"
        # Head and body in one packet: apart, each answer waits 40 ms for an acknowledgement.
        wbufsize = 65_536

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            """Register products and meters."""
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with store.lock:
                for meter in body.get("meters", []):
                    meter["meter_id"] = len(store.ids) + 1
                    store.ids[f"{meter['maker']}:{meter['serial']}"] = meter["meter_id"]
                    store.rows[meter["meter_id"]] = []
            self._answer(201, body)

        def do_GET(self) -> None:
            """Show the tally or a meter's readings."""
            url = urlsplit(self.path)
            with store.lock:
                if url.path == "/v1/tally":
                    self._answer(200, {**store.tally, "records_behind": 0, "by_reason": {}})
                    return
                rows = store.rows.get(int(url.path.split("/")[3]))
                first = int(parse_qs(url.query).get("page_token", ["0"])[0])
                size = int(parse_qs(url.query)["page_size"][0])
                if rows is None:
                    self._answer(404, {"code": "not_found", "detail": "no such meter"})
                    return
                items = [_item(*row) for row in sorted(rows)[first : first + size]]
                token = str(first + size) if first + size < len(rows) else None
                self._answer(200, {"items": items, "next_page_token": token})

        def _answer(self, status: int, body: object) -> None:
            if self.headers["authorization"] != f"Bearer {KEY}":
                status, body = 401, {"code": "auth.unauthenticated", "detail": "send a key"}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _item(at_ms: int, value: int) -> dict[str, str]:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return {"at": moment.isoformat(), "value": str(Decimal(value).scaleb(-3)), "unit": "m3"}


class FakePlatform:
    """Both servers on free ports of this machine.

    Attributes:
        store: What it holds.
        ingest: Host and port of its gRPC.
        url: Base URL of its HTTP.
    """

    def __init__(self) -> None:
        self.store = Store()
        self._rpc = grpc.server(futures.ThreadPoolExecutor(8))
        ingest_pb2_grpc.add_IngestServiceServicer_to_server(Ingest(self.store), self._rpc)
        self.ingest = f"127.0.0.1:{self._rpc.add_insecure_port('127.0.0.1:0')}"
        self._rpc.start()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.store))
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def stop(self) -> None:
        """Stop both servers and wait for them."""
        self._rpc.stop(0).wait()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
