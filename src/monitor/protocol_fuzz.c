/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as they come from a socket, each decoded as what it says it is. */
#include "monitor/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);
    struct protocol_frame frame;
    AUTO_ARENA arena;
    arena_init(&arena, PROTOCOL_FRAME_MAX * 4);
    while (protocol_next(&input, &frame) > 0) {
        struct protocol_start start;
        struct protocol_signal signal;
        struct protocol_watch watch;
        struct protocol_mount mount;
        struct protocol_task task;
        const char *text;
        protocol_get_start(frame.body, &arena, &start);
        protocol_get_signal(frame.body, &arena, &signal);
        protocol_get_watch(frame.body, &arena, &watch);
        protocol_get_mount(frame.body, &arena, &mount);
        protocol_get_task(frame.body, &arena, &task);
        protocol_get_string(frame.body, &arena, &text);
        arena_reset(&arena);
    }
    return 0;
}
