/* SPDX-License-Identifier: Apache-2.0 */
/* On a helper thread: nothing here touches what is not the job's. */
#include <stdio.h>

#include "base/memory.h"
#include "io/file.h"
#include "log/spill_priv.h"

void spill_write(void *ctx)
{
    struct spill_job *job = ctx;
    job->failed = !error_set(&job->err, ERROR_UNSUPPORTED, "segments are not written yet");
}

void spill_write_checkpoint(void *ctx)
{
    struct spill_job *job = ctx;
    char path[4096];
    if (job->checkpoint.overflowed)
        job->failed = !error_set(&job->err, ERROR_LIMIT, "the checkpoint is too large");
    else if (snprintf(path, sizeof path, "%s/checkpoint", job->directory) >= (int)sizeof path)
        job->failed = !error_set(&job->err, ERROR_INVALID, "the path of the data directory is too long");
    else
        job->failed = !io_path_write(job->io, path, buf_bytes(&job->checkpoint), 0600, &job->err);
}

void spill_remove(void *ctx)
{
    (void)ctx;
}
