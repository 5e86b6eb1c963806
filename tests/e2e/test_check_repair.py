# SPDX-License-Identifier: Apache-2.0
"""Damage on the disk, as an administrator meets it: serve refuses it by file, position, topic and offsets, `evoke check` shows
it, `evoke check --repair` mends it and keeps what it removed, serve starts again, and real clients read all that was not
damaged and write on."""
import os
import re
import shutil
import struct
import subprocess
import time

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

import kafka_clients

SMALL_JOURNAL = ["--journal-file-size", "1Mi", "--journal-size-max", "7Mi"]
COUNT = 400          # records of 28 kB: more than the journal takes, so that the first ones are in segments
TOPIC = "full"
HEADER_SIZE = 4096   # of a file of the journal; its mark stands at 16, and at 4 in every frame


def value_of(number):
    return b"number %06d " % number + b"%06d " % number * 4000


class Sample:
    """A daemon that does not run, and what is in its log: a record in each batch, at the offset of its number."""

    def __init__(self, evoke):
        self.evoke = evoke

    def fill(self):
        self.write(range(COUNT))
        assert self.evoke.stop() == 0
        return self

    def write(self, numbers):
        producer = Producer({"bootstrap.servers": self.evoke.kafka, "enable.idempotence": True, "linger.ms": 0, "batch.num.messages": 1})
        failed = []
        for number in numbers:
            producer.produce(TOPIC, value_of(number), partition=0, on_delivery=lambda error, _: error and failed.append(error))
            producer.poll(0)
        assert producer.flush(30) == 0 and not failed

    def files(self, pattern):
        return sorted(self.evoke.data.glob(pattern))

    def segment(self, suffix):
        return self.find(0, "segments/*/*.log")[0].with_suffix(suffix)

    def find(self, number, pattern):
        """The file and the position of a record's value."""
        for path in self.files(pattern):
            at = path.read_bytes().find(b"number %06d " % number)
            if at >= 0:
                return path, at
        raise AssertionError(f"{number} is not in {pattern}")

    def check(self, *flags, code, env=None):
        done = self.evoke.run("check", *flags, self.evoke.data, env={**os.environ, **(env or {})})
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def refusal(self, env=None):
        """Why serve does not start."""
        done = subprocess.run(self.evoke.command(), capture_output=True, text=True, timeout=30, env={**os.environ, **(env or {})})
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr

    def read(self):
        """{offset: number} of all that a consumer is given; that it stands still is an error."""
        consumer = Consumer({"bootstrap.servers": self.evoke.kafka, "group.id": "reader", "check.crcs": True, "enable.partition.eof": True})
        low, high = consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=10)
        consumer.assign([TopicPartition(TOPIC, 0, low)])
        found, end = {}, time.monotonic() + 60
        while time.monotonic() < end:
            message = consumer.poll(0.5)
            if message is None:
                continue
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF and message.offset() == high, message.error()
                consumer.close()
                return found
            found[message.offset()] = int(message.value()[7:13])
            assert message.value() == value_of(found[message.offset()])
        raise AssertionError(f"the end, {high}, is not reached; the last one is {max(found)}")

    def check_all_but(self, lost, end=COUNT):
        """Starts, reads, writes on, and looks again."""
        self.evoke.start()
        assert self.read() == {i: i for i in range(COUNT) if i not in lost}
        self.write(range(end, end + 20))
        assert self.read() == {i: i for i in range(end + 20) if i not in lost}
        assert self.evoke.stop() == 0
        assert ", 0 damages" in self.check(code=0)

    def removed(self):
        """What the repair has kept aside."""
        return {path.name: path.read_bytes() for path in self.files("removed-*/*")}


@pytest.fixture(scope="module")
def whole(new_evoke):
    return Sample(new_evoke(SMALL_JOURNAL).start()).fill()


@pytest.fixture
def sample(new_evoke, whole):
    copy = Sample(new_evoke(SMALL_JOURNAL))
    shutil.copytree(whole.evoke.data, copy.evoke.data)
    assert copy.files("segments/*/*.log") and copy.files("checkpoint") and len(copy.files("journal/0*")) > 2
    return copy


def flip(path, at, size=1):
    content = bytearray(path.read_bytes())
    for i in range(at, at + size):
        content[i] ^= 1
    path.write_bytes(content)


def frame_of(path, at):
    """The frame that a position lies in."""
    content = path.read_bytes()
    start = content.rfind(content[16:20], HEADER_SIZE, at) - 4
    assert start % 8 == 0
    return start, start + struct.unpack_from("<I", content, start + 8)[0]


# --- The journal ---

def test_a_record_in_the_journal(sample):
    number = COUNT - 20
    path, at = sample.find(number, "journal/0*")
    flip(path, at)
    start, _ = frame_of(path, at)
    why = sample.refusal()
    assert f"{path}: damaged at position {start}: frame " in why and "does not verify, though it was synced" in why
    assert f"it seems to hold {TOPIC} [0] offsets {number} to {number} (evoke check tells more" in why
    told = sample.check(code=1)
    assert f"{path}: position {start}: DAMAGED: frame " in told
    assert f"  missing: {TOPIC} [0] offsets {number} to {number}\n" in told and ", 1 damages" in told
    assert "the journal is mended: what was damaged is in " in sample.check("--repair", code=0)
    assert value_of(number)[20:] in sample.removed()[f"journal-{path.name}-{start}"]
    sample.check_all_but({number})


def test_the_header_of_a_frame(sample):
    number = COUNT - 30
    path, at = sample.find(number, "journal/0*")
    start, _ = frame_of(path, at)
    flip(path, start, 16)  # its sum, mark and size: nothing tells what it was
    why = sample.refusal()
    assert f"{path}: damaged at position {start}: frame " in why
    assert f"  missing: {TOPIC} [0] offsets {number} to {number}\n" in sample.check(code=1)
    sample.check("--repair", code=0)
    assert value_of(number) in sample.removed()[f"journal-{path.name}-{start}"]
    sample.check_all_but({number})


def test_the_last_record_whose_offset_is_not_given_again(sample):
    path, at = sample.find(COUNT - 1, "journal/0*")
    flip(path, at)
    assert f"it seems to hold {TOPIC} [0] offsets {COUNT - 1} to {COUNT - 1} " in sample.refusal()
    sample.check("--repair", code=0)
    sample.check_all_but({COUNT - 1})


def test_the_header_of_a_file(sample):
    path = sample.files("journal/0*")[1]
    flip(path, 20, 100)
    assert f"{path}: damaged at position 0: the file header does not verify" in sample.refusal()
    assert f"{path}: position 0: DAMAGED: the file header does not verify" in sample.check(code=1)
    sample.check("--repair", code=0)
    assert len(sample.removed()[f"journal-{path.name}-0"]) == HEADER_SIZE
    sample.check_all_but(set())


def numbers_in(path):
    return {int(found) for found in re.findall(rb"number (\d{6}) ", path.read_bytes())}


@pytest.mark.parametrize("which, words", [
    (1, "do not verify or are missing, though they were synced"),
    (0, "is missing, which the checkpoint needs"),
])
def test_a_file_of_the_journal_that_is_lost(sample, which, words):
    path = sample.files("journal/0*")[which]
    numbers = numbers_in(path)
    in_segments = set().union(*map(numbers_in, sample.files("segments/*/*.log")))
    path.unlink()
    lost = numbers - in_segments
    assert len(lost) > 10
    assert words in sample.refusal()
    assert f"  missing: {TOPIC} [0] offsets {min(lost)} to {max(lost)}\n" in sample.check(code=1)
    sample.check("--repair", code=0)
    sample.check_all_but(lost)


# --- Segments ---

def test_a_record_in_a_segment(sample):
    number = 20
    path, at = sample.find(number, "segments/*/*.log")
    flip(path, at)
    batch, = [position for first, _, position in batches_of(path) if first == number]
    sample.evoke.start()  # what lies in segments is met by who reads it
    done = sample.evoke.run("consume", "-b", sample.evoke.kafka, TOPIC)
    assert done.returncode != 0 and str(number) in done.stderr, "a client compares the sum"
    sample.evoke.stop()
    told = sample.check(code=1)
    assert f"{path}: position {batch}: DAMAGED: " in told and f"; lost: {TOPIC} [0] offsets {number} to {number}\n" in told
    sample.check("--repair", code=0)
    kept, = [content for name, content in sample.removed().items() if name.endswith(f"{path.name}-{batch}")]
    assert value_of(number)[20:] in kept
    sample.check_all_but({number})


def test_a_segment_that_is_lost(sample):
    path = sample.segment(".log")
    numbers = numbers_in(path)
    path.unlink()
    assert f"{path}: position 0: DAMAGED: the file is missing; lost: {TOPIC} [0] offsets 0 to {max(numbers)}\n" in sample.check(code=1)
    sample.check("--repair", code=0)
    sample.check_all_but(numbers)


def test_the_index_of_a_segment(sample):
    path = sample.segment(".index")
    whole = path.read_bytes()
    flip(path, 30, 100)
    told = sample.check(code=0)  # nothing is lost by it
    assert f"{path.with_suffix('.log')}: its index is damaged; it is made again when it is needed" in told
    assert "mended: the index is made again" in sample.check("--repair", code=0)
    assert path.read_bytes() == whole
    assert "index is damaged" not in sample.check(code=0)
    sample.check_all_but(set())


KNOW_CONTROL_BATCHES = [name for name, client in kafka_clients.CLIENTS.items() if client.transacts]


@pytest.mark.parametrize("client", KNOW_CONTROL_BATCHES, indirect=True)
def test_every_client_passes_over_what_was_lost(holes, clients, client):
    evoke, topic, expected = holes
    assert kafka_clients.consume(clients, client, evoke.kafka, len(expected), [topic])[topic].keys() == expected


@pytest.fixture(scope="module")
def holes(new_evoke, clients):
    """A topic with three batches lost in a segment: a small one, one of many records, and many at once."""
    evoke = new_evoke(SMALL_JOURNAL).start()
    producer = Producer({"bootstrap.servers": evoke.kafka, "linger.ms": 50})
    for i in range(400):
        producer.produce("holes", key=f"k{i}", value=f"none {i} " + "x" * 100, headers={"n": str(i)}, partition=0)
        if i < 30 or i % 20 == 0:
            producer.flush(10)
    assert producer.flush(10) == 0
    sample = Sample(evoke).fill()
    path, _ = find_text(sample, b"none 100 ")
    batches = batches_of(path)
    doomed = [batch for batch in batches if batch[0] <= 5 <= batch[1] or batch[0] <= 110 <= batch[1] or 200 <= batch[0] < 300]
    for _, _, at in doomed:
        flip(path, at + 30)
    sample.check("--repair", code=0)
    evoke.start()
    lost = {offset for first, last, _ in doomed for offset in range(first, last + 1)}
    return evoke, "holes", {(0, offset) for offset in range(400) if offset not in lost}


def find_text(sample, text):
    path, = [path for path in sample.files("segments/*/*.log") if text in path.read_bytes()]
    return path, path.read_bytes().find(text)


def batches_of(path):
    """First offset, last offset and position of each."""
    content, at, found = path.read_bytes(), 0, []
    while at < len(content):
        first, length = struct.unpack_from(">qi", content, at)
        found.append((first, first + struct.unpack_from(">i", content, at + 23)[0], at))
        at += 12 + length
    return found


# --- The checkpoint ---

@pytest.mark.parametrize("name, other", [("checkpoint", "checkpoint.copy"), ("checkpoint.copy", "checkpoint")])
def test_one_copy_of_the_checkpoint(sample, name, other):
    path, whole = sample.evoke.data / name, (sample.evoke.data / other).read_bytes()
    assert path.read_bytes() == whole
    flip(path, 100)
    assert f"DAMAGED: {path}: position 16 does not verify\n" in sample.check(code=1)
    sample.evoke.start()
    line, = [line for line in sample.evoke.output().splitlines() if "does not verify" in line]
    assert f"{path}: position 16 does not verify; {sample.evoke.data / other} is used in its place, and it is written again" in line
    assert path.read_bytes() == whole
    sample.evoke.stop()
    flip(path, 100)
    assert "the checkpoint is mended: what was damaged is in " in sample.check("--repair", code=0)
    assert path.read_bytes() == whole and name in sample.removed()
    sample.check_all_but(set())


def test_both_copies_of_the_checkpoint_in_different_places(sample):
    first, second = sample.evoke.data / "checkpoint", sample.evoke.data / "checkpoint.copy"
    whole = first.read_bytes()
    flip(first, 0)  # the header
    flip(second, 100)
    why = sample.refusal()
    assert f"{first}: position 0 does not verify; {second}: position 16 does not verify (evoke check tells more" in why
    assert "each has what the other one has lost" in sample.check("--repair", code=0)
    assert first.read_bytes() == second.read_bytes() == whole
    sample.check_all_but(set())


def test_both_copies_of_the_checkpoint_in_the_same_place_are_beyond_repair(sample):
    for name in ("checkpoint", "checkpoint.copy"):
        flip(sample.evoke.data / name, 100)
    assert "position 16 does not verify" in sample.refusal()
    told = sample.check("--repair", code=1)
    assert "they can not be mended: what is damaged in the one is damaged in the other" in told
    assert "without a checkpoint nothing says which topics there are and where the journal begins" in told
    assert "the journal is left as it is" in told
    assert "position 16 does not verify" in sample.refusal(), "it is as it was"


# --- A disk that does not give what it has taken ---

@pytest.fixture(scope="module")
def preload(tmp_path_factory, build):
    library = tmp_path_factory.mktemp("eio") / "eio.so"
    source = os.path.join(os.path.dirname(__file__), "eio.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), source, "-ldl"], check=True)
    return library


def bad_sector(preload, path, at):
    page = at - at % 4096
    return {"LD_PRELOAD": str(preload), "EVOKE_EIO": f"{path.stat().st_ino} {page} {page + 4096}", "ASAN_OPTIONS": "verify_asan_link_order=0"}, page


def test_a_bad_sector_in_the_journal(sample, preload):
    number = COUNT - 20
    path, at = sample.find(number, "journal/0*")
    env, page = bad_sector(preload, path, at + 9000)
    start, _ = frame_of(path, at)
    words = f" does not verify: the disk does not give position {page} (Input/output error)"
    why = sample.refusal(env)
    assert f"{path}: damaged at position {start}: frame " in why and words in why
    assert f"it seems to hold {TOPIC} [0] offsets {number} to {number} " in why
    told = sample.check(code=1, env=env)
    assert f"{path}: position {start}: DAMAGED: frame " in told and words in told
    sample.check("--repair", code=0, env=env)
    kept = sample.removed()[f"journal-{path.name}-{start}"]
    assert kept[page - start:page - start + 4096] == bytes(4096) and b"number %06d " % number in kept
    sample.check_all_but({number})


def test_a_bad_sector_in_a_segment(sample, preload):
    number = 20
    path, at = sample.find(number, "segments/*/*.log")
    env, page = bad_sector(preload, path, at + 9000)
    told = sample.check(code=1, env=env)
    assert f"DAMAGED: the disk does not give position {page} (Input/output error); lost: {TOPIC} [0] offsets {number} to {number}\n" in told
    flip(path, page, 4096)  # as the disk gives it once the sector is written again: without what was there
    sample.check("--repair", code=0)
    sample.check_all_but({number})


def test_a_bad_sector_in_a_copy_of_the_checkpoint(sample, preload):
    path = sample.evoke.data / "checkpoint"
    env, _ = bad_sector(preload, path, 0)
    words = f"DAMAGED: {path}: the disk does not give position 0: Input/output error\n"
    assert words in sample.check(code=1, env=env)
    assert words in sample.check("--repair", code=0, env=env)
    sample.check_all_but(set())
