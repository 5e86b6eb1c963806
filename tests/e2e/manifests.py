# SPDX-License-Identifier: Apache-2.0
"""Manifests that the tests share: a Broker, and services that run the handler of bench/handler.c."""
import json


def broker(namespace="default", name="default"):
    return {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": name, "namespace": namespace}}


def service(name, command, mode="echo", namespace="default", replicas=1, process=True, image="process", env=None, port=8080):
    """A Deployment of the handler and the Service in front of it."""
    environment = [{"name": "MODE", "value": mode}] + [{"name": k, "value": v} for k, v in (env or {}).items()]
    pod = {"containers": [{"name": "handler", "image": image, "command": [str(command)], "env": environment,
                           "imagePullPolicy": "Never", "ports": [{"containerPort": port}],
                           "readinessProbe": {"httpGet": {"path": "/", "port": port}, "periodSeconds": 1}}],
           "terminationGracePeriodSeconds": 2}
    if process:
        pod["runtimeClassName"] = "process"
    labels = {"app": name}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
         "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                  "template": {"metadata": {"labels": labels}, "spec": pod}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
         "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": port}]}},
    ]


def trigger(name, subscriber, type=None, namespace="default", broker="default", delivery=None, annotations=None):
    spec = {"broker": broker,
            "subscriber": {"ref": {"apiVersion": "v1", "kind": "Service", "name": subscriber}}}
    if type:
        spec["filter"] = {"attributes": {"type": type}}
    if delivery:
        spec["delivery"] = delivery
    return {"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}}, "spec": spec}


def scaled_object(name, trigger, namespace="default", broker="default", maximum=3, cooldown=2, threshold=10):
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name, "namespace": namespace},
            "spec": {"scaleTargetRef": {"name": name}, "minReplicaCount": 0, "maxReplicaCount": maximum,
                     "cooldownPeriod": cooldown,
                     "triggers": [{"type": "kafka", "metadata": {
                         "bootstrapServers": "127.0.0.1:9092", "consumerGroup": f"trigger.{namespace}.{trigger}",
                         "topic": f"{namespace}.{broker}", "lagThreshold": str(threshold)}}]}}


def text(*objects):
    """One JSON List, which kubectl takes on its standard input."""
    flat = []
    for item in objects:
        flat.extend(item if isinstance(item, list) else [item])
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": flat})
