# SPDX-License-Identifier: Apache-2.0
"""What goes wrong from outside: each ends in a clear error, and evoke goes on."""
import os
import shutil
import socket
import struct
import subprocess

import pytest
import requests

from conftest import Evoke, free_port, remove_pods, wait_until
from images import busybox_archive


def metric(evoke, name):
    text = requests.get(f"http://{evoke.admin}/metrics", timeout=5).text
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def try_serve(evoke, *arguments):
    return subprocess.run([str(evoke.binary), "serve", *arguments], capture_output=True, text=True, timeout=20)


def test_a_data_directory_in_use_is_refused(evoke):
    done = try_serve(evoke, "--data", str(evoke.data), "--listen-kafka", "127.0.0.1:0", "--listen-api", "127.0.0.1:0",
                     "--listen-http", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0")
    assert done.returncode == 4  # it may work later
    assert str(evoke.data) in done.stderr and "in use" in done.stderr


def test_the_kubeconfig_of_a_relative_data_directory_is_told_by_its_whole_path(evoke, tmp_path):
    doors = [word for door in ("kafka", "api", "http", "admin") for word in (f"--listen-{door}", "127.0.0.1:0")]
    serve = subprocess.Popen([str(evoke.binary), "serve", "--data", "here", *doors], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        told = next(line for line in serve.stderr if "KUBECONFIG" in line)
        assert f"export KUBECONFIG={tmp_path}/here/kubeconfig" in told
    finally:
        serve.terminate()
        serve.communicate(timeout=20)


@pytest.mark.parametrize("flag", ["--listen-kafka", "--listen-api", "--listen-http", "--listen-admin"])
def test_a_port_in_use_names_the_flag(evoke, tmp_path, flag):
    addresses = {"--listen-kafka": "127.0.0.1:0", "--listen-api": "127.0.0.1:0", "--listen-http": "127.0.0.1:0",
                 "--listen-admin": "127.0.0.1:0"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        addresses[flag] = f"127.0.0.1:{taken.getsockname()[1]}"
        done = try_serve(evoke, "--data", str(tmp_path / "data"), *[word for pair in addresses.items() for word in pair])
    assert done.returncode == 4
    assert flag in done.stderr and addresses[flag] in done.stderr


def test_an_unwritable_data_directory_is_refused(evoke):
    done = try_serve(evoke, "--data", "/proc/evoke")
    assert done.returncode == 3 and "--data" in done.stderr and "/proc/evoke" in done.stderr  # there can be no such directory


def test_a_file_in_place_of_the_data_directory_is_named(evoke, tmp_path):
    path = tmp_path / "file"
    path.touch()
    done = try_serve(evoke, "--data", str(path))
    assert done.returncode == 1 and f"--data: make directory {path}: Not a directory" in done.stderr


@pytest.mark.parametrize("arguments,words", [
    (["--nonsense"], ["unknown flag", "--nonsense"]),
    (["--listen-kafka", "nowhere"], ["--listen-kafka", "nowhere"]),
    (["--journal-size-max", "lots"], ["--journal-size-max", "lots"]),
    (["--log-level", "loud"], ["--log-level", "loud"]),
    (["--config", "/nonexistent.yaml"], ["--config", "/nonexistent.yaml", "No such file"]),
    (["--pod-cidr", "x"], ["--pod-cidr", '"x"', "10.88.0.0/16"]),
    (["--service-cidr", "10.0.0.0/99"], ["--service-cidr", "10.0.0.0/99", "/8 to /24"]),
    (["--pod-cidr", "10.0.0.0/8"], ["--pod-cidr", "10.0.0.0/8", "10.96.0.0/16", "in common"]),
])
def test_wrong_settings_are_named_and_exit_with_2(evoke, arguments, words):
    done = try_serve(evoke, *arguments)
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr


def test_a_settings_file_is_read_and_its_errors_name_the_line(evoke, tmp_path):
    path = tmp_path / "evoke.yaml"
    path.write_text("data: /tmp/x\nlisten-kafka: 127.0.0.1:0\nlisten-kafke: x\n")
    done = try_serve(evoke, "--config", str(path))
    assert done.returncode == 2
    assert f"{path}:3" in done.stderr and "listen-kafke" in done.stderr and "evoke serve --help" in done.stderr


@pytest.mark.parametrize("text, words", [
    ("listen-kafka: nowhere\n", ":1: listen-kafka: "),
    ("log-level: info\njournal-size-max: lots\n", ':2: journal-size-max: "lots" is not a size'),
    ("\nlog-level: loud\n", ":2: log-level: debug, info, warn or error"),
    ("listen-http: [1]\n", ":1: listen-http: must be a text"),
    ("- data\n", ": must be one YAML document of settings"),
    ("data: 'x\n", ":"),
])
def test_a_setting_of_the_file_that_is_wrong_names_its_place(evoke, tmp_path, text, words):
    path = tmp_path / "evoke.yaml"
    path.write_text(text)
    done = try_serve(evoke, "--config", str(path))
    assert done.returncode == 2 and done.stderr.startswith(f"evoke: {path}{words}"), done.stderr


def test_a_flag_wins_over_the_settings_file(evoke, tmp_path):
    path = tmp_path / "evoke.yaml"
    path.write_text("log-level: loud\n")
    done = try_serve(evoke, "--config", str(path), "--log-level", "quiet")
    assert done.returncode == 2 and "--log-level: one of debug|info|warn|error, not \"quiet\"" in done.stderr


def test_a_newer_format_is_refused(new_evoke):
    evoke = new_evoke().start()
    evoke.stop()
    first = sorted((evoke.data / "journal").iterdir())[0]
    done = subprocess.run([str(evoke.binary), "check", str(evoke.data)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    content = bytearray(first.read_bytes()[:4096])
    marked = [i for i in range(64) if content[i]]
    assert marked, "a header"
    version = struct.unpack_from("<I", content, 8)[0]
    with open(first, "r+b") as file:
        file.seek(8)
        file.write(struct.pack("<I", version + 1))
    done = try_serve(evoke, "--data", str(evoke.data))
    assert done.returncode == 1 and first.name in done.stderr


def kafka_socket(evoke):
    host, port = evoke.kafka.split(":")
    s = socket.create_connection((host, int(port)), timeout=5)
    return s


def test_frames_that_are_no_requests_end_their_connection_and_are_counted(evoke):
    before = metric(evoke, "evoke_kafka_frames_refused_total")
    for frame in (struct.pack(">i", 0x7fffffff) + b"x" * 100, struct.pack(">i", -5), struct.pack(">i", 10) + b"\xff" * 10,
                  struct.pack(">ihhi", 8, 999, 0, 1), b"GET / HTTP/1.1\r\n\r\n"):
        with kafka_socket(evoke) as s:
            s.sendall(frame)
            assert s.recv(100) == b""
    wait_until(lambda: metric(evoke, "evoke_kafka_frames_refused_total") >= before + 4, what="counted")
    assert evoke.healthy()


def test_a_frame_cut_short_holds_nothing_up(evoke):
    held = []
    for _ in range(50):
        s = kafka_socket(evoke)
        s.sendall(struct.pack(">i", 1000) + b"x" * 10)
        held.append(s)
    assert evoke.run("topic", "list", "-b", evoke.kafka).returncode == 0
    for s in held:
        s.close()


def test_a_batch_with_a_wrong_crc_is_refused(evoke):
    from kafka import KafkaProducer
    producer = KafkaProducer(bootstrap_servers=evoke.kafka)
    producer.send("crc", b"value").get(10)
    producer.close()
    header = struct.pack(">hhih", 0, 7, 1, 4) + b"test"
    batch = bytearray(struct.pack(">qiibIhiqqqhii", 0, 49 + 7, 0, 2, 12345, 0, 0, 1, 1, -1, -1, -1, 1) + b"\x0c\x00\x00\x00\x01\x02x\x00"[:7])
    topic = struct.pack(">h", 3) + b"crc"
    body = struct.pack(">hhi", -1, -1, 1000) + struct.pack(">i", 1) + topic + struct.pack(">iii", 1, 0, len(batch)) + bytes(batch)
    with kafka_socket(evoke) as s:
        s.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        size = struct.unpack(">i", s.recv(4))[0]
        answer = b""
        while len(answer) < size:
            answer += s.recv(size - len(answer))
    # correlation id, one topic "crc", one partition, index, error code
    assert struct.unpack_from(">h", answer, 4 + 4 + 2 + 3 + 4 + 4)[0] == 2, "CORRUPT_MESSAGE"


def test_the_api_needs_credentials(evoke):
    import urllib3
    urllib3.disable_warnings()
    answer = requests.get(f"https://{evoke.api}/api/v1/pods", verify=False, timeout=5)
    assert answer.status_code == 401 and answer.json()["kind"] == "Status"
    assert requests.get(f"https://{evoke.api}/healthz", verify=False, timeout=5).text == "ok"


def test_a_slow_http_client_does_not_hold_others_up(evoke):
    host, port = evoke.http.split(":")
    slow = [socket.create_connection((host, int(port)), timeout=5) for _ in range(50)]
    for s in slow:
        s.sendall(b"POST /default/none HTTP/1.1\r\nHost: x\r\nContent-Le")
    assert requests.post(f"http://{evoke.http}/default/none", timeout=5).status_code in (400, 404, 415)
    for s in slow:
        s.close()


SMALL_JOURNAL = ["--journal-file-size", "1Mi", "--journal-size-max", "4Mi"]


def produce(evoke, numbers, timeout_ms=3000):
    """Records of 50 kB that begin with their number, as fast as the client takes them; the numbers that were acknowledged in time."""
    from confluent_kafka import Producer
    delivered = []
    producer = Producer({"bootstrap.servers": evoke.kafka, "message.timeout.ms": timeout_ms, "batch.size": 100000, "enable.idempotence": True})
    for i in numbers:
        while True:
            try:
                producer.produce("full", b"%06d" % i + b"x" * 50000, partition=0,
                                 callback=lambda err, message: delivered.append(int(message.value()[:6])) if not err else None)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(30 + timeout_ms / 1000)
    return delivered


def consume(evoke):
    done = evoke.run("consume", "-b", evoke.kafka, "full")
    assert done.returncode == 0, done.stderr
    return [int(line[:6]) for line in done.stdout.splitlines()]


def size_of(directory):
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def test_data_far_larger_than_the_journal_moves_to_segments_and_is_all_there(new_evoke):
    evoke = new_evoke(SMALL_JOURNAL).start()
    assert produce(evoke, range(600), timeout_ms=60000) == list(range(600)), "seven times the journal's maximum"
    assert consume(evoke) == list(range(600))
    assert size_of(evoke.data / "journal") <= 4 << 20 < size_of(evoke.data / "segments")
    assert metric(evoke, "evoke_log_appends_refused_total") == 0
    evoke.kill()
    evoke.start()
    assert consume(evoke) == list(range(600)), "after a crash"
    assert evoke.stop() == 0
    checked = evoke.run("check", evoke.data)
    assert checked.returncode == 0, checked.stdout


@pytest.fixture
def small_disk(new_evoke, tmp_path):
    """A daemon with 24 MiB for its data, and how to make that more."""
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(mount)], check=True)
    evoke = new_evoke(SMALL_JOURNAL)
    evoke.data, evoke.log_path = mount / "data", tmp_path / "small.log"
    try:
        yield evoke.start(), lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(mount)], check=True)
    finally:
        evoke.stop()
        subprocess.run(["umount", "-l", str(mount)], check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_refuses_producers_retriably_until_there_is_room(small_disk):
    evoke, make_disk = small_disk
    first = produce(evoke, range(600))
    assert 0 < len(first) < 600

    def refused():
        done = evoke.run("publish", "-b", evoke.kafka, "more", "x" * 100000)
        return done if done.returncode else None
    done = wait_until(refused, 60, "the disk is full")
    assert done.returncode == 4 and "KAFKA_STORAGE_ERROR" in done.stderr, done.stderr
    assert evoke.healthy()
    assert set(first) <= set(consume(evoke)), "reads go on"
    assert metric(evoke, "evoke_log_appends_refused_total") > 0
    make_disk("64m")
    wait_until(lambda: evoke.run("publish", "-b", evoke.kafka, "room", "more").returncode == 0, what="there is room again")
    second = produce(evoke, range(1000, 1100), timeout_ms=60000)
    assert second == list(range(1000, 1100))
    values = consume(evoke)
    assert len(set(values)) == len(values), "nothing twice"
    assert set(first + second) <= set(values), "nothing lost"
    assert evoke.output().count("appends are refused") == evoke.output().count("appends are accepted again") < 10, "said once each time"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_loses_nothing_over_a_restart(small_disk):
    evoke, make_disk = small_disk
    delivered = produce(evoke, range(600))
    assert 0 < len(delivered) < 600
    evoke.stop()
    make_disk("64m")
    evoke.start()
    values = consume(evoke)
    assert len(set(values)) == len(values), "nothing twice"
    assert set(delivered) <= set(values), "nothing lost"


# --- The machine is not as containers need it ---

ROOT = os.geteuid() == 0 and shutil.which("runc") and shutil.which("busybox")
CONTAINER = """
apiVersion: v1
kind: Pod
metadata: {name: main}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: busybox%s}]
"""


def waiting_message(evoke, words):
    """What the pod's container waits for, once that has these words."""
    def message():
        text = evoke.kubectl("get", "pod", "main", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}").stdout
        return text if words in text else None
    return wait_until(message, 20, f"a container that says {words!r}")


def runnable(evoke):
    return evoke.kubectl("get", "nodes", "-o", 'jsonpath={.items[0].status.conditions[?(@.type=="ContainersRunnable")].message}').stdout


@pytest.fixture
def overlay(tmp_path):
    """A directory on overlayfs, as /var is in a container without a volume."""
    for name in ("lower", "upper", "work", "mount"):
        (tmp_path / name).mkdir()
    options = ",".join(f"{name}dir={tmp_path / name}" for name in ("lower", "upper", "work"))
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(tmp_path / "mount")], check=True)
    yield tmp_path / "mount"
    subprocess.run(["umount", "-l", str(tmp_path / "mount")], check=False)


@pytest.mark.skipif(not ROOT, reason="containers need root, runc and busybox")
def test_a_data_directory_on_overlayfs_is_named_as_the_reason_with_what_helps(new_evoke, overlay, tmp_path):
    evoke = new_evoke()
    evoke.data, evoke.log_path = overlay / "data", tmp_path / "overlay.log"
    evoke.start()
    words = f"{evoke.data} is on overlayfs, which cannot hold what a container writes: put it on another file system"
    done = evoke.run("image", "import", "--data", evoke.data, busybox_archive(tmp_path))
    assert done.returncode == 0, done.stderr
    evoke.kubectl("apply", "-f", "-", stdin=CONTAINER % ", command: [sleep, '60']")
    message = waiting_message(evoke, "mount the image of container main: Invalid argument")
    assert words in message and "--data" in message
    assert words in evoke.kubectl("get", "events", "--field-selector", "involvedObject.name=main,reason=Failed").stdout
    assert words in runnable(evoke) and words in evoke.output()
    remove_pods(evoke)
    evoke.stop()


@pytest.mark.skipif(not ROOT, reason="hiding runc needs root")
def test_without_runc_a_pod_that_would_be_a_container_says_so(new_evoke):
    evoke = new_evoke()
    words = "runc is not installed: apt-get install runc"
    plain = evoke.command
    hide = f'mount --bind /dev/null {shutil.which("runc")} && exec "$@"'
    evoke.command = lambda: ["unshare", "-m", "sh", "-c", hide, "sh", *plain()]
    evoke.start()
    evoke.kubectl("apply", "-f", "-", stdin=CONTAINER % "")
    message = waiting_message(evoke, "container main has no command")
    assert f"this pod runs as a process, not as a container: {words}" in message
    assert words in runnable(evoke) and words in evoke.output()


def test_a_monitor_that_is_missing_is_named_with_where_it_was_looked_for(evoke, tmp_path):
    shutil.copy(evoke.binary, tmp_path / "evoke")
    doors = [word for flag in ("kafka", "api", "http", "admin") for word in (f"--listen-{flag}", "127.0.0.1:0")]
    done = subprocess.run([str(tmp_path / "evoke"), "serve", "--data", str(tmp_path / "data"), *doors], capture_output=True, text=True,
                          timeout=20)
    assert done.returncode != 0
    assert f"{tmp_path}/evoke-monitor" in done.stderr and f"{tmp_path}/../libexec/evoke/evoke-monitor" in done.stderr, done.stderr
