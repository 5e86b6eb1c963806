# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests: a real evoke on ports of its own, and the real clients around it.

`evoke` gives a running daemon with a fresh data directory (one per test module); `new_evoke` makes further ones that
the test starts, kills and restarts itself. Every process that a test leaves behind is an error.
"""
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest


def pytest_addoption(parser):
    parser.addoption("--evoke", default="build", help="the build folder")


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter:
        stats = reporter.stats
        failed = len(stats.get("failed", [])) + len(stats.get("error", []))
        session.config._evoke_counts = (len(stats.get("passed", [])), failed, len(stats.get("skipped", [])))


def pytest_unconfigure(config):
    counts = getattr(config, "_evoke_counts", None)
    if counts:
        passed, failed, skipped = counts
        print(f"\n{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))


@pytest.fixture(scope="session")
def build(request):
    return pathlib.Path(request.config.getoption("--evoke")).resolve()


@pytest.fixture(scope="session")
def clients(build):
    """The folder with the clients that tests/e2e/setup.sh brought."""
    return build / "e2e"


@pytest.fixture
def client(request, clients):
    """The name of a Kafka client, of a test that is parametrized with them; skipped if setup.sh left it out."""
    import kafka_clients
    if kafka_clients.missing(clients, request.param):
        pytest.skip(f"{request.param} was left out: see setup.sh")
    return request.param


def wait_until(condition, timeout=60.0, what="condition"):
    """Polls until the condition gives something true, and returns that. The time is for busy machines: it says that something hangs."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.02)


PORTS_FROM, PORTS_GIVEN = 10_000, set()


def free_port():
    """Below the range that the kernel takes the ports of outgoing connections from, and of a part of it that is this worker's
    alone: nobody else gets it meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        end = int(file.read().split()[0])
    worker, workers = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    while True:
        port = random.randrange(PORTS_FROM + worker, end, workers)
        if port in PORTS_GIVEN:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        PORTS_GIVEN.add(port)
        return port


class Evoke:
    """A daemon of the real binary: start, stop, kill, and its addresses."""

    def __init__(self, build, directory, extra=()):
        self.binary = build / "evoke"
        self.build = build
        self.data = pathlib.Path(directory)
        self.extra = list(extra)
        self.kafka = f"127.0.0.1:{free_port()}"
        self.api = f"127.0.0.1:{free_port()}"
        self.http = f"127.0.0.1:{free_port()}"
        self.admin = f"127.0.0.1:{free_port()}"
        self.services = f"127.{random.randrange(97, 127)}.{random.randrange(256)}.0/24"  # daemons side by side share no address
        self.process = None
        self.log_path = self.data.with_name(self.data.name + ".log")

    def command(self):
        return [str(self.binary), "serve", "--data", str(self.data), "--listen-kafka", self.kafka,
                "--listen-api", self.api, "--service-cidr", self.services, "--listen-http", self.http, "--listen-admin", self.admin, *self.extra]

    def start(self, timeout=60.0):
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log)
        wait_until(self.healthy, timeout, "evoke is healthy; its output:\n" + self.output()[-4000:])
        return self

    def healthy(self):
        import requests
        if self.process.poll() is not None:
            raise AssertionError(f"evoke ended with {self.process.returncode}:\n{self.output()[-4000:]}")
        try:
            return requests.get(f"http://{self.admin}/healthz", timeout=1).status_code == 200
        except requests.RequestException:
            return False

    def output(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self, timeout=60.0):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout)
        code = self.process.returncode if self.process else 0
        self.process = None
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    @property
    def kubeconfig(self):
        return self.data / "kubeconfig"

    def run(self, *arguments, **options):
        """An evoke command against this daemon."""
        options.setdefault("timeout", 60)
        return subprocess.run([str(self.binary), *map(str, arguments)], capture_output=True, text=True, **options)

    def kubectl(self, *arguments, version="current", check=True, stdin=None, timeout=60):
        path = {"current": "kubectl-current/kubectl", "debian": "kubectl-debian/usr/bin/kubectl"}[version]
        home = self.build / "e2e" / "home" / version
        home.mkdir(parents=True, exist_ok=True)
        # A session of its own: edit changes the terminal's modes, and whoever does that in the background is stopped
        done = subprocess.run([str(self.build / "e2e" / path), "--kubeconfig", str(self.kubeconfig), *map(str, arguments)],
                              capture_output=True, text=True, input=stdin, timeout=timeout, start_new_session=True,
                              env={**os.environ, "HOME": str(home)})
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}\n"
                                 f"--- evoke:\n{self.output()[-3000:]}")
        return done


def monitors(evoke):
    """The processes whose working directory is a pod's."""
    def cwd(process):
        try:
            return os.readlink(process / "cwd")
        except OSError:
            return ""
    return [int(process.name) for process in pathlib.Path("/proc").glob("[0-9]*") if cwd(process).startswith(f"{evoke.data}/pods/")]


def remove_pods(evoke):
    """Deletes what runs, so that no pod outlives its test. An evoke that was killed is started for that."""
    if not evoke.process and monitors(evoke):
        try:
            evoke.start()
        except AssertionError:
            for pid in monitors(evoke):
                os.kill(pid, signal.SIGKILL)
    if evoke.process and evoke.process.poll() is None and evoke.kubeconfig.exists():
        for kind in ("scaledobjects", "triggers", "deployments", "replicasets", "pods"):
            evoke.kubectl("delete", kind, "--all", "--all-namespaces", "--wait=true", "--timeout=20s", "--grace-period=1", check=False)


@pytest.fixture(scope="module")
def new_evoke(build):
    """A maker of daemons, for tests that start and kill them; all are stopped and removed at the end."""
    made = []

    def make(extra=()):
        directory = tempfile.mkdtemp(prefix="evoke-e2e-")
        evoke = Evoke(build, pathlib.Path(directory) / "data", extra)
        made.append((evoke, directory))
        return evoke

    yield make
    for evoke, directory in made:
        remove_pods(evoke)
        evoke.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def evoke(new_evoke):
    return new_evoke().start()
