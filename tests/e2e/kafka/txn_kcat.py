# SPDX-License-Identifier: Apache-2.0
"""kcat behind the verbs of kafka_clients.py that are about transactions: what a run reads is one, and SIGINT aborts it."""
import signal
import subprocess
import sys
import time


def command(bootstrap, topic, id):
    return ["kcat", "-b", bootstrap, "-q", "-P", "-t", topic, "-p", "0", "-X", f"transactional.id={id}", "-X", "linger.ms=0"]


def commit(bootstrap, topic, id, lines):
    subprocess.run(command(bootstrap, topic, id), input="".join(f"{line}\n" for line in lines), text=True, check=True)


def lines_in(bootstrap, topic, isolation):
    return subprocess.run(["kcat", "-b", bootstrap, "-q", "-C", "-e", "-t", topic, "-X", f"isolation.level={isolation}"],
                          capture_output=True, text=True, check=True).stdout.splitlines()


def begin(bootstrap, topic, id, line):
    """A run that has sent some of these lines, and waits for more."""
    child = subprocess.Popen(command(bootstrap, topic, id), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    child.stdin.write(f"{line}\n" * 1000)  # kcat reads its input in blocks
    child.stdin.flush()
    while line not in lines_in(bootstrap, topic, "read_uncommitted"):
        time.sleep(0.05)
    return child


def transact(bootstrap, topic, id):
    commit(bootstrap, topic, id, [f"first {i}" for i in range(10)])
    aborted = begin(bootstrap, topic, id, "aborted")
    aborted.send_signal(signal.SIGINT)
    aborted.communicate(timeout=20)  # it waits for its input before it looks
    commit(bootstrap, topic, id, [f"second {i}" for i in range(10)])
    begin(bootstrap, topic, id, "open").kill()


def read(bootstrap, *topics):
    for topic in topics:
        for line in lines_in(bootstrap, topic, "read_committed"):
            print(topic, line)


def fence(bootstrap, topic, id):
    old = begin(bootstrap, topic, id, "of the old one")
    commit(bootstrap, topic, id, ["of the new one"])
    _, said = old.communicate(timeout=20)
    print("fenced" if old.returncode != 0 and "fenced" in said else f"{old.returncode}: {said}")


globals()[sys.argv[1]](*sys.argv[2:])
