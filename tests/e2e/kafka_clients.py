# SPDX-License-Identifier: Apache-2.0
"""The real Kafka clients behind the same verbs, as programs of their own:

    produce BOOTSTRAP PREFIX COUNT CODEC ...   to the topic <PREFIX>-<CODEC> each: records i = 0 .. COUNT-1 with key "k<i>",
                                               value "<codec> <i> xxx...", header n=<i>
    consume BOOTSTRAP COUNT TOPIC ...          prints "<topic> <partition> <offset> <key> <codec> <i> <n>" of each record
    seek BOOTSTRAP TOPIC MS                    prints "<offset> <value>" of the first record of partition 0 that is not older
    group BOOTSTRAP TOPIC GROUP                prints "assigned <partition> ..." and "got <partition> <offset>" until SIGTERM;
                                               confluent, kcat and Java take settings of the client behind it, as NAME=VALUE;
                                               confluent and Java print "owns <wall time in us> <partition> ..." as well
    admin BOOTSTRAP TOPIC FILLED GROUP         makes TOPIC with 2 partitions, compacted, grows it to 4, sets retention.ms; deletes
                                               records of FILLED below offset 2; deletes TOPIC and GROUP; prints what it sees
                                               meanwhile, as in ADMINISTERED
    node BOOTSTRAP TOPIC                       what there is to know and to set of a cluster of one node (Java)
    quota BOOTSTRAP CLIENT_ID NAME VALUE       sets one (Java)
    every BOOTSTRAP                            prints what each call of an administrator comes to (EveryCall.java)

Of transactions:
    transact BOOTSTRAP TOPIC ID              "first 0".."first 9" committed, "aborted .." aborted, "second .." committed, "open" left open
    read BOOTSTRAP TOPIC ...                 prints "<topic> <value>" of what a reader of committed records sees of partitions 0 and 1
    fence BOOTSTRAP TOPIC ID                 two producers with one id: prints what the older one's commit comes to
    pipe BOOTSTRAP FROM TO GROUP ID COUNT    copies COUNT records, and "done" behind each, with their offsets, in transactions
                                             of which every third is aborted and done again
    hanging BOOTSTRAP TOPIC ID               what an administrator sees of a transaction that hangs, and how it is ended (Java)
"""
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent / "kafka"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
ADMINISTERED = {"nodes": "1", "partitions": "4", "policy": "compact", "retention": "1000", "earliest": "2", "latest": "5",
                "groups": "1", "committed": "3", "left": "0"}


class Client:
    """One of them: what runs it, and what it can; `missing` are the lines of ADMINISTERED that it has no call for."""

    def __init__(self, programs, codecs=CODECS, groups=True, administers=True, missing=(), transacts=(), compiled=False):
        self.programs = programs  # of verb's kinds ("client", "admin", "txn"), or one for all
        self.codecs = codecs
        self.groups = groups
        self.administers = administers
        self.missing = set(missing)
        self.transacts = transacts  # which of its verbs
        self.compiled = compiled    # there only where setup.sh found a compiler that is new enough


def scripts(runner, suffix):
    return {kind: [*runner, HERE / f"{kind}{suffix}"] for kind in ("client", "admin", "txn")}


def java(name):
    run = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"@/{name}/jars/*"]
    return {kind: [*run, HERE / f"{file}.java"] for kind, file in (("client", "Client"), ("admin", "Administrator"), ("txn", "Transactions"), ("every", "EveryCall"))}


def binary(path):
    return dict.fromkeys(("client", "admin", "txn"), [path])


ALL = ("transact", "read", "fence", "pipe")
CLIENTS = {  # "@" is the folder that setup.sh has filled
    "kcat": Client(scripts(["/usr/bin/python3"], "_kcat.py"), administers=False, transacts=("transact", "read", "fence")),
    "confluent": Client(scripts(["@/venv/bin/python"], "_confluent.py"), transacts=ALL),
    "python": Client(scripts(["@/venv/bin/python"], "_python.py"), transacts=ALL),
    "debian": Client(scripts(["/usr/bin/python3"], "_python.py"), missing=("earliest",)),
    "kafkajs": Client(scripts(["node"], ".js"), codecs=("none", "gzip", "snappy"), transacts=ALL),
    "java": Client(java("java"), transacts=ALL),
    "java3": Client(java("java3"), transacts=ALL),
    "franz-go": Client(binary("@/go_client"), transacts=ALL, compiled=True),
    "rskafka": Client(binary("@/rust_client"), groups=False, compiled=True,
                      missing=("nodes", "policy", "retention", "groups", "committed")),
}
KIND = {**dict.fromkeys(("admin", "node", "quota"), "admin"), **dict.fromkeys((*ALL, "hanging"), "txn"), "every": "every"}  # the rest is "client"


def missing(clients, name):
    return CLIENTS[name].compiled and not pathlib.Path(command(clients, name, "client")[0]).exists()


def command(clients, name, verb):
    program = CLIENTS[name].programs[KIND.get(verb, "client")]
    return [str(part).replace("@", str(clients), 1) if str(part).startswith("@") else str(part) for part in program]


def environment(clients):
    return {**os.environ, "NODE_PATH": str(clients / "node_modules")}


def run(clients, name, verb, *arguments, timeout=90):
    """Runs one verb to its end and returns what it printed."""
    done = subprocess.run([*command(clients, name, verb), verb, *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout, env=environment(clients))
    told = f"{name} {verb} {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, told
    return done.stdout


def start(clients, name, verb, *arguments):
    return subprocess.Popen([*command(clients, name, verb), verb, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=environment(clients))


def kcat(bootstrap, *arguments, stdin=None, timeout=60, check=True):
    done = subprocess.run(["kcat", "-b", bootstrap, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=timeout)
    if check:
        assert done.returncode == 0, f"kcat {arguments}: exit {done.returncode}\n{done.stderr}"
    return done.stdout


def consume(clients, name, bootstrap, count, topics):
    """{topic: {(partition, offset): (key, codec, i, header)}}"""
    got = {topic: {} for topic in topics}
    for line in run(clients, name, "consume", bootstrap, count, *topics).splitlines():
        topic, partition, offset, key, codec, i, *rest = line.split()
        got[topic][int(partition), int(offset)] = (key, codec, int(i), rest[-1])
    return got
