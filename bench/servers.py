# SPDX-License-Identifier: Apache-2.0
"""evoke and the logs that people use today, as processes under one handle: start, kill -9, stop, and what they cost.

Each is started as its own documentation says for one node: Kafka with the heap and settings of its own scripts, NATS with
JetStream's defaults. What differs in what an acknowledgement means is said in the table, not evened out here.
"""
import base64
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))
from conftest import free_port  # noqa: E402

KAFKA_HEAP = ["-Xmx1G", "-Xms1G", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"]
KAFKA_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={data}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


def api_versions_answered(port):
    """Whether a Kafka broker answers ApiVersions 0."""
    try:
        with socket.create_connection(("127.0.0.1", port), 0.5) as s:
            s.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
            return len(s.recv(8)) == 8
    except OSError:
        return False


class Server:
    """A process with a data directory. Subclasses say how it is started and when it answers."""

    name = ""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory) / self.name
        self.data = self.directory / "data"
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = None
        self.directory.mkdir(parents=True)

    def command(self):
        raise NotImplementedError

    def answers(self):
        return api_versions_answered(self.port)

    def launch(self):
        self.process = subprocess.Popen(self.command(), stdout=open(self.directory / "log", "ab"), stderr=subprocess.STDOUT,
                                        env={**os.environ, "LOG_DIR": str(self.directory)})

    def start(self):
        """Starts it and returns after how many seconds it answered."""
        began = time.monotonic()
        self.launch()
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() - began > 120:
                raise RuntimeError(f"{self.name} did not start: " + (self.directory / "log").read_text()[-2000:])
            time.sleep(0.0005)
        return time.monotonic() - began

    def end(self, how=signal.SIGTERM):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(120)
            self.process = None

    def remove(self):
        self.end()
        shutil.rmtree(self.directory, ignore_errors=True)

    def cpu_s(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self, field="VmRSS"):
        """VmRSS, VmHWM (the most so far), RssAnon (without files that are mapped)."""
        return int(re.search(rf"^{field}:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read(), re.M).group(1)) / 1024

    def wake_ups(self):
        """Of all threads so far."""
        return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M).group(1))
                   for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir())


class EvokeLog(Server):
    name = "evoke"

    def __init__(self, directory, build):
        super().__init__(directory)
        self.binary = build / "evoke"
        self.admin = f"127.0.0.1:{free_port()}"

    def command(self):
        return [str(self.binary), "serve", "--data", str(self.data), "--listen-kafka", self.address, "--listen-api", "off",
                "--listen-http", "off", "--listen-admin", self.admin]

    def syncs(self):
        """How many there were so far, and their seconds."""
        metrics = urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10).read().decode()
        return [float(re.search(rf"^evoke_log_sync_seconds_{what} (\S+)", metrics, re.M).group(1)) for what in ("count", "sum")]


class Kafka(Server):
    name = "kafka"

    def __init__(self, directory, jars):
        super().__init__(directory)
        self.jars = jars
        self.properties = self.directory / "server.properties"
        self.properties.write_text(KAFKA_PROPERTIES.format(port=self.port, controller=free_port(), data=self.data))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().replace("-", "A", 1)
        subprocess.run([*self.java(), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self.properties), "--standalone"],
                       check=True, capture_output=True)

    def java(self):
        return ["java", "-cp", f"{self.jars}/*"]

    def command(self):
        return ["java", *KAFKA_HEAP, "-cp", f"{self.jars}/*", "kafka.Kafka", str(self.properties)]


class Nats(Server):
    name = "nats"

    def __init__(self, directory, binary):
        super().__init__(directory)
        self.binary = binary

    def command(self):
        return [str(self.binary), "-js", "-sd", str(self.data), "-p", str(self.port)]

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as s:
                return s.recv(4) == b"INFO"
        except OSError:
            return False
