# SPDX-License-Identifier: Apache-2.0
"""What is wrong from outside, at the doors of HTTP, in handlers, in pods: the error is the protocol's and counted, the rest goes on."""
import json
import os
import re
import shutil
import socket
import ssl
import sys
import textwrap

import pytest
import requests
import urllib3

import manifests
from conftest import wait_until
from images import busybox_archive

urllib3.disable_warnings()
CONTAINERS = os.geteuid() == 0 and shutil.which("runc")


def metric(evoke, name, **labels):
    """The sum of a metric's samples that have these labels."""
    lines = requests.get(f"http://{evoke.admin}/metrics", timeout=5).text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[{{ ]", line)
               and all(f'{key}="{value}"' in line for key, value in labels.items()))


def resident(evoke):
    return int(open(f"/proc/{evoke.process.pid}/statm").read().split()[1]) * 4096


def address(text):
    host, port = text.split(":")
    return host, int(port)


# --- The API door ---


@pytest.fixture(scope="module")
def credentials(evoke, tmp_path_factory):
    """The admin's certificate and key as files, out of the kubeconfig."""
    import base64
    import yaml
    directory = tmp_path_factory.mktemp("pki")
    user = yaml.safe_load(evoke.kubeconfig.read_text())["users"][0]["user"]
    paths = []
    for name in ("client-certificate-data", "client-key-data"):
        paths.append(directory / name)
        paths[-1].write_bytes(base64.b64decode(user[name]))
    return tuple(map(str, paths))


def pieces(size):
    for _ in range(size >> 16):
        yield b"x" * (1 << 16)


DEEP = 100000


@pytest.mark.parametrize("method, type, body, code, words", [
    ("POST", "application/json", lambda: '{"a":' * DEEP + "1" + "}" * DEEP, 400, "128 containers within each other"),
    ("POST", "application/json", lambda: '{"metadata":{"annotations":' + "[" * DEEP, 400, "128 containers within each other"),
    ("POST", "application/yaml", lambda: "a: " + "[" * 10000 + "]" * 10000, 400, "too many containers within each other"),
    ("PATCH", "application/merge-patch+json", lambda: '{"a":' * DEEP + "1" + "}" * DEEP, 400, "128 containers within each other"),
    ("PATCH", "application/json-patch+json", lambda: "[" * DEEP + "]" * DEEP, 400, "128 containers within each other"),
    ("POST", "application/json", lambda: b'{"data": "' + b"x" * (3 << 20), 413, "larger than 3145728 bytes"),
    ("POST", "application/json", lambda: pieces(4 << 20), 413, "larger than 3145728 bytes"),
    ("POST", "application/json", lambda: '{"metadata": {"name": "x",}', 400, "line 1, column 27"),
    ("POST", "application/json", lambda: b"\xff\xfe\x00", 400, "JSON"),
    ("POST", "application/vnd.kubernetes.protobuf", lambda: b"k8s\0" + b"\xff" * 50, 400, "protobuf"),
    ("POST", "application/json", lambda: '{"metadata": {"name": 5}}', 400, "metadata.name: must be a string, not a number"),
    ("POST", "application/json", lambda: '{"metadata": {"name": "Not Valid"}}', 422, "metadata.name"),
    ("PATCH", "application/merge-patch+json", lambda: '{"data": {"a": [1]}}', 400, "data.a: must be a string, not a list"),
])
def test_a_body_that_cannot_be_is_refused_with_a_status_and_counted(evoke, credentials, method, type, body, code, words):
    path = "/api/v1/namespaces/default/configmaps" + ("/kube-root-ca.crt" if method == "PATCH" else "")
    before, memory = metric(evoke, "evoke_http_responses_total", door="api", code="4xx"), resident(evoke)
    answer = requests.request(method, f"https://{evoke.api}{path}", data=body(), headers={"Content-Type": type}, cert=credentials,
                              verify=False, timeout=20)
    assert answer.status_code == code, answer.text
    status = answer.json()
    assert status["kind"] == "Status" and status["code"] == code and words in status["message"]
    assert metric(evoke, "evoke_http_responses_total", door="api", code="4xx") == before + 1
    assert resident(evoke) - memory < 32 << 20
    assert evoke.kubectl("get", "configmap", "kube-root-ca.crt", "-o", "name").stdout == "configmap/kube-root-ca.crt\n"


def peak(evoke):
    """Resident memory at its highest since clear_peak()."""
    lines = open(f"/proc/{evoke.process.pid}/status").read()
    return int(re.search(r"VmHWM:\s+(\d+) kB", lines).group(1)) << 10


def clear_peak(evoke):
    with open(f"/proc/{evoke.process.pid}/clear_refs", "w") as file:
        file.write("5")


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def protobuf_pod(spec):
    """A Pod with this PodSpec, in Kubernetes' envelope."""
    def field(number, content):
        return bytes([number << 3 | 2]) + varint(len(content)) + content
    return b"k8s\0" + field(1, field(1, b"v1") + field(2, b"Pod")) + field(2, field(1, field(1, b"many")) + field(2, spec))


MANY = (3 << 20) - 1000


@pytest.mark.parametrize("type, body, words", [
    ("application/json", lambda: '{"data":[' + ",".join(["{}"] * (MANY // 3)) + "]}", "JSON: more than 800000 values"),
    ("application/json", lambda: '{"data":[' + ",".join(["0"] * (MANY // 2)) + "]}", "JSON: more than 800000 values"),
    ("application/json", lambda: '{"data":[' + ",".join(['""'] * (MANY // 4)) + "]}", "data: must be an object"),
    ("application/json", lambda: '{"data":{' + ",".join(f'"{i:x}":0' for i in range(MANY // 10)) + "}}", "must be a string"),
    ("application/yaml", lambda: "data:\n" + "- {}\n" * (MANY // 5), "too many values"),
    ("application/yaml", lambda: "data:\n" + "- 0\n" * (MANY // 4), "data: must be an object"),
    ("application/yaml", lambda: "a: &a " + "x" * (1 << 20) + "\ndata:\n" + "- *a\n" * 100000, "too much text"),
    ("application/yaml", lambda: "x" * 10000 + ":\n" + "- 0\n" * (MANY // 5), "unknown field"),
    ("application/vnd.kubernetes.protobuf", lambda: protobuf_pod(b"\x12\0" * (MANY // 2)), "protobuf: more than 800000 values"),
    ("application/vnd.kubernetes.protobuf", lambda: protobuf_pod(b"\x12" + varint(MANY - 100) + b"\x1a\0" * (MANY // 2 - 50)),
     "protobuf: more than 800000 values"),
], ids=["json-objects", "json-numbers", "json-texts", "json-members", "yaml-objects", "yaml-numbers", "yaml-aliases", "yaml-paths",
        "protobuf-messages", "protobuf-texts"])
def test_a_body_of_very_many_values_takes_a_bounded_part_of_memory(evoke, credentials, type, body, words):
    kind = "pods" if "protobuf" in type else "configmaps"
    clear_peak(evoke)
    before = peak(evoke)
    answer = requests.post(f"https://{evoke.api}/api/v1/namespaces/default/{kind}?fieldValidation=Strict", data=body(),
                           headers={"Content-Type": type}, cert=credentials, verify=False, timeout=60)
    assert answer.status_code == 400 and words in answer.json()["message"]
    assert peak(evoke) - before < 128 << 20


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_http_at_the_api_door_is_told_that_tls_is_spoken_there(evoke, method):
    with socket.create_connection(address(evoke.api), timeout=10) as sock:
        sock.sendall(f"{method} /api HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer == b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


@pytest.mark.parametrize("door, words", [("kafka", "it speaks TLS, and this listener does not"), ("http", "which is plain HTTP"),
                                         ("admin", "which is plain HTTP")])
def test_tls_at_a_plain_door_is_named_in_the_log_once_in_ten_seconds(evoke, door, words):
    before = evoke.output().count(words)
    for _ in range(5):
        with socket.create_connection(address(getattr(evoke, door)), timeout=10) as sock, pytest.raises((ssl.SSLError, OSError)):
            ssl._create_unverified_context().wrap_socket(sock)
    wait_until(lambda: evoke.output().count(words) == before + 1, timeout=10, what="one line in the log")


def test_slow_clients_are_given_up_and_counted_while_others_are_served(evoke, credentials):
    context = ssl._create_unverified_context()
    context.load_cert_chain(*credentials)
    head = b"POST /default/none HTTP/1.1\r\nHost: x\r\nContent-Le"
    slow, before = [], metric(evoke, "evoke_http_timeouts_total")
    for _ in range(50):
        for door in (evoke.http, evoke.admin, evoke.api):
            sock = socket.create_connection(address(door), timeout=30)
            if door == evoke.api:
                sock = context.wrap_socket(sock)
            sock.sendall(head)
            slow.append(sock)
        silent = socket.create_connection(address(evoke.api), timeout=30)  # never a handshake
        silent.sendall(b"\x16\x03\x01")
        slow.append(silent)
    assert requests.post(f"http://{evoke.http}/default/none", timeout=5).status_code == 404
    assert evoke.kubectl("get", "namespace", "default", "-o", "name").stdout == "namespace/default\n"
    assert evoke.healthy()
    for sock in slow:
        assert sock.recv(12) in (b"HTTP/1.1 408", b""), "ended by the server"
        sock.close()
    assert metric(evoke, "evoke_http_timeouts_total") == before + 150


# --- The events door ---


EVENT = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t"}
STRUCTURED = {"content-type": "application/cloudevents+json"}


@pytest.mark.parametrize("broker, headers, body, code, result", [
    ("default", {}, lambda: b"x", 400, "invalid"),
    ("default", {**EVENT, "ce-id": ""}, lambda: b"x", 400, "invalid"),
    ("default", STRUCTURED, lambda: b"{", 400, "invalid"),
    ("default", STRUCTURED, lambda: '{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + "[" * DEEP, 413, "too_large"),
    ("default", EVENT, lambda: b"x" * (2 << 20), 413, "too_large"),
    ("default", EVENT, lambda: pieces(4 << 20), 413, "too_large"),
    ("default", {"content-type": "application/cloudevents+avro"}, lambda: b"x", 415, "unsupported"),
    ("nothing", EVENT, lambda: b"x", 404, "not_found"),
])
def test_what_is_no_event_is_refused_and_counted(evoke, handlers, broker, headers, body, code, result):
    before, memory = metric(evoke, "evoke_events_total", result=result), resident(evoke)
    answer = requests.post(f"http://{evoke.http}/default/{broker}", data=body(), headers=headers, timeout=20)
    assert answer.status_code == code, answer.text
    assert metric(evoke, "evoke_events_total", result=result) == before + 1
    assert resident(evoke) - memory < 32 << 20


# --- Handlers ---

HANDLER = textwrap.dedent("""
    import os, socket, sys, time
    mode, server = sys.argv[1], socket.create_server((os.environ["POD_IP"], int(os.environ["PORT"])))
    def answer(text, body=b""):
        return b"HTTP/1.1 " + text + b"\\r\\n" + (b"" if b"\\r\\n" in text else b"Content-Length: %d\\r\\n" % len(body)) + b"\\r\\n" + body
    while True:
        peer, _ = server.accept()
        asked = peer.recv(65536)
        if asked.startswith(b"GET"):
            peer.sendall(answer(b"200 OK"))
        elif mode == "refuses":
            peer.sendall(answer(b"400 Bad Request", b"no"))
        elif mode == "fails":
            peer.sendall(answer(b"503 Service Unavailable"))
        elif mode == "hangs":
            time.sleep(1000)
        elif mode == "dies":
            os._exit(3)
        elif mode == "garbage":
            peer.sendall(os.urandom(1000))
        elif mode == "cut":
            peer.sendall(answer(b"200 OK\\r\\nContent-Length: 1000\\r\\nce-specversion: 1.0", b"x"))
        elif mode == "noevent":
            peer.sendall(answer(b"200 OK\\r\\nContent-Length: 2\\r\\nce-specversion: 1.0", b"{}"))
        elif mode == "deep":
            body = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + b"[" * 100000
            peer.sendall(answer(b"200 OK\\r\\nContent-Type: application/cloudevents+json\\r\\nContent-Length: %d" % len(body), body))
        elif mode == "endless":
            try:
                peer.sendall(b"HTTP/1.1 200 OK\\r\\nce-specversion: 1.0\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")
                while True:
                    peer.sendall(b"10000\\r\\n" + b"x" * 65536 + b"\\r\\n")
            except OSError:
                pass
        peer.close()
""")


@pytest.fixture(scope="module")
def handlers(evoke, tmp_path_factory):
    """Makes a Trigger whose subscriber behaves in a certain way, and whose dead letters go to the Broker "dead"."""
    script = tmp_path_factory.mktemp("handlers") / "handler.py"
    script.write_text(HANDLER)
    evoke.kubectl("apply", "-f", "-", stdin=manifests.text(manifests.broker(), manifests.broker(name="dead")))

    def make(mode):
        deployment, service = manifests.service(mode, sys.executable)
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        container["command"] = [sys.executable, "-S", str(script), mode]
        container["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 100}
        evoke.kubectl("apply", "-f", "-", stdin=manifests.text(deployment, service, manifests.trigger(mode, mode, f"for.{mode}", delivery={
            "retry": 1, "backoffPolicy": "linear", "backoffDelay": "PT0.05S", "timeout": "PT1S",
            "deadLetterSink": {"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "dead"}}})))
        evoke.kubectl("wait", "--for=condition=Ready", f"trigger/{mode}", "--timeout=20s")
        evoke.kubectl("rollout", "status", f"deployment/{mode}", "--timeout=20s")

    return make


@pytest.mark.parametrize("mode, code, attempts", [
    ("refuses", "400", 1), ("fails", "503", 2), ("hangs", "504", 2), ("dies", None, 2), ("garbage", None, 2), ("cut", None, 2),
    ("noevent", None, 2), ("deep", None, 2), ("endless", None, 2)])
def test_an_event_whose_handler_misbehaves_is_a_dead_letter_and_counted(evoke, handlers, mode, code, attempts):
    handlers(mode)
    before = {name: metric(evoke, f"evoke_dispatch_{name}_total") for name in ("deliveries", "retries", "dead_letters", "replies")}
    memory = resident(evoke)
    answer = requests.post(f"http://{evoke.http}/default/default", data=b"{}", timeout=5, headers={
        "ce-specversion": "1.0", "ce-id": f"id-{mode}", "ce-source": "test", "ce-type": f"for.{mode}", "content-type": "application/json"})
    assert answer.status_code == 202

    def letter():
        done = evoke.run("consume", "-b", evoke.kafka, "-o", "json", "default.dead")
        found = [event["headers"] for event in map(json.loads, done.stdout.splitlines()) if event["headers"].get("ce_id") == f"id-{mode}"]
        return found[0] if found else None
    headers = wait_until(letter, what="a dead letter")
    assert headers["ce_knativeerrordest"].endswith(f"{mode}.default.svc.cluster.local")
    assert code is None or headers["ce_knativeerrorcode"] == code, headers
    wait_until(lambda: metric(evoke, "evoke_dispatch_dead_letters_total") == before["dead_letters"] + 1, what="counted")
    assert metric(evoke, "evoke_dispatch_retries_total") == before["retries"] + attempts - 1
    assert metric(evoke, "evoke_dispatch_replies_total") == before["replies"], "nothing of what it said is an event"
    assert resident(evoke) - memory < 32 << 20
    evoke.kubectl("delete", "deployment,service,trigger", mode, "--wait=false")


# --- Pods ---


def test_a_command_that_is_not_there_is_told_and_counted(evoke):
    before = metric(evoke, "evoke_node_containers_failed_total")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nothing"},
           "spec": {"runtimeClassName": "process", "containers": [{"name": "main", "image": "none", "command": ["/no/such/command"]}]}}
    evoke.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    events = lambda: evoke.kubectl("get", "events", "--field-selector", "involvedObject.name=nothing").stdout
    wait_until(lambda: "/no/such/command" in events() and "No such file or directory" in events(), what="an Event with the reason")
    assert metric(evoke, "evoke_node_containers_failed_total") > before
    assert "RunContainerError" in wait_until(lambda: evoke.kubectl("get", "pod", "nothing", "--no-headers").stdout, what="listed")
    evoke.kubectl("delete", "pod", "nothing", "--grace-period=1")


@pytest.mark.skipif(not CONTAINERS, reason="needs root and runc")
@pytest.mark.parametrize("policy, reason", [("Never", "ErrImageNeverPull"), ("IfNotPresent", "ErrImagePull")])
def test_an_image_that_is_not_there_is_told_and_counted(evoke, policy, reason):
    before, name = metric(evoke, "evoke_node_containers_failed_total"), f"no-image-{policy.lower()}"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
           "spec": {"containers": [{"name": "main", "image": "nowhere:1", "imagePullPolicy": policy}]}}
    evoke.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    wait_until(lambda: reason in evoke.kubectl("get", "pod", name, "--no-headers").stdout, what="the reason is listed")
    events = lambda: evoke.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}").stdout
    wait_until(lambda: "nowhere:1" in events() and "evoke image import" in events(), what="an Event says what to do")
    assert metric(evoke, "evoke_node_containers_failed_total") == before + 1
    listed = json.loads(evoke.kubectl("get", "pod", name, "-o", "json").stdout)["status"]
    assert listed["phase"] == "Pending" and listed["containerStatuses"][0]["restartCount"] == 0
    evoke.kubectl("delete", "pod", name, "--grace-period=1")


@pytest.mark.skipif(not (CONTAINERS and shutil.which("busybox")), reason="needs root, runc and busybox")
def test_a_pod_that_waits_for_an_image_starts_when_it_is_imported(evoke, tmp_path):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "late"},
           "spec": {"containers": [{"name": "main", "image": "late:2", "command": ["/bin/sleep", "600"]}]}}
    evoke.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    shown = lambda: evoke.kubectl("get", "pod", "late", "--no-headers").stdout
    wait_until(lambda: "ImagePullBackOff" in shown(), timeout=30, what="the back-off is listed")
    done = evoke.run("image", "import", "--data", evoke.data, "--name", "late:2", busybox_archive(tmp_path))
    assert done.returncode == 0, done.stderr
    evoke.kubectl("wait", "--for=condition=Ready", "pod/late", "--timeout=15s")  # the next try would be after 20
    assert shown().split()[1:4] == ["1/1", "Running", "0"]
    told = evoke.kubectl("describe", "pod", "late").stdout
    for line in ('Failed to pull image "late:2"', "Error: ErrImagePull", "Error: ImagePullBackOff", 'Back-off pulling image "late:2"',
                 'Container image "late:2" already present on machine', "Started container main"):
        assert line in told, told
    evoke.kubectl("delete", "pod", "late", "--grace-period=1")
