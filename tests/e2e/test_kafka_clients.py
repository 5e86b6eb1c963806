# SPDX-License-Identifier: Apache-2.0
"""Every real client writes with every codec that it has, and every real client reads what all of them wrote."""
import pytest

import kafka_clients

COUNT = 200


@pytest.fixture(scope="module")
def written(evoke, clients):
    """The topics, by writer, then codec; each has COUNT records and was made by writing to it."""
    writers = {name: codecs for name, codecs in kafka_clients.PRODUCERS.items() if not kafka_clients.missing(clients, name)}
    for name, codecs in writers.items():
        kafka_clients.produce(clients, name, evoke.kafka, name, COUNT, codecs)
    return {name: {codec: f"{name}-{codec}" for codec in codecs} for name, codecs in writers.items()}


@pytest.mark.parametrize("reader", kafka_clients.PRODUCERS)
def test_reads_what_every_client_wrote(evoke, clients, written, reader):
    if kafka_clients.missing(clients, reader):
        pytest.skip(f"{reader} was left out: see setup.sh")
    known = kafka_clients.PRODUCERS[reader]
    topics = {topic: (writer, codec) for writer, of in written.items() for codec, topic in of.items() if codec in known}
    got = kafka_clients.consume(clients, reader, evoke.kafka, COUNT, topics)
    for topic, (writer, codec) in topics.items():
        records = got[topic]
        assert sorted(i for _, _, i, _ in records.values()) == list(range(COUNT)), topic
        assert all((key, c) == (f"k{i}", codec) for key, c, i, _ in records.values()), topic
        if writer != "kcat" and reader != "kcat":
            assert all(header == str(i) for _, _, i, header in records.values()), topic
        for partition in {p for p, _ in records}:
            offsets = sorted(o for p, o in records if p == partition)
            assert offsets == list(range(len(offsets))), f"{topic}: offsets are dense from 0"


def test_records_of_one_key_stay_in_one_partition_in_order(evoke):
    lines = "".join(f"{'ab'[i % 2]}|{i}\n" for i in range(100))
    kafka_clients.kcat(evoke.kafka, "-P", "-t", "ordered", "-K", "|", stdin=lines)
    out = kafka_clients.kcat(evoke.kafka, "-C", "-t", "ordered", "-e", "-q", "-f", "%p %k %s\n")
    for key in "ab":
        mine = [line.split() for line in out.splitlines() if line.split()[1] == key]
        assert len({p for p, _, _ in mine}) == 1
        assert [int(i) for _, _, i in mine] == list(range("ab".index(key), 100, 2))
