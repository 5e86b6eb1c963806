# SPDX-License-Identifier: Apache-2.0
"""The real Kafka clients behind the same verbs, as programs of their own:

    produce BOOTSTRAP PREFIX COUNT CODEC ...   to the topic <PREFIX>-<CODEC> each: records i = 0 .. COUNT-1 with key "k<i>",
                                               value "<codec> <i> xxx...", header n=<i>
    consume BOOTSTRAP COUNT TOPIC ...          prints "<topic> <partition> <offset> <key> <codec> <i> <n>" of each record
    group BOOTSTRAP TOPIC GROUP                prints "assigned <partition> ..." and "got <partition> <offset>" until SIGTERM;
                                               confluent and Java take settings of the client behind it, as NAME=VALUE
"""
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent / "kafka"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

# name: codecs that it produces with what setup.sh brings
PRODUCERS = {
    "kcat": CODECS,
    "confluent": CODECS,
    "python": CODECS,
    "debian": CODECS,
    "kafkajs": ("none", "gzip", "snappy"),
    "java": CODECS,
    "java3": CODECS,
    "franz-go": CODECS,
    "rskafka": CODECS,
}
COMPILED = {"franz-go": "go_client", "rskafka": "rust_client"}  # there only where setup.sh found a compiler that is new enough


def missing(clients, name):
    return name in COMPILED and not (clients / COMPILED[name]).exists()


def java(clients, name):
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{clients}/{name}/jars/*", HERE / "Client.java"]


def command(clients, name):
    return {
        "confluent": [clients / "venv/bin/python", HERE / "client_confluent.py"],
        "python": [clients / "venv/bin/python", HERE / "client_python.py"],
        "debian": ["/usr/bin/python3", HERE / "client_python.py"],
        "kafkajs": ["node", HERE / "client.js"],
        "java": java(clients, "java"),
        "java3": java(clients, "java3"),
        "franz-go": [clients / "go_client"],
        "rskafka": [clients / "rust_client"],
    }[name]


def environment(clients):
    return {**os.environ, "NODE_PATH": str(clients / "node_modules")}


def run(clients, name, *arguments, timeout=60):
    """Runs one verb to its end and returns what it printed."""
    done = subprocess.run([*map(str, command(clients, name)), *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout, env=environment(clients))
    assert done.returncode == 0, f"{name} {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def start(clients, name, *arguments):
    return subprocess.Popen([*map(str, command(clients, name)), *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=environment(clients))


def kcat(bootstrap, *arguments, stdin=None, timeout=60, check=True):
    done = subprocess.run(["kcat", "-b", bootstrap, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=timeout)
    if check:
        assert done.returncode == 0, f"kcat {arguments}: exit {done.returncode}\n{done.stderr}"
    return done.stdout


def produce(clients, name, bootstrap, prefix, count, codecs):
    if name != "kcat":
        run(clients, name, "produce", bootstrap, prefix, count, *codecs)
        return
    lines = "".join(f"k{i}|CODEC {i} {'x' * 100}\n" for i in range(count))
    for codec in codecs:  # kcat gives all records of a run the same headers
        kcat(bootstrap, "-P", "-t", f"{prefix}-{codec}", "-z", codec, "-K", "|", "-H", "n=same", "-X", "enable.idempotence=true",
             stdin=lines.replace("CODEC", codec))


def consume(clients, name, bootstrap, count, topics):
    """{topic: {(partition, offset): (key, codec, i, header)}}"""
    if name == "kcat":
        lines = [line for topic in topics
                 for line in kcat(bootstrap, "-C", "-t", topic, "-e", "-q", "-X", "fetch.wait.max.ms=10", "-f", "%t %p %o %k %s %h\n").splitlines()]
    else:
        lines = run(clients, name, "consume", bootstrap, count, *topics).splitlines()
    got = {topic: {} for topic in topics}
    for line in lines:
        topic, partition, offset, key, codec, i, *rest = line.split()
        got[topic][int(partition), int(offset)] = (key, codec, int(i), rest[-1])
    return got
