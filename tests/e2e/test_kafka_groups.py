# SPDX-License-Identifier: Apache-2.0
"""Consumer groups with every real client: two members share the partitions, one that leaves or dies gives its own back,
and what was committed is not read again, also after kill -9 of evoke."""
import queue
import threading

import pytest

import kafka_clients
from conftest import wait_until

CLIENTS = [name for name, client in kafka_clients.CLIENTS.items() if client.groups]
PARTITIONS = 4


class Member:
    """A consumer process: the partitions it says it has, and the records it says it got."""

    def __init__(self, clients, client, bootstrap, topic, group, *settings):
        self.process = kafka_clients.start(clients, client, "group", bootstrap, topic, group, *settings)
        self.assigned = None
        self.history = []  # every assignment it has said it has
        self.owned = []    # the same with its wall time in microseconds, from clients that say it
        self.got = []
        self.errors = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=lambda: self.errors.put(self.process.stderr.read()), daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            word, *numbers = line.split()
            if word == "assigned":
                self.assigned = [int(n) for n in numbers]
                self.history.append(self.assigned)
            elif word == "owns":
                self.owned.append((int(numbers[0]), {int(n) for n in numbers[1:]}))
            else:
                self.got.append(tuple(int(n) for n in numbers))

    def end(self, kill=False):
        if self.process.poll() is None:
            self.process.kill() if kill else self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def members(clients, evoke):
    made = []

    def make(client, topic, group, *settings):
        if kafka_clients.missing(clients, client):
            pytest.skip(f"{client} was left out: see setup.sh")
        made.append(Member(clients, client, evoke.kafka, topic, group, *settings))
        return made[-1]

    yield make
    for member in made:
        member.end()


def create_topic(evoke, topic):
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    admin.create_topics([NewTopic(topic, PARTITIONS)])[topic].result(10)


def publish(evoke, topic, count, partition=None):
    chosen = ["-p", partition] if partition is not None else []
    kafka_clients.kcat(evoke.kafka, "-P", "-t", topic, "-K", "|", *chosen, stdin="".join(f"k{i}|v\n" for i in range(count)))


def has_all(*members):
    assigned = [m.assigned for m in members]
    return all(a is not None for a in assigned) and sorted(sum(assigned, [])) == list(range(PARTITIONS))


@pytest.mark.parametrize("client", CLIENTS)
def test_two_members_share_and_take_over(evoke, members, client):
    topic, group = f"shared-{client}", f"group-{client}"
    create_topic(evoke, topic)
    publish(evoke, topic, 40)
    first = members(client, topic, group)
    wait_until(lambda: len(first.got) == 40, what=f"{client}: the first member reads all")
    assert first.assigned == list(range(PARTITIONS))
    second = members(client, topic, group)
    wait_until(lambda: has_all(first, second) and first.assigned and second.assigned, what=f"{client}: both have partitions")
    assert len(first.assigned) == len(second.assigned) == PARTITIONS // 2
    for partition in range(PARTITIONS):
        publish(evoke, topic, 5, partition)
    wait_until(lambda: len(first.got) + len(second.got) == 60, what=f"{client}: both read")
    assert {p for p, _ in second.got} == set(second.assigned), "a member reads its own partitions only"
    first.end()
    wait_until(lambda: second.assigned == list(range(PARTITIONS)), what=f"{client}: the second takes over")
    publish(evoke, topic, 8)
    wait_until(lambda: len(first.got) + len(second.got) == 68, what=f"{client}: the second reads on")
    assert len(set(first.got + second.got)) == 68, "nothing twice"


COOPERATIVE = {"confluent": "cooperative-sticky", "java": "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"}


@pytest.mark.parametrize("client", COOPERATIVE)
def test_cooperative_members_keep_what_they_need_not_give(evoke, members, client):
    topic, group, strategy = f"kept-{client}", f"kept-{client}", f"partition.assignment.strategy={COOPERATIVE[client]}"
    create_topic(evoke, topic)
    first = members(client, topic, group, strategy)
    wait_until(lambda: first.assigned == list(range(PARTITIONS)), what="the first has all")
    second = members(client, topic, group, strategy)
    wait_until(lambda: has_all(first, second) and len(second.assigned) == PARTITIONS // 2, 30, "both have half")
    assert [] not in first.history, "the first never gave up all (KIP-429)"
    first.end()
    wait_until(lambda: second.assigned == list(range(PARTITIONS)), 30, "the second has all")


def test_a_static_member_comes_back_to_its_partitions(evoke, members):
    create_topic(evoke, "static")
    first, second = (members("confluent", "static", "static", f"group.instance.id={i}", "session.timeout.ms=30000") for i in "ab")
    wait_until(lambda: has_all(first, second) and first.assigned and second.assigned, what="both have partitions")
    moves, before = len(second.history), first.assigned
    first.end()
    again = members("confluent", "static", "static", "group.instance.id=a", "session.timeout.ms=30000")
    wait_until(lambda: again.assigned == before, what="it has them again")
    assert len(second.history) == moves, "the other one was not disturbed (KIP-345)"


def test_a_member_that_dies_is_replaced_after_its_session(evoke, members):
    create_topic(evoke, "dying")
    first, second = members("confluent", "dying", "dying"), members("confluent", "dying", "dying")
    wait_until(lambda: has_all(first, second) and first.assigned and second.assigned, what="both have partitions")
    first.end(kill=True)
    wait_until(lambda: second.assigned == list(range(PARTITIONS)), 30, "the second has all after 6 s")


def test_commits_and_groups_are_there_after_kill_9(evoke, members):
    create_topic(evoke, "crash")
    publish(evoke, "crash", 20)
    member = members("confluent", "crash", "crash")
    wait_until(lambda: len(member.got) == 20, what="all read")
    member.end()
    evoke.kill()
    evoke.start()
    publish(evoke, "crash", 10)
    again = members("confluent", "crash", "crash")
    wait_until(lambda: len(again.got) == 10, what="the new ones are read")
    assert not set(again.got) & set(member.got), "what was committed is not read again"


def test_a_running_member_goes_on_after_a_restart(evoke, members):
    create_topic(evoke, "restart")
    publish(evoke, "restart", 10)
    member = members("confluent", "restart", "restart")
    wait_until(lambda: len(member.got) == 10, what="all read")
    evoke.kill()
    evoke.start()
    publish(evoke, "restart", 10)
    wait_until(lambda: len(member.got) == 20, 30, "it reads on")
    assert len(set(member.got)) == 20, "nothing twice"


def test_groups_are_listed_described_and_deleted(evoke, members):
    from confluent_kafka.admin import AdminClient
    create_topic(evoke, "listed")
    publish(evoke, "listed", 4)
    member = members("confluent", "listed", "listed")
    wait_until(lambda: len(member.got) == 4, what="all read")
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    listed = {g.group_id: g.state.name for g in admin.list_consumer_groups().result(10).valid}
    assert listed["listed"] == "STABLE"
    described = admin.describe_consumer_groups(["listed"])["listed"].result(10)
    assert len(described.members) == 1
    assert sorted(p.partition for p in described.members[0].assignment.topic_partitions) == list(range(PARTITIONS))
    with pytest.raises(Exception, match="not empty"):
        admin.delete_consumer_groups(["listed"])["listed"].result(10)
    member.end()
    wait_until(lambda: admin.describe_consumer_groups(["listed"])["listed"].result(10).state.name == "EMPTY", what="empty")
    admin.delete_consumer_groups(["listed"])["listed"].result(10)
    assert "listed" not in {g.group_id for g in admin.list_consumer_groups().result(10).valid}
