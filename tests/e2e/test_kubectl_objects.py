# SPDX-License-Identifier: Apache-2.0
"""Objects through kubectl, the oldest and the newest that we promise: its verbs with their default flags."""
import json
import stat
import subprocess

import pytest
import requests

from conftest import wait_until

VERSIONS = ["current", "debian"]

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {colour: blue}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:1
        ports: [{containerPort: 8080}]
        env: [{name: A, value: "1"}]
"""


@pytest.fixture(params=VERSIONS)
def kubectl(request, evoke):
    """kubectl of each version, in a namespace of its own."""
    namespace = f"objects-{request.param}-{abs(hash(request.node.name)) % 100000}"
    evoke.kubectl("create", "namespace", namespace, version=request.param)

    def run(*arguments, **options):
        return evoke.kubectl("-n", namespace, *arguments, version=request.param, **options)

    run.namespace = namespace
    run.version = request.param
    yield run
    evoke.kubectl("delete", "namespace", namespace, "--wait=false", version=request.param)


def get(kubectl, *what):
    return json.loads(kubectl("get", *what, "-o", "json").stdout)


def test_a_manifest_is_applied_again_and_changed(kubectl):
    assert kubectl("apply", "-f", "-", stdin=MANIFEST).stdout.splitlines() == [
        "configmap/settings created", "service/web created", "deployment.apps/web created"]
    assert kubectl("apply", "-f", "-", stdin=MANIFEST).stdout.splitlines() == [
        "configmap/settings unchanged", "service/web unchanged", "deployment.apps/web unchanged"]
    changed = MANIFEST.replace("web:1", "web:2").replace('{name: A, value: "1"}', '{name: B, value: "2"}')
    assert "deployment.apps/web configured" in kubectl("apply", "-f", "-", stdin=changed).stdout
    container = get(kubectl, "deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "web:2"
    assert container["env"] == [{"name": "B", "value": "2"}]  # merged by name; what the manifest no longer has is gone
    assert container["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    kubectl("delete", "-f", "-", stdin=MANIFEST)
    assert "NotFound" in kubectl("get", "deployment", "web", check=False).stderr


def test_get_prints_tables_yaml_json_and_names(kubectl):
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    lines = kubectl("get", "deployments").stdout.splitlines()
    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert lines[1].split()[:2] == ["web", "0/0"]
    wide = kubectl("get", "deployments", "-o", "wide").stdout.splitlines()
    assert wide[0].split()[-3:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide[1].split()[-3:] == ["web", "web:1", "app=web"]
    assert "colour: blue" in kubectl("get", "cm", "settings", "-o", "yaml").stdout
    assert kubectl("get", "svc,deploy", "-o", "name").stdout.splitlines() == ["service/web", "deployment.apps/web"]
    assert kubectl("get", "cm", "-l", "app=web", "-o", "name").stdout.splitlines() == ["configmap/settings"]
    assert kubectl("get", "cm", "-l", "app!=web", "-o", "name").stdout.splitlines() in ([], ["configmap/kube-root-ca.crt"])
    assert kubectl("get", "cm", "--field-selector", "metadata.name=settings", "-o", "name").stdout == "configmap/settings\n"
    assert "deployment.apps/web" in kubectl("get", "all").stdout


def test_describe_tells_of_an_object(kubectl):
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    text = kubectl("describe", "deployment", "web").stdout
    assert "web:1" in text and "RollingUpdate" in text and "25% max unavailable, 25% max surge" in text
    assert "colour:" in kubectl("describe", "configmap", "settings").stdout


def test_create_makes_objects_from_flags(kubectl):
    kubectl("create", "configmap", "c", "--from-literal=a=b")
    kubectl("create", "secret", "generic", "s", "--from-literal=p=q")
    kubectl("create", "serviceaccount", "a")
    kubectl("create", "deployment", "d", "--image=x", "--replicas=0")
    assert get(kubectl, "configmap", "c")["data"] == {"a": "b"}
    assert get(kubectl, "secret", "s")["data"] == {"p": "cQ=="}
    assert get(kubectl, "deployment", "d")["spec"]["replicas"] == 0
    again = kubectl("create", "configmap", "c", check=False)
    assert again.returncode == 1 and 'configmaps "c" already exists' in again.stderr


def test_label_annotate_and_patch_change_an_object(kubectl):
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    kubectl("label", "deployment", "web", "tier=front")
    kubectl("annotate", "deployment", "web", "note=x")
    kubectl("label", "deployment", "web", "app-")
    kubectl("patch", "deployment", "web", "-p",
            '{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:3"}]}}}}')
    kubectl("patch", "deployment", "web", "--type=merge", "-p", '{"metadata":{"labels":{"merged":"yes"}}}')
    kubectl("patch", "deployment", "web", "--type=json", "-p",
            '[{"op":"replace","path":"/spec/minReadySeconds","value":7},{"op":"test","path":"/metadata/name","value":"web"}]',
            check=False)
    kubectl("patch", "deployment", "web", "--type=json", "-p", '[{"op":"add","path":"/spec/minReadySeconds","value":7}]')
    web = get(kubectl, "deployment", "web")
    assert web["metadata"]["labels"] == {"tier": "front", "merged": "yes"}
    assert web["metadata"]["annotations"]["note"] == "x"
    assert web["spec"]["minReadySeconds"] == 7
    container = web["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "web:3" and container["ports"][0]["containerPort"] == 8080
    failed = kubectl("patch", "deployment", "web", "--type=json", "-p",
                     '[{"op":"test","path":"/metadata/name","value":"other"}]', check=False)
    assert failed.returncode == 1 and failed.stderr.startswith("The request is invalid")
    assert "operation 0 of the patch" in failed.stderr or failed.stderr == "The request is invalid\n"  # kubectl 1.20 says no more


def test_edit_goes_through_an_editor(kubectl, monkeypatch):
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    monkeypatch.setenv("KUBE_EDITOR", "sed -i s/blue/green/")
    assert "configmap/settings edited" in kubectl("edit", "configmap", "settings").stdout
    assert get(kubectl, "configmap", "settings")["data"] == {"colour": "green"}


def test_scale_and_set_image_change_a_deployment(kubectl):
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    generation = get(kubectl, "deployment", "web")["metadata"]["generation"]
    assert "scaled" in kubectl("scale", "deployment", "web", "--replicas=2", "--current-replicas=0").stdout
    kubectl("scale", "deployment", "web", "--replicas=0")
    kubectl("set", "image", "deployment/web", "web=web:9")
    web = get(kubectl, "deployment", "web")
    assert web["spec"]["replicas"] == 0
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "web:9"
    assert web["metadata"]["generation"] == generation + 3


def test_replace_of_an_older_state_is_a_conflict(kubectl):
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    old = get(kubectl, "configmap", "settings")
    kubectl("patch", "configmap", "settings", "--type=merge", "-p", '{"data":{"colour":"red"}}')
    old["data"]["colour"] = "grey"
    failed = kubectl("replace", "-f", "-", stdin=json.dumps(old), check=False)
    assert failed.returncode == 1 and "the object has been modified" in failed.stderr
    del old["metadata"]["resourceVersion"]
    kubectl("replace", "-f", "-", stdin=json.dumps(old))
    assert get(kubectl, "configmap", "settings")["data"] == {"colour": "grey"}


def test_what_is_wrong_with_a_manifest_is_said_with_its_path(kubectl):
    unknown = MANIFEST.replace("replicas: 0", "replicas: 0\n  bogus: 1")
    failed = kubectl("create", "-f", "-", stdin=unknown, check=False)
    assert failed.returncode == 1 and "bogus" in failed.stderr
    negative = MANIFEST.replace("replicas: 0", "replicas: -3")
    failed = kubectl("apply", "-f", "-", stdin=negative, check=False)
    assert failed.returncode == 1 and "spec.replicas" in failed.stderr and "-3" in failed.stderr
    mistyped = MANIFEST.replace("replicas: 0", "replicas: many")
    failed = kubectl("apply", "-f", "-", stdin=mistyped, check=False)
    assert failed.returncode == 1 and "replicas" in failed.stderr


@pytest.mark.parametrize("api_version, kind", [("apps/v1", "StatefulSet"), ("keda.sh/v1alpha1", "ScaledJob"), ("a.example/v1", "A")])
def test_a_kind_that_is_not_there_is_named(kubectl, api_version, kind):
    manifest = json.dumps({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}})
    failed = kubectl("apply", "-f", "-", stdin=manifest, check=False)
    assert failed.returncode == 1 and f'no matches for kind "{kind}" in version "{api_version}"' in failed.stderr


def test_a_dry_run_changes_nothing(kubectl):
    assert "created (server dry run)" in kubectl("apply", "--dry-run=server", "-f", "-", stdin=MANIFEST).stdout
    assert kubectl("get", "deployments", "-o", "name").stdout == ""
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert kubectl("diff", "-f", "-", stdin=MANIFEST).stdout == ""
    changed = kubectl("diff", "-f", "-", stdin=MANIFEST.replace("blue", "red"), check=False)
    assert changed.returncode == 1 and "+  colour: red" in changed.stdout


def test_delete_waits_and_forgives(kubectl):
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert 'configmap "settings" deleted' in kubectl("delete", "configmap", "settings").stdout
    assert kubectl("delete", "configmap", "settings", check=False).returncode == 1
    kubectl("delete", "configmap", "settings", "--ignore-not-found")
    kubectl("delete", "deployments,services", "--all")
    assert kubectl("get", "deployments,services", "-o", "name").stdout == ""


def test_explain_and_discovery_know_the_kinds(kubectl):
    assert "replicas" in kubectl("explain", "deployment.spec").stdout
    assert "image" in kubectl("explain", "pod.spec.containers").stdout
    resources = kubectl("api-resources").stdout
    for name in ("pods", "deployments", "scaledobjects", "triggers", "brokers", "leases", "endpoints", "endpointslices"):
        assert name in resources
    versions = kubectl("api-versions").stdout.split()
    assert "apps/v1" in versions and "keda.sh/v1alpha1" in versions and "v1" in versions


def test_a_list_longer_than_a_page_is_whole(kubectl):
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{i:04}", "labels": {"page": "y"}}}
             for i in range(1100)]
    for at in range(0, len(items), 550):
        chunk = {"apiVersion": "v1", "kind": "List", "items": items[at:at + 550]}
        kubectl("create", "-f", "-", stdin=json.dumps(chunk))
    names = kubectl("get", "configmaps", "-l", "page", "-o", "name").stdout.split()
    assert names == [f"configmap/c{i:04}" for i in range(1100)]


def test_watch_shows_changes_as_they_come(kubectl, evoke):
    path = {"current": "kubectl-current/kubectl", "debian": "kubectl-debian/usr/bin/kubectl"}[kubectl.version]
    command = [str(evoke.build / "e2e" / path), "--kubeconfig", str(evoke.kubeconfig), "-n", kubectl.namespace,
               "get", "configmaps", "-l", "watched=yes", "-w", "--no-headers"]
    watch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        kubectl("create", "configmap", "first", "--from-literal=a=b")
        kubectl("label", "configmap", "first", "watched=yes")
        assert watch.stdout.readline().split()[:2] == ["first", "1"]
        kubectl("patch", "configmap", "first", "--type=merge", "-p", '{"data":{"c":"d"}}')
        assert watch.stdout.readline().split()[:2] == ["first", "2"]
        kubectl("label", "configmap", "first", "watched-")  # for this client it is deleted
        assert watch.stdout.readline().split()[:2] == ["first", "2"]
    finally:
        watch.kill()
        watch.wait()


def test_wait_sees_a_field_and_an_end(kubectl):
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    if kubectl.version == "current":
        kubectl("wait", "deployment/web", "--for=jsonpath={.spec.replicas}=0", "--timeout=10s")
    waiting = kubectl("wait", "configmap/settings", "--for=delete", "--timeout=1s", check=False)
    assert waiting.returncode == 1 and "timed out" in waiting.stderr
    kubectl("delete", "configmap", "settings", "--wait=false")
    kubectl("wait", "configmap/settings", "--for=delete", "--timeout=10s", check=kubectl.version == "current")


# --- Beside kubectl ---


def test_without_credentials_nobody_gets_in(evoke):
    assert stat.S_IMODE(evoke.kubeconfig.stat().st_mode) == 0o600
    answer = requests.get(f"https://{evoke.api}/api/v1/pods", verify=False, timeout=5)
    assert answer.status_code == 401 and answer.json()["reason"] == "Unauthorized"
    assert requests.get(f"https://{evoke.api}/healthz", verify=False, timeout=5).text == "ok"


def test_objects_outlive_a_kill(new_evoke):
    evoke = new_evoke().start()
    evoke.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    evoke.kubectl("create", "configmap", "gone")
    evoke.kubectl("delete", "configmap", "gone")
    before = json.loads(evoke.kubectl("get", "configmap", "kept", "-o", "json").stdout)
    kubeconfig = evoke.kubeconfig.read_text()
    evoke.kill()
    evoke.start()
    assert json.loads(evoke.kubectl("get", "configmap", "kept", "-o", "json").stdout) == before
    assert evoke.kubectl("get", "configmap", "gone", check=False).returncode == 1
    assert evoke.kubeconfig.read_text() == kubeconfig


def test_a_namespace_goes_with_what_is_in_it(evoke):
    evoke.kubectl("create", "namespace", "short")
    evoke.kubectl("-n", "short", "create", "configmap", "c")
    evoke.kubectl("delete", "namespace", "short", "--timeout=30s")
    wait_until(lambda: "NotFound" in evoke.kubectl("get", "namespace", "short", check=False).stderr, what="gone")
    evoke.kubectl("create", "namespace", "short")
    assert "configmap/c" not in evoke.kubectl("-n", "short", "get", "configmaps", "-o", "name").stdout
    kept = evoke.kubectl("delete", "namespace", "default", check=False)
    assert kept.returncode == 1 and "may not be deleted" in kept.stderr
