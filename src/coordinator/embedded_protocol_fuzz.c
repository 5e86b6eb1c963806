/* SPDX-License-Identifier: Apache-2.0 */
/* What a consumer says in JoinGroup and SyncGroup, read as if it were in order: each is taken or refused. */
#include "coordinator/embedded_protocol.h"
#include "io/simulated.h"
#include "log/fold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct io *io = io_simulated_new(1);
    const struct log_options options = {.directory = "/data"};
    struct log *log = log_new(io, &options);
    struct embedded_subscription subscription = {0};
    struct partition_set assigned;
    struct arena arena;
    struct error err;
    arena_init(&arena, 0);
    if (embedded_subscription_read(log, bytes_of(data, size), &arena, &subscription, &err))
        partition_set_deinit(&subscription.owned);
    embedded_subscribes(bytes_of(data, size), BYTES_LITERAL("a"));
    if (embedded_assignment_read(log, bytes_of(data, size), &arena, &assigned, &err))
        partition_set_deinit(&assigned);
    arena_deinit(&arena);
    log_free(log);
    io_free(io);
    return 0;
}
