# SPDX-License-Identifier: Apache-2.0
"""evoke on this machine, in one table: start, idle, throughput, and the time from publish to the handler's first byte.

The handler answers each event with the time between the producer's send and its own first byte (one machine, one
clock), so the figures hold all there is between: producer, log, sync, dispatch, scaling, starting, mesh.
"""
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import io

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))
import manifests  # noqa: E402
from conftest import Evoke, wait_until  # noqa: E402

ROWS = []


def row(what, figure, note=""):
    ROWS.append((what, figure, note))
    print(f"{what:<58} {figure:>28}  {note}", flush=True)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def load(evoke, *arguments):
    return subprocess.run([str(evoke.build / "bench" / "bench_load"), evoke.kafka, *map(str, arguments)],
                          capture_output=True, text=True, check=True, timeout=300).stdout


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status(pid, name):
    return int(re.search(rf"^{name}:\s+(\d+)", open(f"/proc/{pid}/status").read(), re.M).group(1))


def replies(evoke, topic, since):
    """Behind the ends of the partitions that ends_of() gave."""
    out = evoke.run("consume", "-b", evoke.kafka, "-o", "json", "--offset", min(since.values(), default=0), topic).stdout
    records = [json.loads(line) for line in out.splitlines()]
    return [r for r in records if r["offset"] >= since.get(r["partition"], 0)]


def latencies(evoke, topic, since, count, timeout=15):
    def all_there():
        got = [r for r in replies(evoke, topic, since) if r["headers"]["ce_type"] == "bench.latency"]
        return got if len(got) >= count else None
    got = wait_until(all_there, timeout, f"{count} replies")
    return [int(r["value"]) / 1e6 for r in got]


def ends_of(evoke, topic):
    out = evoke.run("topic", "describe", "-b", evoke.kafka, topic).stdout
    return {int(partition): int(end) for partition, end in re.findall(r"^\s+(\d+)\s+\d+\s+(\d+)", out, re.M)}


def smallest_start():
    """What starting any program takes here now, in ms: it goes with what the kernel has to do for its pages."""
    start = time.monotonic_ns()
    subprocess.run(["/bin/true"], check=True)
    return (time.monotonic_ns() - start) / 1e6


def bench_start(evoke):
    times, smallest = [], []
    for _ in range(5):
        first = subprocess.Popen([str(evoke.build / "bench" / "bench_load"), evoke.kafka, "first", "start"],
                                 stdout=subprocess.PIPE, text=True)
        os.sync()  # what others have left to the kernel, as a build, is not to be waited for
        time.sleep(0.3)
        smallest.append(smallest_start())
        time.sleep(0.3)
        start = time.monotonic_ns()
        evoke.process = subprocess.Popen(evoke.command(), stdout=open(evoke.log_path, "ab"), stderr=subprocess.STDOUT)
        times.append((int(first.communicate(timeout=30)[0]) - start) / 1e6)
        evoke.stop()
        shutil.rmtree(evoke.data)
    row("start, empty, to the first acknowledged record", f"{statistics.median(times):.0f} ms",
        f"median of 5; /bin/true takes {statistics.median(smallest):.0f} ms; target 50 ms")


def bench_idle(evoke):
    pid = evoke.process.pid
    time.sleep(2)
    cpu, switches = cpu_s(pid), status(pid, "voluntary_ctxt_switches")
    time.sleep(10)
    row("idle: memory", f"{status(pid, 'VmRSS') / 1024:.1f} MB", "resident; target 12 MB")
    row("idle: wake-ups in 10 s", f"{status(pid, 'voluntary_ctxt_switches') - switches}", "of the core thread; target 0")
    row("idle: CPU in 10 s", f"{(cpu_s(pid) - cpu) * 1000:.0f} ms")


def bench_throughput(evoke):
    for size, count, acks in ((100, 2000000, "1"), (100, 2000000, "all"), (1024, 500000, "1"), (1024, 500000, "all")):
        topic = f"t-{size}-{acks}"
        before = cpu_s(evoke.process.pid)
        out = load(evoke, "produce", topic, count, size, acks)
        used = (cpu_s(evoke.process.pid) - before) / (count * size / 1e9)
        row(f"produce {size} B, acks={acks}", out.split(", ", 1)[1].strip(), f"{used:.1f} s of evoke's CPU per GB")
    before = cpu_s(evoke.process.pid)
    out = load(evoke, "consume", "t-1024-all", 500000)
    row("consume 1 KB", out.split(", ", 1)[1].strip(), f"{(cpu_s(evoke.process.pid) - before) / 0.512:.1f} s of evoke's CPU per GB")


def bench_warm(evoke):
    handler = evoke.build / "bench" / "bench_handler"
    evoke.kubectl("apply", "-f", "-", stdin=manifests.text(
        manifests.broker(), manifests.service("warm", handler, mode="latency"), manifests.trigger("warm", "warm", "bench.ping")))
    evoke.kubectl("wait", "--for=condition=Ready", "trigger/warm", "--timeout=20s")
    evoke.kubectl("wait", "--for=condition=Available", "deployment/warm", "--timeout=20s")
    load(evoke, "events", "default.default", 100, 1000)
    latencies(evoke, "default.default", {}, 100)
    since = ends_of(evoke, "default.default")
    load(evoke, "events", "default.default", 2000, 2000)
    got = latencies(evoke, "default.default", since, 2000)
    row("publish to the handler's first byte, warm", f"p50 {percentile(got, .5):.2f} / p99 {percentile(got, .99):.2f} ms", "2,000 events, one each 2 ms, synced")
    since = ends_of(evoke, "default.default")
    start = time.monotonic()
    load(evoke, "events", "default.default", 20000, 0)
    latencies(evoke, "default.default", since, 20000, 120)
    row("events through a Trigger, with replies", f"{20000 / (time.monotonic() - start):.0f} a second", "one process, replies committed")
    evoke.kubectl("delete", "trigger", "warm")
    evoke.kubectl("delete", "deployment", "warm")


def bench_from_zero(evoke, name, process, image):
    command = "/handler" if not process else evoke.build / "bench" / "bench_handler"
    evoke.kubectl("apply", "-f", "-", stdin=manifests.text(
        manifests.broker(name=name), manifests.service(name, command, mode="latency", replicas=0, process=process, image=image),
        manifests.trigger(name, name, "bench.ping", broker=name), manifests.scaled_object(name, name, broker=name, cooldown=1)))
    evoke.kubectl("wait", "--for=condition=Ready", f"trigger/{name}", "--timeout=20s")
    got = []
    for _ in range(20):
        since = ends_of(evoke, f"default.{name}")
        load(evoke, "events", f"default.{name}", 1, 0)
        got += latencies(evoke, f"default.{name}", since, 1)
        wait_until(lambda: evoke.kubectl("get", "pods", "-l", f"app={name}", "-o", "name").stdout == "", 30, "back to zero")
    evoke.kubectl("delete", "scaledobject", name)
    target = "20 ms + the service's start" if process else "90 ms"
    row(f"publish to the handler's first byte, from zero, {name}", f"p50 {percentile(got, .5):.1f} / p99 {percentile(got, .99):.1f} ms", f"20 starts; target {target}")


def make_image(build, directory):
    """An OCI-less docker archive with the static handler alone."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(build / "bench" / "bench_handler", "handler")
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/handler"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + __import__("hashlib").sha256(layer.getvalue()).hexdigest()]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["bench-handler:latest"], "Layers": ["layer.tar"]}]).encode()
    path = pathlib.Path(directory) / "image.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in (("config.json", config), ("layer.tar", layer.getvalue()), ("manifest.json", manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    directory = tempfile.mkdtemp(prefix="evoke-bench-", dir=build)
    evoke = Evoke(build, pathlib.Path(directory) / "data")
    try:
        bench_start(evoke)
        evoke.start()
        bench_idle(evoke)
        bench_warm(evoke)
        bench_from_zero(evoke, "process", True, "none")
        if os.geteuid() == 0 and shutil.which("runc"):
            imported = evoke.run("image", "import", "--data", evoke.data, make_image(build, directory))
            if imported.returncode == 0:
                bench_from_zero(evoke, "container", False, "bench-handler:latest")
            else:
                row("container", "not measured", imported.stderr.strip())
        bench_throughput(evoke)
    finally:
        for kind in ("scaledobjects", "triggers", "deployments", "pods"):
            if evoke.process:
                evoke.kubectl("delete", kind, "--all", "--timeout=20s", check=False)
        evoke.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
