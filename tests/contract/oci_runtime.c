/* SPDX-License-Identifier: Apache-2.0 */
/* Containers by runc: root, runc and a static busybox are needed. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/image.h"
#include "runtime_linux.h"
#include "runtime_world.h"
#include "test.h"

const char *const runtime_world_image = "busybox";

bool runtime_world_skips(void)
{
    if (geteuid() == 0 && system("command -v runc busybox >/dev/null") == 0)
        return false;
    fprintf(stderr, "skipped: needs root, runc and busybox\n");
    return true;
}

/* A docker archive of busybox, as `docker save` writes it. */
static void import_busybox(void)
{
    struct error err;
    char command[2048], path[4200];
    snprintf(command, sizeof command,
             "cd %s && mkdir -p i/root/bin i/root/tmp i/l && cp $(command -v busybox) i/root/bin/busybox && "
             "for p in sh sleep echo; do ln -sf busybox i/root/bin/$p; done; "
             "tar -C i/root -cf i/l/layer.tar . && sum=$(sha256sum i/l/layer.tar | cut -d' ' -f1) && "
             "printf '{\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%%s\"]}}' $sum > "
             "i/config.json && printf '[{\"Config\":\"config.json\",\"RepoTags\":[\"busybox:latest\"],\"Layers\":["
             "\"l/layer.tar\"]}]' > i/manifest.json && tar -C i -cf image.tar config.json manifest.json l && rm -r i",
             test_dir());
    CHECK(system(command) == 0);
    snprintf(path, sizeof path, "%s/image.tar", test_dir());
    CHECK_OK(image_import(test_dir(), path, NULL, NULL, NULL, &err), &err);
}

/* Tests run side by side: each has a bridge and a range of its own. */
static const char *bridge(void)
{
    static char name[16];
    snprintf(name, sizeof name, "evc%d", (int)getpid() % 1000000);
    return name;
}

/* The engine takes its bridge away with the last pod; but the kernel may still be about to take that pod's interface.
 */
void runtime_linux_clean(void)
{
    char command[100];
    snprintf(command, sizeof command, "ip link del %s 2>/dev/null", bridge());
    (void)!system(command);
}

struct runtime *runtime_linux_engine(struct io *io, struct error *err)
{
    static bool imported;
    static char cidr[32];
    snprintf(cidr, sizeof cidr, "10.%d.%d.0/24", 100 + (int)getpid() % 100, (int)getpid() / 100 % 250);
    if (!imported)
        import_busybox();
    imported = true;
    const struct runtime_options options = {
        .directory = test_dir(), .monitor_path = runtime_linux_monitor(), .bridge = bridge(), .pod_cidr = cidr};
    return runtime_oci_open(io, &options, err);
}
