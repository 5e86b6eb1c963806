# SPDX-License-Identifier: Apache-2.0
"""Fields of pods that ordinary manifests use, through kubectl: what they do, and that no Warning says they are only stored."""
import json
import os
import shutil
import sys

import pytest

from conftest import wait_until
from images import busybox_archive

needs_containers = pytest.mark.skipif(not (os.geteuid() == 0 and shutil.which("runc") and shutil.which("busybox")),
                                      reason="containers need root, runc and busybox")


def apply(evoke, name, spec, process=True):
    """Applies a pod whose spec is JSON; kubectl must have nothing to say of it."""
    if process:
        spec = {"runtimeClassName": "process", **spec}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"terminationGracePeriodSeconds": 1, **spec}}
    done = evoke.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    assert done.stderr == "", done.stderr


def shell(script, **more):
    return {"name": "main", "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script], **more}


def status(evoke, name):
    return json.loads(evoke.kubectl("get", "pod", name, "-o", "json").stdout)["status"]


def terminated(evoke, name, state="state"):
    return wait_until(lambda: status(evoke, name).get("containerStatuses", [{}])[0].get(state, {}).get("terminated"), what=f"{name} has ended")


def events(evoke, name):
    listed = json.loads(evoke.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}", "-o", "json").stdout)
    return {(event["reason"], event["message"]): event.get("count", 1) for event in listed["items"]}


@pytest.fixture(scope="module")
def busybox(evoke, tmp_path_factory):
    done = evoke.run("image", "import", "--data", evoke.data, busybox_archive(tmp_path_factory.mktemp("image")))
    assert done.returncode == 0, done.stderr


def test_last_words_of_a_process_are_in_describe(evoke):
    apply(evoke, "words", {"restartPolicy": "Never", "containers": [shell("printf 'disk is full' > $TERMINATION_MESSAGE_PATH; exit 3",
                                                                          terminationMessagePolicy="FallbackToLogsOnError")]})
    assert terminated(evoke, "words")["message"] == "disk is full"
    lines = [line.split() for line in evoke.kubectl("describe", "pod", "words").stdout.splitlines()]
    assert ["Message:", "disk", "is", "full"] in lines and ["Exit", "Code:", "3"] in lines


@needs_containers
def test_last_words_of_a_container_are_in_its_file_or_its_output(evoke, busybox):
    apply(evoke, "file", {"restartPolicy": "Never", "containers": [shell("printf bye > /tmp/words", terminationMessagePath="/tmp/words")]}, False)
    apply(evoke, "log", {"restartPolicy": "Never", "containers": [shell("echo to the log; exit 1", terminationMessagePolicy="FallbackToLogsOnError")]}, False)
    assert terminated(evoke, "file")["message"] == "bye"
    assert terminated(evoke, "log")["message"] == "to the log\n"


@needs_containers
def test_each_restart_of_a_container_is_told(evoke, busybox):
    apply(evoke, "crash", {"containers": [shell("sleep 1.2; exit 1")]}, False)  # repeats within a second are written with the next one
    wait_until(lambda: status(evoke, "crash").get("containerStatuses", [{}])[0].get("restartCount") == 1, what="it was started again")
    last = terminated(evoke, "crash", "lastState")
    assert last["containerID"].startswith("runc://")
    told = wait_until(lambda: (found := events(evoke, "crash")).get(("Started", "Started container main")) == 2 and found, what="both starts are told")
    assert told["Pulled", 'Container image "busybox" already present on machine'] == 2
    assert told["Created", "Created container: main"] == 2


def test_a_deadline_ends_a_pod(evoke):
    apply(evoke, "late", {"activeDeadlineSeconds": 1, "containers": [shell("exec sleep 1000")]})
    evoke.kubectl("wait", "pod/late", "--for=jsonpath={.status.phase}=Failed", "--timeout=60s")
    assert status(evoke, "late")["reason"] == "DeadlineExceeded"
    assert "DeadlineExceeded" in evoke.kubectl("describe", "pod", "late").stdout


def test_a_host_path_is_made_or_missed_as_its_type_says(evoke, tmp_path):
    def mounting(path, kind):
        return {"restartPolicy": "Never", "volumes": [{"name": "host", "hostPath": {"path": str(path), "type": kind}}],
                "containers": [shell("echo here > $VOLUME_HOST/file", volumeMounts=[{"name": "host", "mountPath": "/host"}])]}
    apply(evoke, "made", mounting(tmp_path / "a" / "b", "DirectoryOrCreate"))
    evoke.kubectl("wait", "pod/made", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert (tmp_path / "a" / "b" / "file").read_text() == "here\n"
    apply(evoke, "missed", mounting(tmp_path / "c", "Directory"))
    words = f'MountVolume.SetUp failed for volume "host" : hostPath type check failed: {tmp_path}/c is not a directory'
    wait_until(lambda: any(words in message for _, message in events(evoke, "missed")), what="it says what is missing")


@needs_containers
def test_a_charts_security_context_is_acted_on(evoke, busybox):
    """As charts under the restricted Pod Security Standard have it."""
    evoke.kubectl("create", "secret", "generic", "key", "--from-literal=key=secret")
    apply(evoke, "chart", {
        "restartPolicy": "Never",
        "securityContext": {"fsGroup": 1001, "supplementalGroups": [2002], "runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000,
                            "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "key", "secret": {"secretName": "key", "defaultMode": 0o400}}, {"name": "tmp", "emptyDir": {}}],
        "containers": [shell("cat /key/key; echo; busybox id -G; echo x > /tmp/x && busybox stat -c %g /tmp/x; grep Seccomp: /proc/self/status; "
                             "busybox touch /bin/x 2>/dev/null || echo read-only",
                             securityContext={"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
                             volumeMounts=[{"name": "key", "mountPath": "/key", "readOnly": True}, {"name": "tmp", "mountPath": "/tmp"}])]}, False)
    evoke.kubectl("wait", "pod/chart", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert evoke.kubectl("logs", "chart").stdout.split() == ["secret", "1000", "1001", "2002", "1001", "Seccomp:", "2", "read-only"]


@needs_containers
def test_a_container_with_host_pid_and_ipc_sees_the_machines(evoke, busybox):
    script = f"cat /proc/{evoke.process.pid}/comm; busybox readlink /proc/self/ns/ipc"
    apply(evoke, "host", {"hostPID": True, "hostIPC": True, "restartPolicy": "Never", "os": {"name": "linux"}, "hostUsers": True,
                          "containers": [shell(script, securityContext={"procMount": "Default"})]}, False)
    evoke.kubectl("wait", "pod/host", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert evoke.kubectl("logs", "host").stdout.split() == ["evoke", os.readlink("/proc/self/ns/ipc")]


def test_a_process_pod_says_what_of_a_security_context_it_has_not(evoke):
    apply(evoke, "bare", {"containers": [shell("exec sleep 1000", securityContext={"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})]})
    words = ("SecurityContextReduced", "readOnlyRootFilesystem, capabilities: a process of this machine is started without")
    wait_until(lambda: words in events(evoke, "bare"), what="it says so")


def test_a_pod_that_wants_to_be_alone_waits_for_the_other_to_go(evoke):
    def term(app):
        return {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("db")],
                                    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term("web")}]}}
    spread = [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "db"}}}]
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "db"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "db"}}, "template": {"metadata": {"labels": {"app": "db"}}, "spec": {
            "runtimeClassName": "process", "affinity": affinity, "topologySpreadConstraints": spread, "terminationGracePeriodSeconds": 1,
            "containers": [shell("exec sleep 1000")]}}}}
    assert evoke.kubectl("apply", "-f", "-", stdin=json.dumps(deployment)).stderr == ""

    def pods():
        listed = json.loads(evoke.kubectl("get", "pods", "-l", "app=db", "-o", "json").stdout)["items"]
        return {pod["metadata"]["name"]: pod["status"] for pod in listed if "deletionTimestamp" not in pod["metadata"]}

    def one_of_each():
        phases = sorted(status["phase"] for status in pods().values())
        return phases == ["Pending", "Running"] and pods()
    before = wait_until(one_of_each, what="one of two runs")
    waiting, running = sorted(before, key=lambda name: before[name]["phase"])
    why = [condition["message"] for condition in before[waiting]["conditions"] if condition["type"] == "PodScheduled"]
    assert why == ["0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules"]
    evoke.kubectl("delete", "pod", running)
    after = wait_until(lambda: (found := one_of_each()) and running not in found and found, what="another one runs")
    assert len(after) == 2  # the one that waited, or the one that was made in place of the first
    evoke.kubectl("delete", "deployment", "db")


GRPC_SERVER = """
import os, sys, time
from concurrent import futures
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
server = grpc.server(futures.ThreadPoolExecutor(2))
servicer = health.HealthServicer()
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
assert server.add_insecure_port(os.environ["POD_IP"] + ":" + os.environ["PORT"])
servicer.set("", health_pb2.HealthCheckResponse.SERVING)
servicer.set("shop", health_pb2.HealthCheckResponse.NOT_SERVING)
server.start()
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
servicer.set("shop", health_pb2.HealthCheckResponse.SERVING)
time.sleep(1000)
"""


def test_a_grpc_probe_asks_a_real_server_for_its_health(evoke, tmp_path):
    pytest.importorskip("grpc_health.v1.health")

    def serving(service):
        return {"containers": [{"name": "main", "image": "none", "command": [sys.executable, "-c", GRPC_SERVER, str(tmp_path / "go")],
                                "ports": [{"containerPort": 8080}],
                                "startupProbe": {"grpc": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 60},
                                "readinessProbe": {"grpc": {"port": 8080, "service": service}, "periodSeconds": 1}}]}
    apply(evoke, "shop", serving("shop"))
    apply(evoke, "unknown", serving("nothing"))
    words = 'Readiness probe failed: service unhealthy (responded with "NOT_SERVING")'
    wait_until(lambda: ("Unhealthy", words) in events(evoke, "shop"), what="it is said to be unhealthy")
    assert not status(evoke, "shop")["containerStatuses"][0]["ready"]
    (tmp_path / "go").touch()
    evoke.kubectl("wait", "pod/shop", "--for=condition=Ready", "--timeout=60s")
    words = 'Readiness probe failed: service unhealthy (responded with "UNKNOWN")'
    wait_until(lambda: ("Unhealthy", words) in events(evoke, "unknown"), what="an unknown service is unhealthy")
