# SPDX-License-Identifier: Apache-2.0
"""What no client should send: the connection ends or the error is the protocol's, it is counted, and the others go on."""
import socket
import struct

import pytest
import requests

import kafka_clients
from conftest import wait_until


def connect(evoke):
    host, port = evoke.kafka.split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def header(key, version, correlation=1):
    return struct.pack(">hhih", key, version, correlation, -1)


def frame(payload):
    return struct.pack(">i", len(payload)) + payload


def metric(evoke, name):
    lines = requests.get(f"http://{evoke.admin}/metrics", timeout=5).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def ended(sock):
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("name,bytes_sent", [
    ("too large", struct.pack(">i", 200 << 20)),
    ("negative", struct.pack(">i", -5)),
    ("an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a TLS handshake", bytes.fromhex("160301020001000001fc0303") + bytes(500)),
    ("a SASL handshake", frame(header(17, 1) + struct.pack(">h", 5) + b"PLAIN")),
    ("an unknown key", frame(header(999, 0))),
    ("an unknown version", frame(header(3, 99))),
    ("half a header", frame(b"\0\3\0\0")),
    ("a count that cannot be", frame(header(3, 1) + struct.pack(">i", 2**31 - 1))),
])
def test_a_bad_frame_ends_its_connection_alone(evoke, name, bytes_sent):
    before = metric(evoke, "evoke_kafka_frames_refused_total")
    with connect(evoke) as other, connect(evoke) as sock:
        sock.sendall(bytes_sent)
        assert ended(sock), name
        other.sendall(frame(header(18, 0, 42)))
        assert struct.unpack(">ii", other.recv(8))[1] == 42, "the other connection is served"
    wait_until(lambda: metric(evoke, "evoke_kafka_frames_refused_total") == before + 1, what="counted")


def test_a_frame_cut_short_is_counted(evoke):
    before = metric(evoke, "evoke_kafka_frames_refused_total")
    with connect(evoke) as sock:
        sock.sendall(struct.pack(">i", 1000) + b"only this")
    wait_until(lambda: metric(evoke, "evoke_kafka_frames_refused_total") == before + 1, what="counted")


def test_a_batch_with_a_wrong_crc_is_refused(evoke):
    kafka_clients.kcat(evoke.kafka, "-P", "-t", "crc", "-p", "0", stdin="good\n")
    record = b"\x10\0\0\0\1\4hi\0"
    batch = struct.pack(">qiibIhiqqqhii", 0, 49 + len(record), 0, 2, 12345, 0, 0, 1000, 1000, -1, -1, -1, 1) + record
    body = struct.pack(">hhi", -1, -1, 1000) + struct.pack(">i", 1) + b"\0\3crc" + struct.pack(">ii", 1, 0)
    with connect(evoke) as sock:
        sock.sendall(frame(header(0, 7) + body + struct.pack(">i", len(batch)) + batch))
        size, correlation, _, _, _, _, _, error = struct.unpack(">iiih3siih", sock.recv(27))
    assert (correlation, error) == (1, 2), "CORRUPT_MESSAGE"
    assert kafka_clients.kcat(evoke.kafka, "-C", "-t", "crc", "-e", "-q") == "good\n"


def test_many_frames_that_never_end_take_little_memory(evoke):
    resident = lambda: int(open(f"/proc/{evoke.process.pid}/statm").read().split()[1]) * 4096
    before = resident()
    socks = [connect(evoke) for _ in range(200)]
    for sock in socks:
        sock.sendall(struct.pack(">i", 100 << 20) + b"x" * 1000)
    kafka_clients.kcat(evoke.kafka, "-L")
    assert resident() - before < 64 << 20
    for sock in socks:
        sock.close()
