# SPDX-License-Identifier: Apache-2.0
"""What a run took of the machine: who used the CPU, and what the disk and the page cache cost here.

A target that is missed is missed for a reason: these figures are what the reason is told from, in the same run.
"""
import os
import pathlib
import resource
import statistics
import time

CORES = os.cpu_count()
PAGE = 4096


def clients_cpu_s():
    """Of all processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Meter:
    """While a client runs against a server: the cores that each used, and evoke's syncs."""

    def __init__(self, server):
        self.server = server
        self.syncs = server.syncs() if hasattr(server, "syncs") else None
        self.client, self.broker, self.began = clients_cpu_s(), server.cpu_s(), time.monotonic()

    def stop(self):
        seconds = time.monotonic() - self.began
        self.broker_cpu_s = self.server.cpu_s() - self.broker
        self.broker_cores = self.broker_cpu_s / seconds
        self.client_cores = (clients_cpu_s() - self.client) / seconds
        if self.syncs:
            (count, spent), (count_before, spent_before) = self.server.syncs(), self.syncs
            self.sync_share = (spent - spent_before) / seconds
            self.sync_ms = (spent - spent_before) / max(count - count_before, 1) * 1000
        return self

    def cores(self):
        return f"of {CORES} cores the client used {self.client_cores:.1f}, {self.server.name} {self.broker_cores:.1f}"

    def disk(self):
        return f"syncs took {self.sync_share * 100:.0f} % of the time, {self.sync_ms:.2f} ms each"


def _write(file, size):
    """CPU seconds for one GB, in writes of a megabyte."""
    block = b"x" * (1 << 20)
    began = time.process_time()
    for at in range(0, size, len(block)):
        os.pwrite(file, block, at)
    return (time.process_time() - began) / (size / 1e9)


def costs(directory):
    """What one GB costs that is written to pages new to the cache, and to pages that are there; a sync of one page."""
    path = pathlib.Path(directory) / "costs"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.sync()
        new = _write(file, 1 << 30)
        again = _write(file, 1 << 30)
        os.fdatasync(file)
        times = []
        for i in range(1000):
            began = time.monotonic()
            os.pwrite(file, b"y" * PAGE, i * PAGE)
            os.fdatasync(file)
            times.append((time.monotonic() - began) * 1000)
        times.sort()
        return (f"this machine: {CORES} cores; writing a GB to new pages of the cache {new:.1f} s of CPU, to pages that are there {again:.1f} s;"
                f" writing and syncing a page p50 {statistics.median(times):.2f} / p99 {times[989]:.2f} ms")
    finally:
        os.close(file)
        path.unlink()
