# SPDX-License-Identifier: Apache-2.0
"""Services as containers see them: by address and by name, also when a process is behind one. Needs root and runc."""
import os
import random
import shutil
import subprocess

import pytest

from images import busybox_archive

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("runc") or not shutil.which("busybox"),
                                reason="needs root, runc and a static busybox")

SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: billing}
spec: {selector: {app: billing}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: each}
spec: {clusterIP: None, selector: {app: billing}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: plain}
spec: {selector: {app: plain}, ports: [{port: 80, targetPort: 8081}]}
---
apiVersion: v1
kind: Pod
metadata: {name: billing, labels: {app: billing}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: busybox, command: [sh, -c, "echo billing > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]}
---
apiVersion: v1
kind: Pod
metadata: {name: plain, labels: {app: plain}}
spec:
  runtimeClassName: process
  terminationGracePeriodSeconds: 0
  volumes: [{name: www, emptyDir: {}}]
  containers:
  - name: main
    image: none
    command: [sh, -c, "echo plain > $VOLUME_WWW/index.html; exec busybox httpd -f -p $POD_IP:8081 -h $VOLUME_WWW"]
    volumeMounts: [{name: www, mountPath: /www}]
---
apiVersion: v1
kind: Pod
metadata: {name: caller}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: busybox
    command:
    - sh
    - -c
    - |
      for host in billing billing.default billing.default.svc.cluster.local $BILLING_SERVICE_HOST:$BILLING_SERVICE_PORT each:8080 plain
      do until wget -qO- http://$host 2> /dev/null; do sleep 0.1; done; done
      nc $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null && echo the API
      nslookup nobody.default.svc.cluster.local | grep -c NXDOMAIN
"""


def test_a_container_reaches_services_by_name_and_address(new_evoke, tmp_path):
    services = f"10.{random.randrange(200, 250)}.{random.randrange(256)}.0/24"
    evoke = new_evoke(extra=["--pod-cidr", services.replace("10.2", "10.1", 1)])
    evoke.services = services
    evoke.start()
    imported = evoke.run("image", "import", busybox_archive(tmp_path), "--data", evoke.data)
    assert imported.returncode == 0, imported.stderr
    created = evoke.kubectl("apply", "-o", "json", "-f", "-", stdin=SERVICES).stdout
    assert '"clusterIP": "10.2' in created  # in the very answer
    evoke.kubectl("wait", "pod/caller", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
    lines = evoke.kubectl("logs", "caller").stdout.splitlines()
    assert lines[:7] == ["billing"] * 5 + ["plain", "the API"] and lines[7] != "0"
    routes = subprocess.run(["ip", "route", "show", "table", "local"], capture_output=True, text=True).stdout
    assert services in routes
