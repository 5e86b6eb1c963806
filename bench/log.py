# SPDX-License-Identifier: Apache-2.0
"""The log beside Apache Kafka and NATS JetStream: one table from one run on one machine.

The load is Kafka's own (ProducerPerformance, ConsumerPerformance, EndToEndLatency) and, where that client is the limit,
bench_load and bench_latency (librdkafka). An acknowledgement does not mean the same everywhere:
    evoke   acks=all: on disk (fdatasync). acks=1: written, not synced
    Kafka   written to the page cache, whatever acks says; synced where the row says flush.messages=1
    NATS    written; synced every two minutes
usage: log.py BUILD [SHARE]    SHARE of the full number of records, for a quick look: 0.1
"""
import collections
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from servers import EvokeLog, Kafka, Nats

Row = collections.namedtuple("Row", "what evoke kafka nats target note")


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
        """ProducerPerformance: records and MB a second, latency by percentile, and the server's CPU per GB."""
        more = [f"{name.replace('_', '.')}={value}" for name, value in properties.items()]
        before = server.cpu_s()
        out = self.tool("ProducerPerformance", "--topic", topic, "--num-records", count, "--record-size", size, "--throughput", throughput,
                        "--producer-props", f"bootstrap.servers={server.address}", f"acks={acks}", *more)
        last = out.strip().splitlines()[-1]
        rate = float(re.search(r"([\d.]+) records/sec", last).group(1))
        latency = {p: int(ms) for ms, p in re.findall(r"(\d+) ms ([\d.]+)th", last)}
        return rate, latency, (server.cpu_s() - before) / (count * size / 1e9)

    def produce_c(self, server, topic, count, size, acks):
        before = server.cpu_s()
        out = self.load(server, "produce", topic, count, size, acks)
        return float(re.search(r"(\d+) records/s", out).group(1)), (server.cpu_s() - before) / (count * size / 1e9)

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
                   f"1/60: {times['kafka'] / times['evoke']:.0f}x", "ApiVersions; NATS: INFO")

    def idle(self):
        time.sleep(5)
        servers = (self.evoke, self.kafka, self.nats)
        before = [(s.cpu_s(), s.wake_ups()) for s in servers]
        time.sleep(10)
        cost = [((s.cpu_s() - cpu) * 10, (s.wake_ups() - wakes) / 10) for s, (cpu, wakes) in zip(servers, before)]
        memory = [s.memory_mb() for s in servers]
        yield Row("memory, idle", *(f"{m:.0f} MB" for m in memory), f"1/30: 1/{memory[1] / memory[0]:.0f}", "resident")
        yield Row("idle: CPU, wake-ups", *(f"{cpu:.1f} %, {wakes:.0f}/s" for cpu, wakes in cost), "no wake-ups", "of one core; all threads")

    def throughput(self, what, target, count, size, acks, configs=None, **properties):
        got = []
        topic = re.sub(r"\W+", "-", what)
        for server in self.brokers():
            synced = configs if server is self.kafka and configs else {}
            self.create(server, topic, **synced)
            self.produce(server, topic, count // 20, size, acks, **properties)  # warm: Java compiles while it runs
            got.append(self.produce(server, topic, count, size, acks, **properties))
        (rate, _, cpu), (kafka_rate, _, kafka_cpu) = got
        return Row(f"produce {what}", f"{rate:,.0f}/s, {cpu:.1f} s", f"{kafka_rate:,.0f}/s, {kafka_cpu:.1f} s", "",
                   f"{target}: {rate / kafka_rate:.1f}x, CPU 1/{kafka_cpu / max(cpu, 0.01):.1f}", "Java client; broker's CPU per GB")

    def throughput_c(self, size, count, acks, target, nats_rate=""):
        topic = f"c-{size}-{acks}"
        got = []
        for server in self.brokers():
            self.create(server, topic)
            self.produce_c(server, topic, count // 20, size, acks)
            got.append(self.produce_c(server, topic, count, size, acks))
        (rate, cpu), (kafka_rate, kafka_cpu) = got
        return Row(f"produce {size} B, acks={acks}", f"{rate:,.0f}/s, {cpu:.1f} s", f"{kafka_rate:,.0f}/s, {kafka_cpu:.1f} s", nats_rate,
                   f"{target}: {rate / kafka_rate:.1f}x, CPU 1/{kafka_cpu / max(cpu, 0.01):.1f}", "C client; broker's CPU per GB")

    def nats_publish(self, kind, count, size):
        stream = f"{kind}{size}"
        out = subprocess.run([str(self.peers / "nats"), "-s", f"nats://{self.nats.address}", "bench", "js", "pub", kind, stream, "--create",
                              "--storage", "file", "--stream", stream, "--msgs", str(count), "--size", f"{size}B", "--no-progress"],
                             capture_output=True, text=True, timeout=600)
        rate = re.search(r"([\d,]+) msgs/sec", out.stdout + out.stderr)
        if not rate:
            raise RuntimeError("nats bench: " + out.stdout[-500:] + out.stderr[-500:])
        return f"{rate.group(1)}/s"

    def consume(self):
        count = self.count(1000000)
        rows = {}
        for server in self.brokers():
            topic = "c-1024-all"
            before = server.cpu_s()
            out = self.tool("ConsumerPerformance", "--bootstrap-server", server.address, "--topic", topic, "--messages", count)
            fields = out.strip().splitlines()[-1].split(",")
            fetching = float(fields[8])  # fetch.MB.sec
            java_cpu = (server.cpu_s() - before) / (count * 1024 / 1e9)
            before = server.cpu_s()
            out = self.load(server, "consume", topic, count)
            rows[server.name] = (fetching, java_cpu, float(re.search(r"([\d.]+) MB/s", out).group(1)), (server.cpu_s() - before) / (count * 1024 / 1e9))
        (java, java_cpu, c, c_cpu), (kafka_java, kafka_java_cpu, kafka_c, kafka_c_cpu) = rows["evoke"], rows["kafka"]
        yield Row("consume 1 KB, Java client", f"{java:.0f} MB/s, {java_cpu:.2f} s", f"{kafka_java:.0f} MB/s, {kafka_java_cpu:.2f} s", "",
                  f"{java / kafka_java:.1f}x", "while fetching; broker's CPU per GB")
        yield Row("consume 1 KB, C client", f"{c:.0f} MB/s, {c_cpu:.2f} s", f"{kafka_c:.0f} MB/s, {kafka_c_cpu:.2f} s", "",
                  f"3x, CPU 1/3: {c / kafka_c:.1f}x, 1/{kafka_c_cpu / max(c_cpu, 0.01):.0f}", "broker's CPU per GB")

    def latency(self, what, configs, target):
        got = []
        for server in self.brokers():
            topic = "latency-" + re.sub(r"\W+", "-", what)
            self.create(server, topic, **(configs if server is self.kafka else {}))
            self.produce(server, topic, self.count(50000), 100, "all", 10000)
            got.append(self.produce(server, topic, self.count(200000), 100, "all", 10000)[1])
        shown = [" / ".join(str(l[p]) for p in ("50", "99", "99.9")) + " ms" for l in got]
        return Row(f"10,000/s of 100 B, acks=all, Kafka {what}", *shown, "", target, "p50 / p99 / p99.9; Java client, whole ms")

    def end_to_end(self):
        got = []
        for server in self.brokers():
            self.create(server, "e2e")
            self.tool("EndToEndLatency", server.address, "e2e", self.count(5000), "all", 100)
            out = self.tool("EndToEndLatency", server.address, "e2e", self.count(20000), "all", 100)
            mean = float(re.search(r"Avg latency: ([\d.]+) ms", out).group(1))
            p = [int(x) for x in re.search(r"50th = (\d+), 99th = (\d+), 99.9th = (\d+)", out).groups()]
            got.append((mean, p[1], p[2]))
        shown = [f"{mean:.2f} / {p99} / {p999} ms" for mean, p99, p999 in got]
        return Row("end to end, one at a time, 100 B", *shown, "", f"1/2, 1/5: 1/{got[1][0] / got[0][0]:.1f}, 1/{got[1][1] / max(got[0][1], 1):.0f}",
                   "mean / p99 / p99.9; evoke synced, Kafka not")

    @staticmethod
    def latency_row(what, got, target, note):
        shown = [" / ".join(f"{us / 1000:.2f}" for us in four) + " ms" for four in got]
        ratios = ", ".join(f"1/{kafka / evoke:.1f}" for evoke, kafka in zip(*got))
        return Row(what, *shown, "", f"{target}: {ratios}", f"mean / p50 / p99 / p99.9; C client without linger; {note}")

    def paced_c(self, what, configs, note):
        got = []
        for server in self.brokers():
            topic = "paced-" + re.sub(r"\W+", "-", what)
            self.create(server, topic, **(configs if server is self.kafka else {}))
            self.latency_c(server, "produce", topic, self.count(50000), 100, "all", 10000)
            got.append(self.latency_c(server, "produce", topic, self.count(200000), 100, "all", 10000))
        return self.latency_row(f"10,000/s of 100 B, acks=all, Kafka {what}", got, "1/4 each", note)

    def end_to_end_c(self, what, configs, note):
        got = []
        for server in self.brokers():
            topic = "through-" + re.sub(r"\W+", "-", what)
            self.create(server, topic, **(configs if server is self.kafka else {}))
            self.latency_c(server, "through", topic, self.count(5000), 100)
            got.append(self.latency_c(server, "through", topic, self.count(20000), 100))
        return self.latency_row(f"end to end, one at a time, 100 B, Kafka {what}", got, "1/2, p99 1/5", note)

    def one_at_a_time(self, acks, note):
        topic = f"one-{acks}"
        got = []
        for server in self.brokers():
            self.create(server, topic)
            self.latency_c(server, "one", topic, self.count(5000), 100, acks)
            got.append(1e6 / self.latency_c(server, "one", topic, self.count(20000), 100, acks)[0])
        nats = self.nats_publish("sync", self.count(20000), 100)
        return Row(f"one at a time, 100 B, acks={acks}", *(f"{rate:,.0f}/s" for rate in got), nats, "NATS", f"C client; {note}")

    def many_topics(self):
        got = []
        for server in self.brokers():
            out = self.load(server, "spread", "many", 1000, self.count(200000))
            got.append(float(re.search(r"(\d+) records/s", out).group(1)))
        return Row("200,000 keyed records over 1,000 topics, acks=all", *(f"{rate:,.0f}/s" for rate in got), "", f"10x: {got[0] / got[1]:.0f}x", "C client, linger 5 ms")

    def memory_under_load(self):
        servers = (self.evoke, self.kafka, self.nats)
        peak = [s.memory_mb("VmHWM") for s in servers]
        own = [s.memory_mb("RssAnon") for s in servers]
        return Row("memory, the most so far / own at the end", *(f"{p:.0f} / {o:.0f} MB" for p, o in zip(peak, own)), f"1/20: 1/{peak[1] / peak[0]:.0f}",
                   "resident; own: without mapped files")

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
        return Row(f"start after kill -9 with {records / 1e6:.1f} GB more", *(f"{s:.2f} s" for s in got), "", f"1/30: {got[1] / got[0]:.0f}x",
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
        row = Row("10,000 topics", f"{memory:.0f} MB", "", "", "100 MB", f"made in {took:.2f} s; start after kill -9 {again * 1000:.0f} ms")
        server.remove()
        return row

    def rows(self):
        yield self.start_empty()
        yield from self.idle()
        yield self.throughput("100 B, acks=1", "2x", self.count(3000000), 100, "1")
        yield self.throughput("100 B, acks=all", "2x", self.count(3000000), 100, "all")
        yield self.throughput("1 KB, acks=1", "2x, CPU 1/3", self.count(1000000), 1024, "1")
        yield self.throughput("1 KB, batches of 128 KB, acks=1", "3x, CPU 1/3", self.count(1000000), 1024, "1", batch_size=131072, linger_ms=10)
        yield self.throughput("1 KB, synced, acks=all", "5x", self.count(300000), 1024, "all", configs={"flush_messages": 1})
        yield self.throughput_c(100, self.count(3000000), "all", "2x", self.nats_publish("async", self.count(500000), 100))
        yield self.throughput_c(1024, self.count(1000000), "1", "2x, CPU 1/3")
        yield self.throughput_c(1024, self.count(1000000), "all", "2x", self.nats_publish("async", self.count(200000), 1024))
        yield from self.consume()
        yield self.latency("default", {}, "1/4 each")
        yield self.latency("flush.messages=1", {"flush_messages": 1}, "1/4 each")
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

    def run(self):
        print(f"{'':<50} {'evoke':>24} {'Kafka 4.1':>24} {'NATS 2.15':>14}  target: reached; what is measured")
        try:
            for row in self.rows():
                print(f"{row.what:<50} {row.evoke:>24} {row.kafka:>24} {row.nats:>14}  {row.target}; {row.note}", flush=True)
        finally:
            for server in (self.evoke, self.kafka, self.nats):
                server.remove()
            shutil.rmtree(self.directory, ignore_errors=True)


if __name__ == "__main__":
    Bench(pathlib.Path(sys.argv[1]).resolve(), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0).run()
