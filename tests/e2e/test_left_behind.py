# SPDX-License-Identifier: Apache-2.0
"""After delete nothing is left of a pod: no process, mount, network namespace, interface, control group; also when evoke
or the pod's monitor was killed before, and when the pod was deleted while evoke was away. Processes as anyone,
containers where evoke is root with runc."""
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import wait_until
from images import busybox_archive

CONTAINERS = os.geteuid() == 0 and shutil.which("runc") and shutil.which("busybox")

# Each leaves a child behind that is not its session's: such a one is only found by its group, or by the monitor.
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  %s
  terminationGracePeriodSeconds: 1
  volumes: [{name: memory, emptyDir: {medium: Memory}}]
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "(sleep 5000 &) ; sleep 5000 & wait"]
    volumeMounts: [{name: memory, mountPath: /memory}]
"""


class Machine:
    """What a pod with this uid, of an evoke with this data directory, has of the machine."""

    def __init__(self, evoke, uid):
        self.directory, self.uid = evoke.data / "pods" / uid, uid
        self.interface = pathlib.Path(f"/sys/class/net/ev{uid[:8]}{uid[9:13]}")
        self.monitor = self.with_cwd(self.directory)[0]
        self.processes = self.descendants(self.monitor)
        self.network = self.namespace(self.monitor, "net")

    @staticmethod
    def with_cwd(directory):
        def cwd(process):
            try:
                return os.readlink(process / "cwd")
            except OSError:
                return ""
        return [int(process.name) for process in pathlib.Path("/proc").glob("[0-9]*") if cwd(process) == str(directory)]

    @staticmethod
    def namespace(pid, kind):
        try:
            return os.readlink(f"/proc/{pid}/ns/{kind}")
        except OSError:
            return None

    @classmethod
    def descendants(cls, pid):
        try:
            children = [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
                        for child in (task / "children").read_text().split()]
        except OSError:
            return []
        return [(pid, cls.started(pid))] + [one for child in children for one in cls.descendants(child)]

    @staticmethod
    def started(pid):
        """The start time tells a process from a later one of its number; a zombie counts as ended."""
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return None
        return None if fields[0] == "Z" else fields[19]

    def groups(self):
        found = []
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            if " - cgroup" in line:
                found += subprocess.run(["find", line.split()[4], "-name", self.uid], capture_output=True, text=True).stdout.split()
        return found

    def mounts(self):
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if self.uid in (process / "mountinfo").read_text():
                    found.append(process.name)
            except OSError:
                pass
        return found

    def left(self):
        """Only what is still there."""
        left = {"processes": [pid for pid, started in self.processes if self.started(pid) == started],
                "groups": self.groups(), "mounts": self.mounts(),
                "interface": [str(self.interface)] if self.interface.exists() else [],
                "directory": [str(self.directory)] if self.directory.exists() else []}
        if self.network and self.network != self.namespace("self", "net"):
            left["networks"] = [process.name for process in pathlib.Path("/proc").glob("[0-9]*")
                                if self.namespace(process.name, "net") == self.network]
        return {what: names for what, names in left.items() if names}


@pytest.fixture(scope="module")
def evoke(new_evoke, tmp_path_factory):
    evoke = new_evoke().start()
    if CONTAINERS:
        done = evoke.run("image", "import", "--data", evoke.data, busybox_archive(tmp_path_factory.mktemp("image")))
        assert done.returncode == 0, done.stderr
    return evoke


def run_pod(evoke, name, kind):
    runtime = "runtimeClassName: process" if kind == "process" else ""
    evoke.kubectl("apply", "-f", "-", stdin=POD % (name, runtime))
    evoke.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=30s")
    machine = Machine(evoke, evoke.kubectl("get", "pod", name, "-o", "jsonpath={.metadata.uid}").stdout)
    wait_until(lambda: len(Machine.descendants(machine.monitor)) >= 4, what="monitor, shell and two children")
    machine.processes = Machine.descendants(machine.monitor)
    return machine


def check_nothing_left(machine):
    try:
        wait_until(lambda: not machine.left(), 30)
    except AssertionError:
        assert machine.left() == {}


@pytest.fixture(params=["process", pytest.param("container", marks=pytest.mark.skipif(not CONTAINERS, reason="needs root, runc and busybox"))])
def kind(request):
    return request.param


def test_nothing_is_left_after_delete(evoke, kind):
    machine = run_pod(evoke, f"plain-{kind}", kind)
    assert machine.left().keys() >= {"processes", "directory"}  # so that it would be seen
    if os.geteuid() == 0:
        assert machine.groups()
    if kind == "container":
        assert machine.left().keys() >= {"mounts", "networks", "interface"}
    evoke.kubectl("delete", "pod", f"plain-{kind}")
    check_nothing_left(machine)


def test_nothing_is_left_after_delete_behind_a_kill_of_evoke(evoke, kind):
    machine = run_pod(evoke, f"killed-{kind}", kind)
    evoke.kill()
    assert machine.left()["processes"]
    evoke.start()
    evoke.kubectl("wait", f"pod/killed-{kind}", "--for=condition=Ready", "--timeout=30s")
    evoke.kubectl("delete", "pod", f"killed-{kind}")
    check_nothing_left(machine)


def test_nothing_is_left_when_evoke_is_killed_amid_the_deletion(evoke, kind):
    machine = run_pod(evoke, f"amid-{kind}", kind)
    evoke.kubectl("delete", "pod", f"amid-{kind}", "--wait=false")
    evoke.kill()
    evoke.start()
    evoke.kubectl("wait", f"pod/amid-{kind}", "--for=delete", "--timeout=30s")
    check_nothing_left(machine)


def test_nothing_is_left_after_delete_behind_a_kill_of_the_monitor(evoke, kind):
    machine = run_pod(evoke, f"monitor-{kind}", kind)
    os.kill(machine.monitor, 9)
    wait_until(lambda: not machine.left().get("processes"), 30, "what the monitor has left is ended")
    evoke.kubectl("wait", f"pod/monitor-{kind}", "--for=condition=Ready", "--timeout=30s")
    evoke.kubectl("delete", "pod", f"monitor-{kind}")
    check_nothing_left(machine)


def test_nothing_is_left_when_both_were_killed(evoke, kind):
    machine = run_pod(evoke, f"both-{kind}", kind)
    evoke.kill()
    os.kill(machine.monitor, 9)
    evoke.start()
    wait_until(lambda: not machine.left().get("processes"), 30, "what the monitor has left is ended")
    evoke.kubectl("delete", "pod", f"both-{kind}")
    check_nothing_left(machine)


@pytest.fixture
def own_groups():
    """A control group of the test's own in every hierarchy, v1 or v2."""
    lines = [line.split(" - ") for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    mounts = [pathlib.Path(left.split()[4]) for left, right in lines if right.startswith("cgroup")]
    groups = [mount / f"evoke-test-{os.getpid()}" for mount in mounts]
    for group in groups:
        group.mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):  # in v1 no process enters before they are set
            if (group / "cgroup.clone_children").exists() and (group / name).exists():
                (group / name).write_text((group.parent / name).read_text())
    yield groups
    for group in groups:
        group.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="making control groups needs root")
def test_nothing_is_left_in_any_hierarchy_by_an_evoke_in_another_group(new_evoke, own_groups, tmp_path, kind):
    evoke = new_evoke()
    plain = evoke.command
    enter = "".join(f"echo $$ > {group}/cgroup.procs && " for group in own_groups)
    evoke.command = lambda: ["sh", "-c", enter + 'exec "$@"', "sh", *plain()]
    evoke.start()
    if kind == "container":
        assert evoke.run("image", "import", "--data", evoke.data, busybox_archive(tmp_path)).returncode == 0
    assert not [child for group in own_groups for child in group.glob("*/")], "no pod, no group"
    machine = run_pod(evoke, "other", kind)
    assert machine.groups()
    evoke.kill()
    os.kill(machine.monitor, 9)
    evoke.command = plain
    evoke.start()
    evoke.kubectl("wait", "pod/other", "--for=condition=Ready", "--timeout=30s")
    evoke.kubectl("delete", "pod", "other")
    check_nothing_left(machine)
    assert not [child for group in own_groups for child in group.glob("*/")]
