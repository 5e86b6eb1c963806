# SPDX-License-Identifier: Apache-2.0
"""Deployments through kubectl: rollout status, history, undo, restart, pause; scale; delete with its three policies."""
import json

import pytest

import manifests
from conftest import wait_until

VERSIONS = ["current", "debian"]


def deployment(name, version, replicas=2):
    command = ["sh", "-c", f"echo {version}; exec sleep 1000"]
    labels = {"app": name}
    return manifests.text({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
            "runtimeClassName": "process", "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": version, "command": command}]}}}})


def pods(evoke, name):
    done = evoke.kubectl("get", "pods", "-l", f"app={name}", "-o", "json")
    return [pod for pod in json.loads(done.stdout)["items"] if "deletionTimestamp" not in pod["metadata"]]


def images(evoke, name):
    return {pod["spec"]["containers"][0]["image"] for pod in pods(evoke, name)}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_rollout_is_followed_undone_and_restarted(evoke, version):
    name = f"roll-{version}"
    kubectl = lambda *arguments, **options: evoke.kubectl(*arguments, version=version, **options)
    kubectl("apply", "-f", "-", stdin=deployment(name, "one"))
    assert "successfully rolled out" in kubectl("rollout", "status", f"deployment/{name}", "--timeout=30s").stdout
    kubectl("apply", "-f", "-", stdin=deployment(name, "two"))
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=30s")
    wait_until(lambda: images(evoke, name) == {"two"}, what="the new template alone")
    history = kubectl("rollout", "history", f"deployment/{name}").stdout
    assert [line.split()[0] for line in history.splitlines() if line[:1].isdigit()] == ["1", "2"]
    kubectl("rollout", "undo", f"deployment/{name}")
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=30s")
    wait_until(lambda: images(evoke, name) == {"one"}, what="the old template alone")
    before = {pod["metadata"]["name"] for pod in pods(evoke, name)}
    kubectl("rollout", "restart", f"deployment/{name}")
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=30s")
    wait_until(lambda: len(pods(evoke, name)) == 2 and not before & {pod["metadata"]["name"] for pod in pods(evoke, name)},
               what="other pods")
    kubectl("scale", f"deployment/{name}", "--replicas=3")
    kubectl("wait", f"deployment/{name}", "--for=condition=Available", "--timeout=30s")
    wait_until(lambda: len(pods(evoke, name)) == 3, what="three pods")
    assert "ScalingReplicaSet" in kubectl("describe", "deployment", name).stdout
    kubectl("delete", "deployment", name)
    wait_until(lambda: pods(evoke, name) == [], what="no pods")


def test_a_paused_deployment_waits(evoke):
    evoke.kubectl("apply", "-f", "-", stdin=deployment("paused", "one", 1))
    evoke.kubectl("rollout", "status", "deployment/paused", "--timeout=30s")
    evoke.kubectl("rollout", "pause", "deployment/paused")
    evoke.kubectl("set", "image", "deployment/paused", "main=two")
    evoke.kubectl("scale", "deployment/paused", "--replicas=2")
    wait_until(lambda: len(pods(evoke, "paused")) == 2, what="two pods")
    assert images(evoke, "paused") == {"one"}
    evoke.kubectl("rollout", "resume", "deployment/paused")
    wait_until(lambda: images(evoke, "paused") == {"two"}, what="the new image")


def test_orphans_are_left_and_foreground_waits(evoke):
    evoke.kubectl("apply", "-f", "-", stdin=deployment("orphan", "one", 1))
    evoke.kubectl("rollout", "status", "deployment/orphan", "--timeout=30s")
    pod = pods(evoke, "orphan")[0]["metadata"]["name"]
    evoke.kubectl("delete", "deployment", "orphan", "--cascade=orphan")
    assert [p["metadata"]["name"] for p in pods(evoke, "orphan")] == [pod]
    evoke.kubectl("apply", "-f", "-", stdin=deployment("orphan", "one", 1))
    evoke.kubectl("rollout", "status", "deployment/orphan", "--timeout=30s")
    assert [p["metadata"]["name"] for p in pods(evoke, "orphan")] == [pod]
    evoke.kubectl("delete", "deployment", "orphan", "--cascade=foreground")
    assert evoke.kubectl("get", "pods", "-l", "app=orphan", "-o", "name").stdout == ""


def test_a_namespace_takes_everything_with_it(evoke):
    evoke.kubectl("create", "namespace", "short")
    evoke.kubectl("apply", "-n", "short", "-f", "-", stdin=deployment("inside", "one", 1))
    evoke.kubectl("rollout", "status", "-n", "short", "deployment/inside", "--timeout=30s")
    evoke.kubectl("get", "serviceaccount/default", "configmap/kube-root-ca.crt", "-n", "short")
    evoke.kubectl("delete", "namespace", "short", "--timeout=30s")
    assert evoke.kubectl("get", "namespace", "short", check=False).returncode == 1
