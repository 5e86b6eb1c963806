# SPDX-License-Identifier: Apache-2.0
"""How a log of 100 GB opens: from the start of the process to the first acknowledged record, by evoke alone.

bench_big_log makes the log (sparse files; see there what is real in them: all that a start looks at). Then a client fills the
journal to its bound, so that evoke itself has moved files of it to segments and written its checkpoint, and evoke is ended,
properly and by kill -9, and started again: with what is in the page cache, and from the disk.
usage: big_log.py BUILD [GB]
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from servers import EvokeLog

JOURNAL_BYTES = 700_000_000  # more than its bound
SHAPES = [("1 partition, segments of 1 GB", 1, 1000), ("1,000 partitions, segments of 10 MB", 1000, 10)]


class BigLog:
    def __init__(self, build, gigabytes):
        self.build = build
        self.gigabytes = gigabytes

    def load(self, server, *arguments):
        return subprocess.Popen([str(self.build / "bench" / "bench_load"), server.address, *map(str, arguments)], stdout=subprocess.PIPE, text=True)

    def make(self, directory, partitions, segment_mb):
        server = EvokeLog(directory, self.build)
        subprocess.run([str(self.build / "bench" / "bench_big_log"), str(server.data), str(self.gigabytes), str(partitions), str(segment_mb)], check=True)
        server.start()
        filling = self.load(server, "produce", "big", JOURNAL_BYTES // 1000, 1000, "1")
        if filling.wait(600) != 0:
            raise RuntimeError("the journal could not be filled")
        return server

    @staticmethod
    def forget_pages(server):
        """What the kernel has of the files, names included where we may."""
        os.sync()
        for path in server.data.rglob("*"):
            if path.is_file():
                fd = os.open(path, os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)
        try:
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        except OSError:
            pass

    def restart(self, server, how, cold):
        """Seconds to the first acknowledged record, and resident MB then."""
        server.end(how)
        if cold:
            self.forget_pages(server)
        first = self.load(server, "first", "big")
        time.sleep(0.5)
        began = time.monotonic_ns()
        server.launch()
        seconds = (int(first.communicate(timeout=300)[0]) - began) / 1e9
        return seconds, server.memory_mb()

    def row(self, what, partitions, segment_mb):
        with tempfile.TemporaryDirectory(prefix="bench-big-", dir=self.build) as directory:
            server = self.make(directory, partitions, segment_mb)
            try:
                for how, name in ((signal.SIGTERM, "after a proper end"), (signal.SIGKILL, "after kill -9")):
                    for cold in (False, True):
                        tries = sorted(self.restart(server, how, cold) for _ in range(3))
                        seconds, memory = tries[1]
                        print(f"start with {self.gigabytes} GB, {what:<36} {name + (', cold disk' if cold else ''):<30} {seconds:6.2f} s {memory:6.0f} MB", flush=True)
            finally:
                server.remove()

    def run(self):
        print("to the first acknowledged record, middle of three; resident memory then. target: under 1 s")
        for shape in SHAPES:
            self.row(*shape)


if __name__ == "__main__":
    BigLog(pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 100).run()
