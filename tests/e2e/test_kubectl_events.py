# SPDX-License-Identifier: Apache-2.0
"""Events, as v1 and as events.k8s.io/v1 have them: the same ones, through kubectl and the Python client."""
import datetime
import json

import pytest
from kubernetes import client, config, watch


@pytest.fixture
def events(evoke):
    config.load_kube_config(str(evoke.kubeconfig))
    return client.EventsV1Api()


def newer(name, **changes):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")
    return {"metadata": {"name": name}, "eventTime": now, "reportingController": "example.com/test", "reportingInstance": "test-1",
            "action": "Testing", "reason": "Tested", "type": "Normal", "note": "in newer words",
            "regarding": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": f"about-{name}"}, **changes}


@pytest.mark.parametrize("version", ["current", "debian"])
def test_kubectl_gets_them_from_either_group(evoke, events, version):
    name = f"get-{version}"
    events.create_namespaced_event("default", newer(name))
    for resource in ("events", "events.events.k8s.io", "events.v1.events.k8s.io"):
        row = evoke.kubectl("get", resource, name, "--no-headers", version=version).stdout.split(None, 4)
        assert row[1:] == ["Normal", "Tested", f"configmap/about-{name}", "in newer words\n"], resource
    old = json.loads(evoke.kubectl("get", "events", name, "-o", "json", version=version).stdout)
    new = json.loads(evoke.kubectl("get", "events.v1.events.k8s.io", name, "-o", "json", version=version).stdout)
    assert (old["apiVersion"], new["apiVersion"]) == ("v1", "events.k8s.io/v1")
    assert old["message"] == new["note"] and old["involvedObject"] == new["regarding"] and old["metadata"] == new["metadata"]
    assert "message" not in new and "involvedObject" not in new
    sorted_by_time = evoke.kubectl("get", "events.v1.events.k8s.io", "--sort-by=.eventTime", "-o", "name", version=version).stdout
    assert f"event.events.k8s.io/{name}" in sorted_by_time
    evoke.kubectl("delete", "events.v1.events.k8s.io", name, version=version)
    assert evoke.kubectl("get", "events", name, version=version, check=False).returncode == 1


def test_what_evoke_recorded_is_shown_in_newer_words(evoke):
    evoke.kubectl("run", "none", "--image=none", "--restart=Never", "--overrides", json.dumps({"spec": {"runtimeClassName": "process"}}))
    evoke.kubectl("wait", "pod/none", "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError")
    # Not through Python, whose model takes no Event without eventTime, which those of kubelets lack as well
    found = json.loads(evoke.kubectl("get", "events.v1.events.k8s.io", "--field-selector=regarding.name=none,reason=Failed", "-o", "json").stdout)
    assert [event["deprecatedSource"]["component"] for event in found["items"]] == ["evoke-node"]
    assert "has no command" in found["items"][0]["note"]
    assert "has no command" in evoke.kubectl("events", "--for", "pod/none").stdout
    evoke.kubectl("label", "events.v1.events.k8s.io", found["items"][0]["metadata"]["name"], "seen=yes")
    evoke.kubectl("delete", "pod", "none")


def test_a_recorder_counts_repeats_in_a_series_and_a_watch_tells_them(evoke, events):
    before = json.loads(evoke.kubectl("get", "--raw", "/apis/events.k8s.io/v1/events").stdout)["metadata"]["resourceVersion"]
    created = events.create_namespaced_event("default", newer("series"))
    series = {"count": 2, "lastObservedTime": created.event_time.isoformat(timespec="microseconds")}
    events.patch_namespaced_event("series", "default", {"series": series})
    seen = []
    for event in watch.Watch().stream(events.list_namespaced_event, "default", field_selector="regarding.name=about-series",
                                      resource_version=before, timeout_seconds=20):
        seen.append((event["type"], event["object"].series and event["object"].series.count))
        if len(seen) == 2:
            break
    assert seen == [("ADDED", None), ("MODIFIED", 2)]
    assert client.CoreV1Api().read_namespaced_event("series", "default").series.count == 2


@pytest.mark.parametrize("changes, field", [
    ({"eventTime": None}, "eventTime"),
    ({"reportingController": ""}, "reportingController"),
    ({"deprecatedCount": 3}, "deprecatedCount"),
    ({"type": "Loud"}, "type"),
])
def test_one_that_is_not_whole_is_refused_with_the_field(evoke, events, changes, field):
    body = json.dumps({"apiVersion": "events.k8s.io/v1", "kind": "Event", **newer("wrong", **changes)})
    refused = evoke.kubectl("create", "-f", "-", "--validate=ignore", stdin=body, check=False)
    assert refused.returncode == 1 and field in refused.stderr, refused.stderr
