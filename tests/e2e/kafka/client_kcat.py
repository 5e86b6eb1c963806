# SPDX-License-Identifier: Apache-2.0
"""kcat behind the verbs of kafka_clients.py. It gives all records of a run the same headers, and has no partition of a
record's own: what a verb says of these does not hold. See there."""
import re
import signal
import subprocess
import sys


def kcat(bootstrap, *arguments, stdin=None):
    subprocess.run(["kcat", "-b", bootstrap, "-q", *arguments], input=stdin, text=True, check=True)


def produce(bootstrap, prefix, count, *codecs):
    for codec in codecs:
        lines = "".join(f"k{i}|{codec} {i} {'x' * 100}\n" for i in range(int(count)))
        kcat(bootstrap, "-P", "-t", f"{prefix}-{codec}", "-z", codec, "-K", "|", "-H", "n=same", "-X", "enable.idempotence=true", stdin=lines)


def consume(bootstrap, count, *topics):
    for topic in topics:
        kcat(bootstrap, "-C", "-t", topic, "-e", "-X", "fetch.wait.max.ms=10", "-f", "%t %p %o %k %s %h\n")


def group(bootstrap, topic, name, *settings):
    options = [part for setting in settings for part in ("-X", setting)]
    child = subprocess.Popen(["kcat", "-b", bootstrap, "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000",
                              "-X", "heartbeat.interval.ms=500", "-X", "auto.commit.interval.ms=50", *options, "-G", name, "-u",
                              "-f", "got %p %o\n", topic], stdout=sys.stdout, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    for line in child.stderr:
        if "rebalanced" in line:
            owned = re.findall(r"\[(\d+)\]", line) if "assigned:" in line else []
            print("assigned", *owned, flush=True)
    child.wait()


def seek(bootstrap, topic, ms):
    kcat(bootstrap, "-C", "-t", topic, "-p", "0", "-o", f"s@{ms}", "-c", "1", "-f", "%o %s\n")


{"produce": produce, "consume": consume, "group": group, "seek": seek}[sys.argv[1]](*sys.argv[2:])
