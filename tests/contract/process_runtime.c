/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime_linux.h"
#include "runtime_world.h"
#include "test.h"

const char *const runtime_world_image = "none";

bool runtime_world_skips(void)
{
    return false;
}

struct runtime *runtime_linux_engine(struct io *io, struct error *err)
{
    const struct runtime_options options = {.directory = test_dir(), .monitor_path = runtime_linux_monitor()};
    return runtime_process_open(io, &options, err);
}

void runtime_linux_clean(void)
{
}
