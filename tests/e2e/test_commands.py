# SPDX-License-Identifier: Apache-2.0
"""The commands of the program as scripts and people use them: what they print, and their exit codes."""
import fcntl
import functools
import json
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest
import requests

import manifests
from conftest import free_port, wait_until

DONE, FAILED, USAGE, NOT_FOUND, NOT_NOW = range(5)


@pytest.fixture
def topic(request):
    return f"{request.node.name[:40].replace('[', '-').replace(']', '')}-{random.randrange(1 << 30)}"


@pytest.fixture
def run(evoke):
    """An evoke command against the daemon; with `code`, that exit code is expected."""
    def call(*arguments, code=DONE, stdin=""):
        done = subprocess.run([str(evoke.binary), *map(str, arguments)], capture_output=True, timeout=60,
                              input=stdin.encode() if isinstance(stdin, str) else stdin,
                              env={**os.environ, "EVOKE_BROKERS": evoke.kafka})
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.decode() if code == DONE else done.stderr.decode()
    return call


def records(run, topic, *arguments):
    return [json.loads(line) for line in run("consume", topic, "-o", "json", *arguments).splitlines()]


# --- Help, usage, completion ---

def commands(run, *path):
    """All commands that have none below them."""
    found = []
    lines = run(*path, "--help").splitlines()
    below = lines[lines.index("Commands:") + 1:] if "Commands:" in lines else []
    for line in below:
        if not line.startswith("  "):
            break
        found += commands(run, *path, line.split()[0])
    return found or [path]


def test_every_command_has_help_with_flags(run):
    all_of_them = commands(run)
    assert ("topic", "alter") in all_of_them and ("serve",) in all_of_them and len(all_of_them) > 15
    for path in all_of_them:
        text = run(*path, "--help")
        assert text.startswith(f"Usage: evoke {' '.join(path)} [flags]") and "\nFlags:\n" in text and "\nExit codes: " in text
        assert "\nExamples:\n" in text or path == ("version",)
        assert run("help", *path) == text


@pytest.mark.parametrize("arguments, words", [
    ([], "Usage: evoke COMMAND"),
    (["nope"], 'unknown command "nope"; "evoke --help" lists them'),
    (["topic", "nope"], 'unknown command "nope"; "evoke topic --help" lists them'),
    (["topic", "create"], "what is missing: TOPIC"),
    (["topic", "create", "a", "b"], "unexpected argument: b"),
    (["topic", "create", "a", "--partition"], "unknown flag: --partition"),
    (["topic", "create", "a", "-c", "novalue"], '--config: NAME=VALUE, not "novalue"'),
    (["topic", "alter", "a"], "nothing to alter"),
    (["consume", "a", "-o", "xml"], '--output: one of text|raw|json|full, not "xml"'),
    (["consume", "a", "--offset", "tomorrow"], "--offset: beginning, end, a number, or a time"),
    (["publish", "a", "b", "--tombstone"], "one of VALUE, --file and --tombstone"),
    (["publish", "a", "--rate", "0"], "--rate: 1 to "),
    (["publish", "a", "--partition", "-1"], "--partition: 0 to "),
    (["consume", "a", "--count", "0"], "--count: 1 to "),
    (["topic", "create", "a", "-p", "5000000000"], "--partitions: 1 to 2147483647, not 5000000000"),
    (["group", "reset", "g"], "where to?"),
    (["group", "reset", "g", "--to-latest", "--to-earliest"], "where to?"),
    (["group", "reset", "g", "--to-latest"], "of which topics?"),
    (["group", "reset", "g", "--all-topics", "--by-duration", "1h"], "--by-duration: a duration such as"),
    (["publish", "a", "--compression", "brotli"], '--compression: one of none|gzip|snappy|lz4|zstd, not "brotli"'),
    (["topic", "list", "--brokers", "localhost:http"], '--brokers: must be HOST or HOST:PORT, not "localhost:http"'),
    (["group", "list", "-b", "127.0.0.1:9092,"], '--brokers: must be HOST or HOST:PORT, not ""'),
    (["serve", "--advertise-kafka", "here:"], '--advertise-kafka: must be HOST or HOST:PORT, not "here:"'),
    (["serve", "--data", ""], "--data: must name a directory"),
    (["completion", "tcsh"], "completion for bash, zsh or fish"),
])
def test_wrong_usage_is_named_and_exits_with_2(run, arguments, words):
    assert words in run(*arguments, code=USAGE)


def test_what_is_not_there_exits_with_3(run, topic):
    for arguments in (["topic", "describe", topic], ["topic", "delete", topic], ["consume", topic],
                      ["topic", "alter", topic, "--config", "retention.ms=1"], ["group", "describe", topic],
                      ["group", "delete", topic], ["group", "reset", topic, "--all-topics", "--to-latest"]):
        text = run(*arguments, code=NOT_FOUND)
        assert topic in text
    run("topic", "delete", topic, "--if-exists")
    run("group", "delete", topic, "--if-exists")


def test_nobody_at_the_address_exits_with_4_and_says_what_to_do(run):
    address = f"127.0.0.1:{free_port()}"
    text = run("topic", "list", "-b", address, code=NOT_NOW)
    assert address in text and "evoke serve" in text and "--brokers" in text


def test_a_server_of_another_protocol_is_named(run, evoke):
    for address in (evoke.http, evoke.api):
        text = run("topic", "list", "-b", address, code=NOT_NOW)
        assert f"{address} closed the connection at the first request; is it a Kafka server?" in text


def test_brokers_are_hosts_of_which_the_first_that_answers_is_asked(run, evoke):
    here = "localhost:" + evoke.kafka.split(":")[1]
    run("topic", "list", "-b", here)
    run("topic", "list", "-b", f"127.0.0.1:{free_port()},no.such.host.invalid:1,{here}")
    assert "no.such.host.invalid:1" in run("topic", "list", "-b", "no.such.host.invalid:1", code=NOT_NOW)


@pytest.mark.parametrize("arguments", [["topic", "list"], ["topic", "--help"], ["consume", "unwritten"]])
def test_what_could_not_be_written_is_an_error(run, evoke, arguments):
    run("publish", "unwritten", "x")
    with open("/dev/full", "w") as full:
        done = subprocess.run([evoke.binary, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30,
                              env={**os.environ, "EVOKE_BROKERS": evoke.kafka})
    assert (done.returncode, done.stderr) == (FAILED, "evoke: write standard output: No space left on device\n")


COMPLETE_BASH = """
source <("$0" completion bash)
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
__evoke 2> /dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("words, among", [
    ([""], {"serve", "topic", "completion", "--help"}),
    (["topic", ""], {"create", "list", "describe", "alter", "delete"}),
    (["topic", "create", "--"], {"--partitions", "--config", "--brokers"}),
    (["consume", "-o", ""], {"text", "raw", "json", "full"}),
    (["serve", "--log-level", ""], {"debug", "info", "warn", "error"}),
    (["completion", ""], {"bash", "zsh", "fish"}),
    (["group", "reset", "--to-e"], {"--to-earliest"}),
])
def test_bash_completes(evoke, words, among):
    done = subprocess.run(["bash", "-c", COMPLETE_BASH, evoke.binary, "evoke", *words], capture_output=True, text=True, timeout=20)
    assert among <= set(done.stdout.split()), done


def test_bash_completes_topics_that_the_server_has(evoke, run, topic):
    run("topic", "create", topic)
    path = {**os.environ, "EVOKE_BROKERS": evoke.kafka, "PATH": f"{evoke.binary.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", COMPLETE_BASH, evoke.binary, "evoke", "topic", "describe", topic[:-3]],
                          capture_output=True, text=True, timeout=20, env=path)
    assert done.stdout.split() == [topic]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_parse(evoke, run, shell, tmp_path):
    script = run("completion", shell)
    assert "keep-pods" in script and "to-earliest" in script
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    (tmp_path / "script").write_text(script)
    subprocess.run([shell, "-n", tmp_path / "script"], check=True, timeout=20)


# --- topic ---

def test_a_topic_lives(run, topic):
    assert run("topic", "create", topic, "-p", 2, "--config", "retention.ms=60000") == f"topic {topic} created\n"
    assert "(TOPIC_ALREADY_EXISTS)" in run("topic", "create", topic, code=FAILED)
    run("topic", "create", topic, "--if-not-exists")
    assert topic in run("topic", "list", "-o", "name").split()
    listed = {t["name"]: t for t in json.loads(run("topic", "list", "--internal", "-o", "json"))}
    assert listed[topic] == {"name": topic, "partitions": 2, "internal": False} and listed["__consumer_offsets"]["internal"]
    assert "__consumer_offsets" not in run("topic", "list", "-o", "name").split()
    run("topic", "alter", topic, "--partitions", 3, "-c", "max.message.bytes=1000", "--delete-config", "retention.ms")
    assert "INVALID_PARTITIONS" in run("topic", "alter", topic, "-p", 1, code=FAILED)
    assert "INVALID_CONFIG" in run("topic", "alter", topic, "-c", "retention.ms=soon", code=FAILED)
    [described] = json.loads(run("topic", "describe", topic, "-o", "json"))
    assert described["configs"] == {"max.message.bytes": "1000"} and len(described["partitions"]) == 3
    text = run("topic", "describe", topic)
    assert "Config:      max.message.bytes=1000\n" in text and "PARTITION" in text
    assert run("topic", "delete", topic) == f"topic {topic} deleted\n"
    assert topic not in run("topic", "list", "-o", "name").split()


# --- publish and consume ---

def test_a_record_comes_back_with_key_and_headers(run, topic):
    said = run("publish", topic, "--key", "k", "-H", "a=1", "-H", "b=x=y", "värde")
    assert said == f"{topic} partition 0 offset 0\n"
    [record] = records(run, topic)
    assert (record["key"], record["value"], record["headers"]) == ("k", "värde", {"a": "1", "b": "x=y"})
    full = run("consume", topic, "-o", "full").splitlines()
    assert full[0].startswith(f"{topic}/0 offset 0 20") and full[1:] == ["key: k", "a: 1", "b: x=y", "", "värde", ""]


def test_lines_are_records_and_keys_may_stand_before_them(run, topic):
    assert run("publish", topic, stdin="a\nb\n\nlast without a break") == f"4 records published to {topic}\n"
    assert run("consume", topic) == "a\nb\n\nlast without a break\n"
    run("publish", topic, "-K", "::", "-q", stdin="k1::v1\nk2::\n")
    assert [(r["key"], r["value"]) for r in records(run, topic, "--offset", 4)] == [("k1", "v1"), ("k2", "")]
    assert 'line 1: no "::" after a key' in run("publish", topic, "-K", "::", code=FAILED, stdin="nokey\n")


def test_files_are_whole_values_and_raw_gives_them_back(run, topic, evoke, tmp_path):
    content = bytes(range(256)) * 10
    (tmp_path / "f").write_bytes(content)
    run("publish", topic, "--file", tmp_path / "f", "--file", tmp_path / "f")
    raw = subprocess.run([evoke.binary, "consume", "-b", evoke.kafka, topic, "-n", "1", "-o", "raw"], capture_output=True, timeout=20)
    assert raw.returncode == 0 and raw.stdout == content
    assert "no-such-file" in run("publish", topic, "--file", "no-such-file", code=NOT_FOUND)
    run("publish", topic, "--file", "-", stdin="of a\npipe")
    assert records(run, topic)[-1]["value"] == "of a\npipe"


def test_json_goes_from_topic_to_topic_unchanged(run, topic, tmp_path):
    (tmp_path / "f").write_bytes(b"\xff\x00binary")
    run("publish", topic, "--key", "k", "-H", "h=1", "--file", tmp_path / "f")
    run("publish", topic, "--key", "k", "--tombstone")
    run("publish", topic + "-copy", "--input", "json", stdin=run("consume", topic, "-o", "json"))
    interesting = ("key", "headers", "value", "partition", "offset")
    both = [[{k: r[k] for k in interesting} for r in records(run, t)] for t in (topic, topic + "-copy")]
    assert both[0] == both[1] and both[0][1]["value"] is None
    assert "line 1: key: must be a string" in run("publish", topic, "-i", "json", stdin='{"key": 1}', code=FAILED)


def test_lines_before_a_wrong_one_are_published(run, topic):
    run("topic", "create", topic)
    assert 'line 3: no ":" after a key' in run("publish", topic, "-K", ":", stdin="a:1\nb:2\nc\nd:4\n", code=FAILED)
    assert [(r["key"], r["value"]) for r in records(run, topic)] == [("a", "1"), ("b", "2")]


def test_keys_go_where_kafkas_clients_put_them(run, topic, evoke):
    from confluent_kafka import Producer
    run("topic", "create", topic, "-p", 7)
    producer = Producer({"bootstrap.servers": evoke.kafka, "partitioner": "murmur2_random"})
    for i in range(50):
        producer.produce(topic, key=f"key-{i}", value="theirs")
    producer.flush(20)
    run("publish", topic, "-K", ":", stdin="".join(f"key-{i}:ours\n" for i in range(50)))
    places = {}
    for record in records(run, topic):
        places.setdefault(record["key"], set()).add(record["partition"])
    assert len(places) == 50 and all(len(p) == 1 for p in places.values())
    assert len(set.union(*places.values())) > 1


def test_consume_starts_where_it_is_told(run, topic, evoke):
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient
    run("topic", "create", topic)
    run("publish", topic, stdin="".join(f"{i}\n" for i in range(10)))
    time.sleep(0.01)
    middle = time.time()
    time.sleep(0.01)
    run("publish", topic, stdin="".join(f"{i}\n" for i in range(10, 20)))
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(middle)) + f"{middle % 1:.3f}"[1:] + "Z"

    def values(*arguments):
        return [int(line) for line in run("consume", topic, *arguments).split()]
    assert values() == list(range(20))
    assert values("--offset", 7, "-n", 2) == [7, 8]
    assert values("--offset", -3) == [17, 18, 19]
    assert values("--offset", -100, "-n", 1) == [0]
    assert values("--offset", "end") == []
    assert values("--offset", 1000) == []
    assert values("--offset", f"@{moment}") == list(range(10, 20))
    assert values("--offset", f"@{int(middle * 1000)}") == list(range(10, 20))
    assert values("--offset", "@2100-01-01T00:00:00Z") == []
    assert "has no partition 1: it has 0 to 0" in run("consume", topic, "-p", 1, code=NOT_FOUND)
    assert "has no partition 1: it has 0 to 0" in run("publish", topic, "-p", 1, "x", code=NOT_FOUND)
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    admin.delete_records([TopicPartition(topic, 0, 15)])[TopicPartition(topic, 0, 15)].result(10)
    assert values("--offset", 7) == values("--offset", -7) == [15, 16, 17, 18, 19]


def test_consume_ends_in_silence_when_nobody_reads_on(run, topic, evoke):
    run("publish", topic, stdin="x" * 70 + "\n" + "y\n" * 200000)
    done = subprocess.run(["bash", "-c", '"$0" consume -b "$1" "$2" -g "$2" | head -1; exit ${PIPESTATUS[0]}', evoke.binary, evoke.kafka, topic],
                          capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGPIPE, "x" * 70 + "\n", "")
    assert len(run("consume", topic, "-g", topic).splitlines()) == 200001  # nothing was committed


def test_consume_follows_and_publish_does_not_wait_for_the_end_of_a_pipe(run, topic, evoke):
    environment = {**os.environ, "EVOKE_BROKERS": evoke.kafka}
    run("topic", "create", topic)
    publisher = subprocess.Popen([evoke.binary, "publish", topic, "-q"], stdin=subprocess.PIPE, text=True, env=environment)
    reader = subprocess.Popen([evoke.binary, "consume", topic, "-f", "-n", "2"], stdout=subprocess.PIPE, text=True, env=environment)
    for word in ("one\n", "two\n"):
        publisher.stdin.write(word)
        publisher.stdin.flush()
        assert reader.stdout.readline() == word
    publisher.stdin.close()
    assert publisher.wait(20) == 0 and reader.wait(20) == 0


def test_consume_sees_partitions_that_are_added_while_it_follows(run, topic, evoke):
    environment = {**os.environ, "EVOKE_BROKERS": evoke.kafka}
    run("topic", "create", topic)
    reader = subprocess.Popen([evoke.binary, "consume", topic, "-f", "-n", "2", "--offset", "end"], stdout=subprocess.PIPE, text=True,
                              env=environment)
    time.sleep(0.5)  # it is at the end
    run("publish", topic, "one", "--partition", 0)
    assert reader.stdout.readline() == "one\n"
    run("topic", "alter", topic, "--partitions", 3)
    run("publish", topic, "two", "--partition", 2)
    assert reader.stdout.readline() == "two\n" and reader.wait(20) == 0


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_is_published_is_packed_as_it_is_told(run, topic, evoke, codec):
    lines = [f"a value that repeats itself {i}" for i in range(1000)]
    run("topic", "create", topic)
    run("publish", topic, "--compression", codec, stdin="\n".join(lines) + "\n")
    assert run("consume", topic).splitlines() == lines
    from confluent_kafka import Consumer, TopicPartition
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    assert [message.value().decode() for message in consumer.consume(1000, 20)] == lines
    consumer.close()
    text = requests.get(f"http://{evoke.admin}/metrics", timeout=5).text
    size = float(re.search(rf'evoke_log_partition_bytes{{topic="{topic}",partition="0"}} (\S+)', text).group(1))
    assert (size < 20000) == (codec != "none"), size


def test_a_rate_spreads_records(run, topic):
    run("publish", topic, "--rate", 50, stdin="".join(f"{i}\n" for i in range(11)))
    stamps = [record["timestamp"] for record in records(run, topic)]
    assert len(stamps) == 11 and stamps[-1] - stamps[0] >= 190  # never faster


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_what_is_consumed_is_unpacked(run, topic, evoke, codec):
    from confluent_kafka import Producer
    producer = Producer({"bootstrap.servers": evoke.kafka, "compression.type": codec})
    for i in range(100):
        producer.produce(topic, value=f"a value that repeats itself {i}")
    producer.flush(20)
    assert run("consume", topic) == "".join(f"a value that repeats itself {i}\n" for i in range(100))


# --- group ---

@pytest.fixture
def group(run, topic, evoke):
    """A group that has read ten records, and left."""
    from confluent_kafka import Consumer, TopicPartition
    run("topic", "create", topic)
    run("publish", topic, stdin="".join(f"{i}\n" for i in range(10)))
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": topic, "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(topic, 0, 10)], asynchronous=False)
    consumer.close()
    return topic


def committed(run, group):
    [described] = json.loads(run("group", "describe", group, "-o", "json"))
    return {(p["topic"], p["partition"]): p.get("committed") for p in described["partitions"]}


def test_a_group_is_shown_with_its_lag(run, group):
    run("publish", group, "more")
    assert group in run("group", "list", "-o", "name").split()
    listed = {g["name"]: g for g in json.loads(run("group", "list", "-o", "json"))}
    assert listed[group]["state"] == "Empty" and "protocol" in listed[group]
    [described] = json.loads(run("group", "describe", group, "-o", "json"))
    assert described["state"] == "Empty"
    assert described["partitions"] == [{"topic": group, "partition": 0, "committed": 10, "end": 11, "lag": 1}]
    assert "LAG" in run("group", "describe", group)


@pytest.mark.parametrize("arguments, offset", [
    (["--to-earliest"], 0), (["--to-latest"], 10), (["--to-offset", 3], 3), (["--to-offset", 99], 10),
    (["--shift-by", -4], 6), (["--shift-by", -40], 0), (["--to-current"], 10), (["--by-duration", "PT1H"], 0),
    (["--to-datetime", "2100-01-01T00:00:00Z"], 10), (["--to-datetime", "2001-01-01T00:00:00Z"], 0),
])
def test_a_group_is_reset_when_told_to_execute(run, group, arguments, offset):
    where = [group, "--topic", f"{group}:0", *arguments]
    [row] = json.loads(run("group", "reset", *where, "-o", "json"))
    assert row["new"] == offset and committed(run, group) == {(group, 0): 10}
    run("group", "reset", *where, "--execute")
    assert committed(run, group) == {(group, 0): offset}


def test_a_group_with_members_is_neither_reset_nor_deleted(run, group, evoke):
    from confluent_kafka import Consumer
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": group})
    consumer.subscribe([group])
    wait_until(lambda: (consumer.poll(0.1), consumer.assignment())[1], what="the member has its partition")
    [described] = json.loads(run("group", "describe", group, "-o", "json"))
    assert described["partitions"][0]["member"] == described["members"][0]["member"]
    assert "1 members" in run("group", "reset", group, "--all-topics", "--to-earliest", "--execute", code=NOT_NOW)
    assert "stop them first" in run("group", "delete", group, code=NOT_NOW)
    consumer.close()
    run("group", "delete", group)
    run("group", "describe", group, code=NOT_FOUND)


def test_consume_goes_on_where_its_group_was(run, topic):
    run("topic", "create", topic, "-p", 3)
    run("publish", topic, "-K", ":", stdin="".join(f"{i}:{i}\n" for i in range(30)))
    first = run("consume", topic, "--group", topic, "-n", 10).split()
    assert len(first) == 10
    rest = run("consume", topic, "--group", topic).split()
    assert sorted(first + rest, key=int) == [str(i) for i in range(30)]
    assert run("consume", topic, "--group", topic) == ""
    [described] = json.loads(run("group", "describe", topic, "-o", "json"))
    assert described["state"] == "Empty" and [p["lag"] for p in described["partitions"]] == [0, 0, 0]
    assert "--partition or --group" in run("consume", topic, "-g", topic, "-p", 0, code=USAGE)


def test_members_of_a_group_share_with_any_client(run, topic, evoke, tmp_path):
    """Two of ours and one of librdkafka; then one of ours is interrupted, and what it had goes to the others."""
    from confluent_kafka import Consumer
    run("topic", "create", topic, "-p", 6)
    theirs = Consumer({"bootstrap.servers": evoke.kafka, "group.id": topic, "auto.offset.reset": "earliest",
                       "session.timeout.ms": 10000, "heartbeat.interval.ms": 500})
    theirs.subscribe([topic])
    got = []

    def poll():
        message = theirs.poll(0.05)
        if message and not message.error():
            got.append(message.value().decode())
    environment = {**os.environ, "EVOKE_BROKERS": evoke.kafka}
    outputs = [tmp_path / "0", tmp_path / "1"]
    ours = [subprocess.Popen([evoke.binary, "consume", topic, "-g", topic, "-f"], stdout=open(path, "w"), env=environment)
            for path in outputs]

    def shares():
        poll()
        partitions = json.loads(run("group", "describe", topic, "-o", "json"))[0]["partitions"]
        members = [p.get("member") for p in partitions]
        return sorted(members.count(m) for m in set(members) if m)
    wait_until(lambda: shares() == [2, 2, 2], what="three members have two partitions each")
    run("publish", topic, "-K", ":", stdin="".join(f"{i}:{i}\n" for i in range(60)))

    def everything():
        poll()
        return sorted(got + "".join(path.read_text() for path in outputs).split(), key=int)
    wait_until(lambda: len(everything()) >= 60, what="all records are read")
    assert everything() == [str(i) for i in range(60)] and got and all(path.read_text() for path in outputs)
    ours[0].send_signal(signal.SIGINT)
    wait_until(lambda: (poll(), ours[0].poll())[1] is not None, what="it leaves")
    assert ours[0].returncode == -signal.SIGINT
    wait_until(lambda: shares() == [3, 3], timeout=8, what="its partitions are the others', before its session could end")
    ours[1].terminate()
    ours[1].wait(20)
    theirs.close()


# --- up and down ---

class Up:
    """evoke up of a directory on ports of its own."""

    def __init__(self, evoke_class_instance, path, *arguments, terminal=None, stdin=None):
        self.evoke = evoke_class_instance
        command = self.evoke.command()
        command[1:2] = ["up", str(path), *arguments]
        self.evoke.log = open(self.evoke.log_path, "ab")
        self.process = self.evoke.process = subprocess.Popen(command, stdin=stdin, stdout=terminal or self.evoke.log, stderr=self.evoke.log)
        wait_until(self.evoke.healthy, what="up is healthy")

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.evoke.process = None
        return code


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1][0] != "Z"


@pytest.fixture
def app(tmp_path):
    """A Deployment of a process that writes its pid, and a ConfigMap."""
    pid = tmp_path / "pid"
    [deployment, service] = manifests.service("app", "unused", replicas=0)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["command"] = ["sh", "-c", f"echo $$$$ > {pid}; exec sleep 1000"]
    del container["readinessProbe"]
    path = tmp_path / "app.json"
    path.write_text(manifests.text(deployment, service))
    return path, pid


def scale_up(evoke, pid):
    evoke.kubectl("scale", "deployment/app", "--replicas=1")
    return int(wait_until(lambda: pid.exists() and pid.read_text().strip(), what="the pod runs"))


def test_up_ends_its_pods_and_the_next_up_starts_them_again(new_evoke, app):
    path, pid = app
    evoke = new_evoke()
    up = Up(evoke, path)
    first = scale_up(evoke, pid)
    pid.unlink()
    assert up.end() == 0 and not alive(first)
    assert "evoke ends 1 pod first" in evoke.output()
    up = Up(evoke, path)
    second = int(wait_until(lambda: pid.exists() and pid.read_text().strip(), what="the pod runs again"))
    assert json.loads(evoke.kubectl("get", "deployment", "app", "-o", "json").stdout)["spec"]["replicas"] == 1
    assert "deployment.apps/app unchanged" in evoke.output()
    assert up.end(signal.SIGTERM) == 0 and not alive(second)


def test_the_table_of_up_is_aligned_on_a_narrow_terminal(new_evoke, tmp_path):
    path = tmp_path / "shop.json"
    path.write_text(manifests.text(manifests.broker(), manifests.trigger("a-trigger-of-a-long-name", "t", "subscriber")))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    evoke = new_evoke()
    up = Up(evoke, path, terminal=theirs)
    shown = ""

    def table():
        nonlocal shown
        if select.select([ours], [], [], 0)[0]:
            shown += os.read(ours, 65536).decode()
        lines = [line.rstrip() for line in shown.splitlines()]
        return [lines[i:i + 2] for i, line in enumerate(lines[:-1]) if line.startswith("  TRIGGER") and "0/0" in lines[i + 1]]

    [head, row] = wait_until(table, what="the table is shown")[-1]
    assert head.index("PODS") + len("PODS") == row.index("0/0") + len("0/0")
    assert len(row) <= 40
    assert up.end() == 0


def test_up_reads_its_manifests_from_a_pipe(new_evoke):
    pipe, end = os.pipe()
    os.write(end, manifests.text(manifests.broker()).encode())
    os.close(end)
    evoke = new_evoke()
    up = Up(evoke, "-", stdin=pipe)
    wait_until(lambda: "broker.eventing.knative.dev/default created" in evoke.output(), what="the broker is there")
    assert up.end() == 0


def test_up_shows_warnings_of_its_own_run_only(new_evoke, app):
    def warn(evoke, name):
        evoke.kubectl("create", "-f", "-", stdin=json.dumps({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "type": "Warning", "reason": "Trouble", "message": name,
            "involvedObject": {"apiVersion": "v1", "kind": "Service", "name": "app", "namespace": "default"}}))
    path, _ = app
    evoke = new_evoke()
    for run in range(2):
        up = Up(evoke, path)
        warn(evoke, f"in-run-{run}")
        wait_until(lambda: f"Trouble: in-run-{run}" in evoke.output(), what="the warning is shown")
        assert up.end() == 0
    assert evoke.output().count("Trouble: in-run-0") == 1, evoke.output()


def test_up_shows_events_of_both_modes(new_evoke, run, tmp_path):
    path = tmp_path / "broker.json"
    path.write_text(manifests.text(manifests.broker()))
    evoke = new_evoke()
    up = Up(evoke, path)
    publish = functools.partial(run, "publish", "default.default", "-b", evoke.kafka)
    publish("-H", "ce_specversion=1.0", "-H", "ce_id=1", "-H", "ce_source=s", "-H", "ce_type=binary", "data")
    publish("-H", "content-type=application/cloudevents+json",
            json.dumps({"specversion": "1.0", "id": "2", "source": "s", "type": "structured"}))
    publish("neither")
    shown = lambda: [line.split("event ")[1].split(" at ")[0].strip() for line in evoke.output().splitlines() if "  event  " in line]
    wait_until(lambda: len(shown()) == 3, what="three records are shown")
    assert shown() == ["binary 1", "structured 2", "(no CloudEvent)"]
    assert up.end() == 0


def test_up_changes_what_its_manifest_changes_and_nothing_else(new_evoke, app):
    path, pid = app
    evoke = new_evoke()
    up = Up(evoke, path)
    scale_up(evoke, pid)
    evoke.kubectl("label", "deployment/app", "mine=1")
    assert up.end() == 0
    changed = json.loads(path.read_text())
    changed["items"][0]["metadata"]["labels"] = {"stays": "0", "theirs": "2"}
    path.write_text(json.dumps(changed))
    up = Up(evoke, path)
    deployment = json.loads(evoke.kubectl("get", "deployment", "app", "-o", "json").stdout)
    assert deployment["metadata"]["labels"] == {"mine": "1", "stays": "0", "theirs": "2"} and deployment["spec"]["replicas"] == 1
    assert up.end() == 0
    changed["items"][0]["spec"]["replicas"] = 2
    del changed["items"][0]["metadata"]["labels"]["theirs"]
    path.write_text(json.dumps(changed))
    up = Up(evoke, path)
    deployment = json.loads(evoke.kubectl("get", "deployment", "app", "-o", "json").stdout)
    assert deployment["metadata"]["labels"] == {"mine": "1", "stays": "0"} and deployment["spec"]["replicas"] == 2
    assert up.end() == 0


def test_pods_that_were_to_be_kept_are_ended_by_down(new_evoke, app):
    path, pid = app
    evoke = new_evoke()
    up = Up(evoke, path, "--keep-pods")
    first = scale_up(evoke, pid)
    refused = evoke.run("down", "--data", evoke.data)
    assert refused.returncode == NOT_NOW and "stop that evoke first" in refused.stderr and alive(first)
    assert up.end() == 0 and alive(first)
    done = evoke.run("down", "--data", evoke.data)
    assert (done.returncode, done.stdout) == (DONE, "1 pod stopped\n") and not alive(first)
    assert evoke.run("down", "--data", evoke.data).stdout == "0 pods stopped\n"
    assert evoke.run("down", "--data", evoke.data / "no").returncode == NOT_FOUND


POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n  - name: x\n    ports:\n    - containerPort: %s\n"


@pytest.mark.parametrize("manifest, line, words", [
    ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec:\n  replica: 1\n", 5, 'unknown field "spec.replica"'),
    (POD % "many", 8, "spec.containers[0].ports[0].containerPort: must be an integer"),
    (POD % 99999, 8, "spec.containers[0].ports[0].containerPort: Invalid value: 99999"),
    ("metadata: {name: x}\n---\n" + POD % 80, 1, "apiVersion is missing"),
    ("apiVersion: v1\nmetadata: {name: x}\n", 1, "kind is missing"),
    ("apiVersion: v1\nkind: Pot\n", 2, 'no such kind: "Pot" in "v1"'),
    ("apiVersion: v1\nkind: [\n", 3, ""),
])
def test_up_names_file_and_line_of_what_is_wrong(new_evoke, tmp_path, manifest, line, words):
    evoke = new_evoke()
    path = tmp_path / "wrong.yaml"
    path.write_text(manifest)
    command = evoke.command()
    command[1:2] = ["up", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == FAILED and f"{path}:{line}: " in done.stderr, done.stderr
    assert words in done.stderr


# --- The rest ---

@pytest.mark.parametrize("name, text, code, words", [
    ("missing.yaml", None, NOT_FOUND, "no such file or directory"),
    ("broken.yaml", "kind: [Pod\n", FAILED, "broken.yaml:"),
])
def test_up_of_what_cannot_be_read_starts_nothing(run, tmp_path, name, text, code, words):
    if text:
        (tmp_path / name).write_text(text)
    assert words in run("up", tmp_path / name, "--data", tmp_path / "data", code=code)
    assert not (tmp_path / "data").exists()


def test_kubeconfig_image_list_check_and_version(run, evoke, tmp_path):
    assert run("kubeconfig", "--data", evoke.data) == pathlib.Path(evoke.kubeconfig).read_text()
    assert "evoke serve --data" in run("kubeconfig", "--data", tmp_path, code=NOT_FOUND)
    assert json.loads(run("image", "list", "--data", evoke.data, "-o", "json")) == []
    assert run("image", "list", "--data", evoke.data).split()[:2] == ["NAME", "ID"]
    assert "no-such.tar" in run("image", "import", tmp_path / "no-such.tar", "--data", evoke.data, code=NOT_FOUND)
    assert "no such data directory" in run("image", "import", __file__, "--data", tmp_path / "no-such", code=NOT_FOUND)
    assert "no-such" in run("check", tmp_path / "no-such", code=NOT_FOUND)
    assert "there is no journal in this directory" in run("check", tmp_path, code=NOT_FOUND)
    assert "Not a directory" in run("check", __file__, code=FAILED)  # nor is one that may not be read an empty one
    assert run("version").startswith("evoke ") and run("--version") == run("version")
