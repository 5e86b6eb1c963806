# SPDX-License-Identifier: Apache-2.0
"""Watches under bad conditions: a client that does not read, and a daemon that dies."""
import base64
import http.client
import json
import socket
import ssl

import pytest
import yaml

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Client:
    """HTTPS with the admin's certificate, close enough to the bytes to be rude."""

    def __init__(self, evoke, directory):
        config = yaml.safe_load(evoke.kubeconfig.read_text())
        user, cluster = config["users"][0]["user"], config["clusters"][0]["cluster"]
        files = {}
        for name, data in {"ca": cluster["certificate-authority-data"], "crt": user["client-certificate-data"],
                           "key": user["client-key-data"]}.items():
            files[name] = directory / name
            files[name].write_bytes(base64.b64decode(data))
        self.tls = ssl.create_default_context(cafile=files["ca"])
        self.tls.load_cert_chain(files["crt"], files["key"])
        self.host, self.port = evoke.api.split(":")
        self.http = http.client.HTTPSConnection(self.host, int(self.port), context=self.tls, timeout=20)

    def ask(self, method, path, body=None, content_type="application/json"):
        self.http.request(method, path, body=None if body is None else json.dumps(body), headers={"Content-Type": content_type})
        answer = self.http.getresponse()
        return answer.status, json.loads(answer.read())

    def watch(self, query):
        """A socket on which the watch has been asked for, and nothing read."""
        stream = self.tls.wrap_socket(socket.create_connection((self.host, int(self.port)), timeout=20), server_hostname=self.host)
        stream.sendall(f"GET {CONFIG_MAPS}?watch=1&{query} HTTP/1.1\r\nHost: evoke\r\n\r\n".encode())
        return stream


def read_to_end(stream):
    data = b""
    while not data.endswith(b"\r\n0\r\n\r\n"):
        piece = stream.recv(1 << 20)
        assert piece, "the answer was cut off"
        data += piece
    return data


def resident_kb(evoke):
    status = open(f"/proc/{evoke.process.pid}/status").read()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def test_a_watch_that_is_not_read_costs_little_and_is_told_that_it_is_late(evoke, tmp_path):
    client = Client(evoke, tmp_path)
    assert client.ask("POST", CONFIG_MAPS, {"metadata": {"name": "big"}})[0] == 201
    streams = [client.watch("resourceVersion=0") for _ in range(5)]
    before = resident_kb(evoke)
    for i in range(200):
        status, _ = client.ask("PATCH", CONFIG_MAPS + "/big", {"data": {"a": f"{i}" + "x" * 200000}}, "application/merge-patch+json")
        assert status == 200
    assert resident_kb(evoke) - before < 64 * 1024  # 5 watches of 40 MB each
    for stream in streams:
        text = read_to_end(stream)
        assert b'"type":"ERROR"' in text and b'"reason":"Expired"' in text
        stream.close()
    client.ask("DELETE", CONFIG_MAPS + "/big")


@pytest.mark.parametrize("times", [3])
def test_a_watch_goes_on_where_it_was_after_a_kill(new_evoke, tmp_path, times):
    evoke = new_evoke().start()
    client = Client(evoke, tmp_path)
    _, first = client.ask("POST", CONFIG_MAPS, {"metadata": {"name": "first"}})
    revision = first["metadata"]["resourceVersion"]
    for i in range(times):
        status, _ = client.ask("POST", CONFIG_MAPS, {"metadata": {"name": f"then-{i}"}})
        assert status == 201
        evoke.kill()
        evoke.start()
        client = Client(evoke, tmp_path)
    text = read_to_end(client.watch(f"resourceVersion={revision}&timeoutSeconds=1")).decode()
    events = [json.loads(line) for line in text.split("\r\n") if line.startswith('{"type"')
              for line in line.splitlines()]
    names = [event["object"]["metadata"]["name"] for event in events if event["type"] == "ADDED"]
    assert [name for name in names if name.startswith("then-")] == [f"then-{i}" for i in range(times)]
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert revisions == sorted(revisions) and revisions[0] > int(revision)
