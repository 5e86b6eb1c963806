# SPDX-License-Identifier: Apache-2.0
"""Pods through kubectl and the Python client: run, logs, wait, delete. They are process pods: no image is needed."""
import json
import threading

import pytest
from kubernetes import client, config, watch

POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {of: test}}
spec:
  runtimeClassName: process
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: none
    command: [sh, -c, "%s"]
"""


@pytest.mark.parametrize("version", ["current", "debian"])
def test_a_pod_runs_and_is_looked_into(evoke, version):
    name = f"run-{version}"
    evoke.kubectl("apply", "-f", "-", stdin=POD % (name, "echo hello; exec sleep 1000"), version=version)
    evoke.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=20s", version=version)
    assert evoke.kubectl("logs", name, version=version).stdout == "hello\n"
    columns = evoke.kubectl("get", "pod", name, "--no-headers", version=version).stdout.split()
    assert columns[:4] == [name, "1/1", "Running", "0"]
    text = evoke.kubectl("describe", "pod", name, version=version).stdout
    assert "Status:" in text and "Events:" in text
    evoke.kubectl("delete", "pod", name, version=version)
    assert evoke.kubectl("get", "pod", name, check=False, version=version).returncode == 1


def test_logs_are_followed_to_the_end(evoke):
    evoke.kubectl("apply", "-f", "-", stdin=POD % ("talk", "for i in 1 2 3; do echo line $i; sleep 0.2; done") + "  restartPolicy: Never\n")
    evoke.kubectl("wait", "pod/talk", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=20s")
    assert evoke.kubectl("logs", "-f", "talk").stdout == "line 1\nline 2\nline 3\n"
    assert evoke.kubectl("logs", "--tail=1", "talk").stdout == "line 3\n"
    stamped = evoke.kubectl("logs", "--timestamps", "--tail=1", "talk").stdout
    assert stamped.endswith("Z line 3\n") and stamped[4] == "-"
    wrong = evoke.kubectl("logs", "talk", "-c", "other", check=False)
    assert wrong.returncode == 1 and "other" in wrong.stderr
    evoke.kubectl("delete", "pod", "talk")


@pytest.fixture
def core(evoke):
    config.load_kube_config(str(evoke.kubeconfig))
    return client.CoreV1Api()


def pod_of(name):
    return {"metadata": {"name": name, "labels": {"of": "python"}},
            "spec": {"runtimeClassName": "process", "terminationGracePeriodSeconds": 1,
                     "containers": [{"name": "main", "image": "none", "command": ["sleep", "1000"]}]}}


def test_python_creates_and_watches_pods(core):
    listed = core.list_namespaced_pod("default", label_selector="of=python")
    assert listed.items == []
    core.create_namespaced_pod("default", pod_of("snake"))
    seen, running = [], threading.Event()
    for event in watch.Watch().stream(core.list_namespaced_pod, "default", label_selector="of=python",
                                      resource_version=listed.metadata.resource_version, timeout_seconds=20):
        seen.append(event["type"])
        pod = event["object"]
        if pod.status.phase == "Running" and not running.is_set():
            running.set()
            core.delete_namespaced_pod("snake", "default")
        if event["type"] == "DELETED":
            break
    assert seen[0] == "ADDED" and seen[-1] == "DELETED" and running.is_set()
    with pytest.raises(client.ApiException) as missing:
        core.read_namespaced_pod("snake", "default")
    assert missing.value.status == 404 and json.loads(missing.value.body)["reason"] == "NotFound"


def test_python_patches_and_is_refused_politely(core):
    core.create_namespaced_config_map("default", {"metadata": {"name": "py"}, "data": {"a": "1"}})
    patched = core.patch_namespaced_config_map("py", "default", {"data": {"b": "2"}})
    assert patched.data == {"a": "1", "b": "2"}
    with pytest.raises(client.ApiException) as taken:
        core.create_namespaced_config_map("default", {"metadata": {"name": "py"}})
    assert taken.value.status == 409
    with pytest.raises(client.ApiException) as invalid:
        core.create_namespaced_config_map("default", {"metadata": {"name": "Not Valid"}})
    assert invalid.value.status == 422
    assert json.loads(invalid.value.body)["details"]["causes"][0]["field"] == "metadata.name"
    core.delete_namespaced_config_map("py", "default")
