/* SPDX-License-Identifier: Apache-2.0 */
/* The way into the engine's processes. */
#include "io/process.h"

#include <assert.h>

#include "io/process_priv.h"

bool io_process_spawn(struct io *io, const struct io_process_options *options,
                      void (*on_exit)(void *ctx, const struct io_process_exit *exit), void *ctx,
                      struct io_process **out, struct error *err)
{
    assert(options->argv && options->argv[0]);
    assert(options->output_max == 0 || options->descriptor_count <= 1);
    return io->engine->process->spawn(io, options, on_exit, ctx, out, err);
}

bool io_process_watch(struct io *io, int pid, void (*on_exit)(void *ctx, const struct io_process_exit *exit), void *ctx,
                      struct io_process **out, struct error *err)
{
    return io->engine->process->watch(io, pid, on_exit, ctx, out, err);
}

int io_process_pid(const struct io_process *process)
{
    return process->pid;
}

void io_process_signal(struct io_process *process, int signal)
{
    process->io->engine->process->signal(process, signal);
}

void io_process_release(struct io_process *process)
{
    if (process)
        process->io->engine->process->release(process);
}
