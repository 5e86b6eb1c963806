# SPDX-License-Identifier: Apache-2.0
"""Images from files: who reads them, and what a machine without libarchive is told."""
import json
import os
import shutil
import subprocess

import pytest

from images import busybox_archive

needs_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("busybox"), reason="needs root and busybox")


def listed(evoke):
    return json.loads(evoke.run("image", "list", "--data", evoke.data, "-o", "json").stdout)


@needs_root
def test_an_import_without_libarchive_says_what_to_install_and_leaves_nothing(evoke, tmp_path):
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "libarchive.so.13").touch()  # what the loader finds first is none
    archive = busybox_archive(tmp_path)
    command = [evoke.binary, "image", "import", "--data", evoke.data, archive]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "LD_LIBRARY_PATH": str(libraries)})
    assert done.returncode == 1 and done.stdout == ""
    assert "needs libarchive (Debian: libarchive13)" in done.stderr and str(archive) in done.stderr
    assert listed(evoke) == []
    assert os.listdir(evoke.data / "images" / "tmp") == []
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.returncode == 0, again.stderr
    assert [image["name"] for image in listed(evoke)] == ["busybox:latest"]


@needs_root
def test_what_is_no_archive_is_told_what_would_be_one(evoke):
    done = evoke.run("image", "import", __file__, "--data", evoke.data, check=False)
    assert done.returncode == 1 and __file__ in done.stderr
    assert "`docker save`" in done.stderr and "OCI layout" in done.stderr


def test_a_daemon_does_not_load_libarchive(evoke):
    maps = open(f"/proc/{evoke.process.pid}/maps").read()
    assert "libcrypto" in maps and "libarchive" not in maps
