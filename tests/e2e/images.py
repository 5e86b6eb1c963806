# SPDX-License-Identifier: Apache-2.0
"""An image out of the machine's static busybox, as `docker save` writes it."""
import hashlib
import io
import json
import shutil
import tarfile


def busybox_archive(directory):
    busybox = shutil.which("busybox")
    layer = directory / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        tar.add(busybox, "bin/busybox")
        for name in ("sh", "cat", "echo", "grep", "httpd", "nc", "nslookup", "sleep", "wget"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("etc", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(folder)
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    texts = {"config.json": {"config": {"Env": ["PATH=/bin"]}, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}},
             "manifest.json": [{"Config": "config.json", "RepoTags": ["busybox:latest"], "Layers": ["layer.tar"]}]}
    archive = directory / "busybox.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(layer, "layer.tar")
        for name, value in texts.items():
            text = json.dumps(value).encode()
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return archive
