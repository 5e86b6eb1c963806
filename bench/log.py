# SPDX-License-Identifier: Apache-2.0
"""The log beside Apache Kafka and NATS JetStream: one table from one run on one machine.

The load is Kafka's own (ProducerPerformance, ConsumerPerformance, EndToEndLatency) and, where that client is the limit,
bench_load and bench_latency (librdkafka). An acknowledgement does not mean the same everywhere:
    evoke   acks=all: on disk (fdatasync). acks=1: written, not synced
    Kafka   written to the page cache, whatever acks says; synced where the row says flush.messages=1
    NATS    written; synced every two minutes
A row ends with its targets (as many times Kafka's figure, or the part of it that remains) and what was reached. Below the
table stands what was missed and what limits it, from what the same run has measured (machine.py).
usage: log.py BUILD [SHARE]    SHARE of the full number of records, for a quick look: 0.1
"""
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import machine
from servers import EvokeLog, Kafka, Nats


@dataclasses.dataclass
class Goal:
    """`got` and `wanted` times as good as the peer: more of a rate, or a part of a cost."""
    wanted: float
    got: float
    part: bool = False
    name: str = ""

    def missed(self):
        return round(self.got, 1) < self.wanted

    def __str__(self):
        def shown(times):
            figure = f"{times:,.1f}" if times < 10 and times % 1 else f"{times:,.0f}"
            return f"1/{figure}" if self.part else f"{figure}x"
        return f"{self.name + ' ' if self.name else ''}{shown(self.wanted)}: {shown(self.got)}"


@dataclasses.dataclass
class Row:
    what: str
    evoke: str
    kafka: str = ""
    nats: str = ""
    goals: list = dataclasses.field(default_factory=list)
    note: str = ""
    limit: str = ""  # of what misses its target

    def missed(self):
        return [goal for goal in self.goals if goal.missed()]

    def __str__(self):
        goals = ", ".join(str(goal) + (" MISSED" if goal.missed() else "") for goal in self.goals)
        return f"{self.what:<50} {self.evoke:>24} {self.kafka:>24} {self.nats:>14}  {goals + '; ' if goals else ''}{self.note}"


def rate_and_cpu(times, cpu_part, ours, theirs):
    """Both are (rate, CPU per GB)."""
    goals = [Goal(times, ours[0] / theirs[0])]
    if cpu_part:
        goals.append(Goal(cpu_part, theirs[1] / max(ours[1], 0.01), part=True, name="CPU"))
    return goals


class Bench:
    def __init__(self, build, share):
        self.build = build
        self.share = share
        self.peers = build / "bench-peers"
        self.directory = tempfile.mkdtemp(prefix="bench-log-", dir=build)
        self.evoke = EvokeLog(self.directory, build)
        self.kafka = Kafka(self.directory, self.peers / "kafka")
        self.nats = Nats(self.directory, self.peers / "nats-server")

    def count(self, full):
        return max(1000, int(full * self.share))

    def brokers(self):
        return [self.evoke, self.kafka]

    # --- Load ---

    def tool(self, name, *arguments):
        done = subprocess.run([*self.kafka.java(), f"org.apache.kafka.tools.{name}", *map(str, arguments)], capture_output=True,
                              text=True, timeout=900)
        if done.returncode != 0:
            raise RuntimeError(f"{name}: {done.stdout[-500:]} {done.stderr[-1500:]}")
        return done.stdout

    def load(self, server, *arguments):
        return subprocess.run([str(self.build / "bench" / "bench_load"), server.address, *map(str, arguments)], capture_output=True,
                              text=True, check=True, timeout=900).stdout

    def latency_c(self, server, *arguments):
        """mean, p50, p99, p99.9 in microseconds."""
        out = subprocess.run([str(self.build / "bench" / "bench_latency"), server.address, *map(str, arguments)], capture_output=True,
                             text=True, check=True, timeout=900).stdout
        return [int(us) for us in re.findall(r" (\d+)", out)]

    def create(self, server, topic, **configs):
        """A topic of one partition; configs with _ for the dot. What others have left to the kernel is on disk before it: one
        who does not sync would else be measured at the cost of the next."""
        os.sync()
        from confluent_kafka.admin import AdminClient, NewTopic
        admin = AdminClient({"bootstrap.servers": server.address, "log_level": 0})
        config = {name.replace("_", "."): str(value) for name, value in configs.items()}
        admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(30)

    def produce(self, server, topic, count, size, acks, throughput=-1, **properties):
        """ProducerPerformance: records a second and the server's CPU per GB, latency by percentile, the meter."""
        more = [f"{name.replace('_', '.')}={value}" for name, value in properties.items()]
        meter = machine.Meter(server)
        out = self.tool("ProducerPerformance", "--topic", topic, "--num-records", count, "--record-size", size, "--throughput", throughput,
                        "--producer-props", f"bootstrap.servers={server.address}", f"acks={acks}", *more)
        meter.stop()
        last = out.strip().splitlines()[-1]
        rate = float(re.search(r"([\d.]+) records/sec", last).group(1))
        latency = {p: int(ms) for ms, p in re.findall(r"(\d+) ms ([\d.]+)th", last)}
        return (rate, meter.broker_cpu_s / (count * size / 1e9)), latency, meter

    def produce_c(self, server, topic, count, size, acks):
        meter = machine.Meter(server)
        out = self.load(server, "produce", topic, count, size, acks)
        meter.stop()
        return (float(re.search(r"(\d+) records/s", out).group(1)), meter.broker_cpu_s / (count * size / 1e9)), meter

    # --- Rows ---

    def start_empty(self):
        times = {}
        for server in (self.evoke, self.kafka, self.nats):
            tries = []
            for _ in range(5 if server is not self.kafka else 2):
                tries.append(server.start())
                server.end()
            times[server.name] = sorted(tries)[len(tries) // 2]
            server.start()
        return Row("start, empty, to the first answer", *(f"{times[n] * 1000:.0f} ms" for n in ("evoke", "kafka", "nats")),
                   [Goal(60, times["kafka"] / times["evoke"], part=True)], "ApiVersions; NATS: INFO")

    def idle(self):
        time.sleep(5)
        servers = (self.evoke, self.kafka, self.nats)
        before = [(s.cpu_s(), s.wake_ups()) for s in servers]
        time.sleep(10)
        cost = [((s.cpu_s() - cpu) * 10, (s.wake_ups() - wakes) / 10) for s, (cpu, wakes) in zip(servers, before)]
        memory = [s.memory_mb() for s in servers]
        yield Row("memory, idle", *(f"{m:.0f} MB" for m in memory), [Goal(30, memory[1] / memory[0], part=True)], "resident")
        yield Row("idle: CPU, wake-ups", *(f"{cpu:.1f} %, {wakes:.0f}/s" for cpu, wakes in cost), note="target: no wake-ups; of one core; all threads")

    @staticmethod
    def throughput_row(what, times, cpu_part, got, nats, client):
        (ours, meter), (theirs, _) = got
        return Row(f"produce {what}", f"{ours[0]:,.0f}/s, {ours[1]:.1f} s", f"{theirs[0]:,.0f}/s, {theirs[1]:.1f} s", nats,
                   rate_and_cpu(times, cpu_part, ours, theirs), f"{client}; broker's CPU per GB", f"{meter.cores()}; {meter.disk()}")

    def throughput(self, what, times, count, size, acks, cpu_part=None, configs=None, **properties):
        got = []
        topic = re.sub(r"\W+", "-", what)
        for server in self.brokers():
            synced = configs if server is self.kafka and configs else {}
            self.create(server, topic, **synced)
            self.produce(server, topic, count // 20, size, acks, **properties)  # warm: Java compiles while it runs
            rate, _, meter = self.produce(server, topic, count, size, acks, **properties)
            got.append((rate, meter))
        return self.throughput_row(what, times, cpu_part, got, "", "Java client")

    def throughput_c(self, size, count, acks, times, cpu_part=None, nats_rate=""):
        topic = f"c-{size}-{acks}"
        got = []
        for server in self.brokers():
            self.create(server, topic)
            self.produce_c(server, topic, count // 20, size, acks)
            got.append(self.produce_c(server, topic, count, size, acks))
        return self.throughput_row(f"{size} B, acks={acks}", times, cpu_part, got, nats_rate, "C client")

    def nats_publish(self, kind, count, size):
        stream = f"{kind}{size}"
        out = subprocess.run([str(self.peers / "nats"), "-s", f"nats://{self.nats.address}", "bench", "js", "pub", kind, stream, "--create",
                              "--storage", "file", "--stream", stream, "--msgs", str(count), "--size", f"{size}B", "--no-progress"],
                             capture_output=True, text=True, timeout=600)
        rate = re.search(r"([\d,]+) msgs/sec", out.stdout + out.stderr)
        if not rate:
            raise RuntimeError("nats bench: " + out.stdout[-500:] + out.stderr[-500:])
        return int(rate.group(1).replace(",", ""))

    def consume_java(self, server, topic, count):
        meter = machine.Meter(server)
        out = self.tool("ConsumerPerformance", "--bootstrap-server", server.address, "--topic", topic, "--messages", count)
        meter.stop()
        fields = out.strip().splitlines()[-1].split(",")
        return (float(fields[8]), meter.broker_cpu_s / (count * 1024 / 1e9)), meter  # fetch.MB.sec

    def consume_c(self, server, topic, count):
        meter = machine.Meter(server)
        out = self.load(server, "consume", topic, count)
        meter.stop()
        return (float(re.search(r"([\d.]+) MB/s", out).group(1)), meter.broker_cpu_s / (count * 1024 / 1e9)), meter

    def consume(self):
        count, topic = self.count(1000000), "c-1024-all"
        for client, run, times, cpu_part, note in (("Java", self.consume_java, 1, None, "while fetching; "), ("C", self.consume_c, 3, 3, "")):
            (ours, meter), (theirs, _) = [run(server, topic, count) for server in self.brokers()]
            yield Row(f"consume 1 KB, {client} client", *(f"{mb:.0f} MB/s, {cpu:.2f} s" for mb, cpu in (ours, theirs)), "",
                      rate_and_cpu(times, cpu_part, ours, theirs), f"{note}broker's CPU per GB",
                      f"both send from the page cache by sendfile; {meter.cores()}")

    def latency(self, what, configs):
        got = []
        for server in self.brokers():
            topic = "latency-" + re.sub(r"\W+", "-", what)
            self.create(server, topic, **(configs if server is self.kafka else {}))
            self.produce(server, topic, self.count(50000), 100, "all", 10000)
            _, latency, meter = self.produce(server, topic, self.count(200000), 100, "all", 10000)
            got.append(([latency[p] for p in ("50", "99", "99.9")], meter))
        (ours, meter), (theirs, _) = got
        goals = [Goal(4, kafka / max(evoke, 1), part=True, name=name) for name, evoke, kafka in zip(("p50", "p99", "p99.9"), ours, theirs)]
        return Row(f"10,000/s of 100 B, acks=all, Kafka {what}", *(" / ".join(map(str, l)) + " ms" for l in (ours, theirs)), "", goals,
                   "p50 / p99 / p99.9; Java client, whole ms", f"the Java client's own time is most of it (see the C client's row); {meter.disk()}")

    def end_to_end(self):
        got = []
        for server in self.brokers():
            self.create(server, "e2e")
            self.tool("EndToEndLatency", server.address, "e2e", self.count(5000), "all", 100)
            meter = machine.Meter(server)
            out = self.tool("EndToEndLatency", server.address, "e2e", self.count(20000), "all", 100)
            meter.stop()
            mean = float(re.search(r"Avg latency: ([\d.]+) ms", out).group(1))
            p = [int(x) for x in re.search(r"50th = (\d+), 99th = (\d+), 99.9th = (\d+)", out).groups()]
            got.append((mean, p[1], p[2], meter))
        ours, theirs = got
        return Row("end to end, one at a time, 100 B", *(f"{mean:.2f} / {p99} / {p999} ms" for mean, p99, p999, _ in got), "",
                   [Goal(2, theirs[0] / ours[0], part=True, name="mean"), Goal(5, theirs[1] / max(ours[1], 1), part=True, name="p99")],
                   "mean / p99 / p99.9; Java client; evoke synced, Kafka not", self.why_not_sooner(ours[3]))

    @staticmethod
    def why_not_sooner(meter):
        return f"evoke waits for the disk, Kafka does not unless the row says flush: {meter.disk()}; the rest is the client and loopback"

    def latency_row(self, what, got, wanted, note):
        """Of mean, p50, p99, p99.9 in microseconds; `wanted` likewise, None: no target."""
        (ours, meter), (theirs, _) = got
        shown = [" / ".join(f"{us / 1000:.2f}" for us in four) + " ms" for four in (ours, theirs)]
        goals = [Goal(part, kafka / max(evoke, 1), part=True, name=name)
                 for name, part, evoke, kafka in zip(("mean", "p50", "p99", "p99.9"), wanted, ours, theirs) if part]
        return Row(what, *shown, "", goals, f"mean / p50 / p99 / p99.9; C client without linger; {note}", self.why_not_sooner(meter))

    def measured_c(self, server, *arguments):
        meter = machine.Meter(server)
        return self.latency_c(server, *arguments), meter.stop()

    def paced_c(self, what, configs, note):
        got = []
        for server in self.brokers():
            topic = "paced-" + re.sub(r"\W+", "-", what)
            self.create(server, topic, **(configs if server is self.kafka else {}))
            self.latency_c(server, "produce", topic, self.count(50000), 100, "all", 10000)
            got.append(self.measured_c(server, "produce", topic, self.count(200000), 100, "all", 10000))
        return self.latency_row(f"10,000/s of 100 B, acks=all, Kafka {what}", got, (None, 4, 4, 4), note)

    def end_to_end_c(self, what, configs, note):
        got = []
        for server in self.brokers():
            topic = "through-" + re.sub(r"\W+", "-", what)
            self.create(server, topic, **(configs if server is self.kafka else {}))
            self.latency_c(server, "through", topic, self.count(5000), 100)
            got.append(self.measured_c(server, "through", topic, self.count(20000), 100))
        return self.latency_row(f"end to end, one at a time, 100 B, Kafka {what}", got, (2, None, 5, None), note)

    def one_at_a_time(self, acks, note):
        topic = f"one-{acks}"
        got = []
        for server in self.brokers():
            self.create(server, topic)
            self.latency_c(server, "one", topic, self.count(5000), 100, acks)
            got.append(self.measured_c(server, "one", topic, self.count(20000), 100, acks))
        (ours, meter), (theirs, _) = got
        rates = [1e6 / four[0] for four in (ours, theirs)]
        nats = self.nats_publish("sync", self.count(20000), 100)
        return Row(f"one at a time, 100 B, acks={acks}", *(f"{rate:,.0f}/s" for rate in rates), f"{nats:,.0f}/s", [Goal(1, rates[0] / nats, name="NATS")],
                   f"C client; {note}", f"each waits for its own sync, which NATS does every two minutes: {meter.disk()}" if acks == "all" else
                   f"librdkafka beside NATS's own client; {meter.cores()}")

    def many_topics(self):
        got = []
        for server in self.brokers():
            meter = machine.Meter(server)
            out = self.load(server, "spread", "many", 1000, self.count(200000))
            got.append((float(re.search(r"(\d+) records/s", out).group(1)), meter.stop()))
        (ours, meter), (theirs, _) = got
        return Row("200,000 keyed records over 1,000 topics, acks=all", *(f"{rate:,.0f}/s" for rate in (ours, theirs)), "", [Goal(10, ours / theirs)],
                   "C client, linger 5 ms", f"{meter.cores()}; {meter.disk()}")

    def memory_under_load(self):
        servers = (self.evoke, self.kafka, self.nats)
        peak = [s.memory_mb("VmHWM") for s in servers]
        own = [s.memory_mb("RssAnon") for s in servers]
        return Row("memory, the most so far / own at the end", *(f"{p:.0f} / {o:.0f} MB" for p, o in zip(peak, own)), [Goal(20, peak[1] / peak[0], part=True)],
                   "resident; own: without mapped files", "evoke's most is what was read of the journal's mapping, not its own memory")

    def restart_full(self):
        """kill -9 with data, then the time to the first acknowledged record."""
        records = self.count(4300000)
        got = []
        for server in self.brokers():
            self.create(server, "full")
            self.load(server, "produce", "full", records, 1000, "1")
            server.end(signal.SIGKILL)
            first = subprocess.Popen([str(self.build / "bench" / "bench_load"), server.address, "first", "full"], stdout=subprocess.PIPE, text=True)
            time.sleep(0.5)
            began = time.monotonic_ns()
            server.launch()
            got.append((int(first.communicate(timeout=300)[0]) - began) / 1e9)
        return Row(f"start after kill -9 with {records / 1e6:.1f} GB more", *(f"{s:.2f} s" for s in got), "", [Goal(30, got[1] / got[0], part=True)],
                   "to the first acknowledged record")

    def ten_thousand_topics(self):
        """evoke alone, from an empty directory."""
        from confluent_kafka.admin import AdminClient, NewTopic
        server = EvokeLog(self.directory + "/topics", self.build)
        server.start()
        admin = AdminClient({"bootstrap.servers": server.address, "log_level": 0})
        began = time.monotonic()
        for first in range(0, 10000, 1000):
            for made in admin.create_topics([NewTopic(f"topic-{i}", 1, 1) for i in range(first, first + 1000)]).values():
                made.result(60)
        took = time.monotonic() - began
        memory = server.memory_mb()
        server.end(signal.SIGKILL)
        again = server.start()
        row = Row("10,000 topics", f"{memory:.0f} MB", goals=[Goal(1, 100 / memory, name="100 MB")], note=f"made in {took:.2f} s; start after kill -9 {again * 1000:.0f} ms")
        server.remove()
        return row

    def rows(self):
        yield self.start_empty()
        yield from self.idle()
        yield self.throughput("100 B, acks=1", 2, self.count(3000000), 100, "1")
        yield self.throughput("100 B, acks=all", 2, self.count(3000000), 100, "all")
        yield self.throughput("1 KB, acks=1", 2, self.count(1000000), 1024, "1", cpu_part=3)
        yield self.throughput("1 KB, batches of 128 KB, acks=1", 3, self.count(1000000), 1024, "1", cpu_part=3, batch_size=131072, linger_ms=10)
        yield self.throughput("1 KB, synced, acks=all", 5, self.count(300000), 1024, "all", configs={"flush_messages": 1})
        yield self.throughput_c(100, self.count(3000000), "all", 2, nats_rate=f"{self.nats_publish('async', self.count(500000), 100):,}/s")
        yield self.throughput_c(1024, self.count(1000000), "1", 2, cpu_part=3)
        yield self.throughput_c(1024, self.count(1000000), "all", 2, nats_rate=f"{self.nats_publish('async', self.count(200000), 1024):,}/s")
        yield from self.consume()
        yield self.latency("default", {})
        yield self.latency("flush.messages=1", {"flush_messages": 1})
        yield self.paced_c("default", {}, "evoke synced, Kafka not")
        yield self.paced_c("flush.messages=1", {"flush_messages": 1}, "both synced")
        yield self.end_to_end()
        yield self.end_to_end_c("default", {}, "evoke synced, Kafka not")
        yield self.end_to_end_c("flush.messages=1", {"flush_messages": 1}, "both synced")
        yield self.one_at_a_time("all", "evoke synced, the others not")
        yield self.one_at_a_time("1", "none synced")
        yield self.many_topics()
        yield self.memory_under_load()
        yield self.restart_full()
        yield self.ten_thousand_topics()

    def measure(self):
        print(machine.costs(self.directory), flush=True)
        print(f"{'':<50} {'evoke':>24} {'Kafka 4.1':>24} {'NATS 2.15':>14}  target: reached; what is measured")
        missed = []
        for row in self.rows():
            print(row, flush=True)
            if row.missed():
                missed.append(row)
        print(machine.costs(self.directory), flush=True)
        for row in missed:
            print(f"missed: {row.what}: {', '.join(map(str, row.missed()))}; {row.limit or 'no reason was measured'}")

    def run(self):
        try:
            self.measure()
        finally:
            for server in (self.evoke, self.kafka, self.nats):
                server.remove()
            shutil.rmtree(self.directory, ignore_errors=True)


if __name__ == "__main__":
    Bench(pathlib.Path(sys.argv[1]).resolve(), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0).run()
