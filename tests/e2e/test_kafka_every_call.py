# SPDX-License-Identifier: Apache-2.0
"""What Java's admin client can call, rightly and wrongly, is answered as Apache Kafka 4.1 answers it: every_call.txt is what
EveryCall.java printed against that. Left out are calls for APIs that are not served (docs/kafka.md says which, and why the
rest differs), and those that clients retry until their time is over."""
import pathlib

import kafka_clients

DIFFERS = {
    "settings-BROKER_LOGGER-node": "InvalidRequestException",  # what is logged is not set by clients
    "acls": "UnsupportedVersionException",
    "quota-of-ip": "InvalidRequestException",
}


def answers(text):
    return dict(line.split(" ") for line in text.splitlines())


def test_every_call_of_the_admin_client_is_answered_as_kafka_answers_it(new_evoke, clients):
    kafka = answers((pathlib.Path(__file__).parent / "kafka" / "every_call.txt").read_text())
    evoke = answers(kafka_clients.run(clients, "java", "every", new_evoke().start().kafka, timeout=300))
    assert len(kafka) > 120 and DIFFERS.items() <= evoke.items()
    assert evoke == {**kafka, **DIFFERS}
