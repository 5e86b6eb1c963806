/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/coordinator_folds.h"
#include "log_world.h"
#include "test.h"
#include "world.h"

struct log *log_world_open(struct io *io)
{
    struct error err;
    const struct log_options options = {
        .directory = world_path("data"), .journal_file_size = 64 << 10, .folds = coordinator_folds};
    struct log *log = log_open(io, &options, &err);
    CHECK_OK(log != NULL, &err);
    return log;
}

static void stop(void *ctx)
{
    io_stop(ctx);
}

void log_world_close(struct io *io, struct log *log)
{
    log_close(log, stop, io);
    io_run(io);
}
