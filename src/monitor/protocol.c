/* SPDX-License-Identifier: Apache-2.0 */
/* Plain and positional: two ends, ten messages, no need for a description language. */
#include "monitor/protocol.h"

#include "base/endian.h"

static size_t frame_begin(struct buf *out, enum protocol_type type)
{
    size_t at = out->size;
    buf_append_be32(out, 0);
    buf_append_byte(out, (uint8_t)type);
    return at;
}

static void frame_end(struct buf *out, size_t at)
{
    if (out->overflowed)
        return;
    put_be32(out->data + at, (uint32_t)(out->size - at - 4));
}

static void put_bytes(struct buf *out, struct bytes bytes)
{
    buf_append_be32(out, (uint32_t)bytes.size);
    buf_append(out, bytes);
}

static void put_text(struct buf *out, const char *text)
{
    put_bytes(out, bytes_of_string(text));
}

static void put_list(struct buf *out, const char *const *list)
{
    uint32_t count = 0;
    while (list && list[count])
        count++;
    buf_append_be32(out, count);
    for (uint32_t i = 0; i < count; i++)
        put_text(out, list[i]);
}

void protocol_put_start(struct buf *out, const struct protocol_start *message)
{
    size_t at = frame_begin(out, PROTOCOL_START);
    put_text(out, message->name);
    buf_append_be32(out, message->flags);
    put_text(out, message->directory);
    put_text(out, message->pid_file);
    put_text(out, message->error_file);
    buf_append_be32(out, message->user);
    buf_append_be32(out, message->group);
    buf_append_be32(out, message->oom_score_adj);
    put_list(out, message->argv);
    put_list(out, message->environment);
    put_list(out, message->cgroups);
    put_list(out, message->groups);
    frame_end(out, at);
}

void protocol_put_signal(struct buf *out, const struct protocol_signal *message)
{
    size_t at = frame_begin(out, PROTOCOL_SIGNAL);
    put_text(out, message->name);
    buf_append_be32(out, message->signal);
    buf_append_be32(out, message->everything);
    frame_end(out, at);
}

void protocol_put_watch(struct buf *out, const struct protocol_watch *message)
{
    size_t at = frame_begin(out, PROTOCOL_WATCH);
    put_text(out, message->name);
    buf_append_be32(out, message->on);
    frame_end(out, at);
}

void protocol_put_mount(struct buf *out, const struct protocol_mount *message)
{
    size_t at = frame_begin(out, PROTOCOL_MOUNT);
    put_text(out, message->source);
    put_text(out, message->target);
    put_text(out, message->type);
    put_text(out, message->data);
    buf_append_be32(out, message->flags);
    frame_end(out, at);
}

void protocol_put_task(struct buf *out, const struct protocol_task *message)
{
    size_t at = frame_begin(out, PROTOCOL_TASK);
    put_text(out, message->name);
    buf_append_be32(out, message->state);
    buf_append_be32(out, message->pid);
    buf_append_be64(out, message->started_ns);
    buf_append_be64(out, message->finished_ns);
    buf_append_be32(out, message->code);
    buf_append_be32(out, message->signal);
    buf_append_be32(out, message->sys);
    put_bytes(out, message->text);
    frame_end(out, at);
}

void protocol_put_string(struct buf *out, enum protocol_type type, const char *text)
{
    size_t at = frame_begin(out, type);
    put_text(out, text);
    frame_end(out, at);
}

void protocol_put_numbers(struct buf *out, enum protocol_type type, const uint32_t *numbers, size_t count)
{
    size_t at = frame_begin(out, type);
    for (size_t i = 0; i < count; i++)
        buf_append_be32(out, numbers[i]);
    frame_end(out, at);
}

bool protocol_get_number(struct bytes *body, uint32_t *number)
{
    if (body->size < sizeof *number)
        return false;
    *number = get_be32(body->data);
    *body = bytes_slice(*body, sizeof *number, SIZE_MAX);
    return true;
}

static bool get_number64(struct bytes *body, uint64_t *number)
{
    uint32_t high, low;
    if (!protocol_get_number(body, &high) || !protocol_get_number(body, &low))
        return false;
    *number = (uint64_t)high << 32 | low;
    return true;
}

int protocol_next(struct bytes *input, struct protocol_frame *frame)
{
    struct bytes rest = *input;
    uint32_t size;
    if (!protocol_get_number(&rest, &size))
        return 0;
    if (size < 1 || size > PROTOCOL_FRAME_MAX)
        return -1;
    if (rest.size < size)
        return 0;
    frame->type = rest.data[0];
    frame->body = bytes_slice(rest, 1, size - 1);
    *input = bytes_slice(rest, size, SIZE_MAX);
    return 1;
}

static bool get_bytes(struct bytes *body, struct bytes *out)
{
    uint32_t size;
    if (!protocol_get_number(body, &size) || size > body->size)
        return false;
    *out = bytes_slice(*body, 0, size);
    *body = bytes_slice(*body, size, SIZE_MAX);
    return true;
}

static bool get_text(struct bytes *body, struct arena *arena, const char **text)
{
    struct bytes bytes;
    if (!get_bytes(body, &bytes) || bytes_find(bytes, 0, 0) < bytes.size)
        return false;
    *text = arena_string(arena, bytes);
    return *text != NULL;
}

static bool get_list(struct bytes *body, struct arena *arena, const char *const **list)
{
    uint32_t count;
    /* Each string takes four bytes at least, so a hostile count cannot ask for more memory than it sent. */
    if (!protocol_get_number(body, &count) || count > PROTOCOL_STRINGS_MAX || count > body->size / 4)
        return false;
    const char **strings = arena_alloc_array(arena, count + 1, sizeof *strings);
    for (uint32_t i = 0; strings && i < count; i++)
        if (!get_text(body, arena, &strings[i]))
            return false;
    *list = strings;
    return strings != NULL;
}

bool protocol_get_start(struct bytes body, struct arena *arena, struct protocol_start *message)
{
    message->groups = NULL;
    return get_text(&body, arena, &message->name) && protocol_get_number(&body, &message->flags) &&
           get_text(&body, arena, &message->directory) && get_text(&body, arena, &message->pid_file) &&
           get_text(&body, arena, &message->error_file) && protocol_get_number(&body, &message->user) &&
           protocol_get_number(&body, &message->group) && protocol_get_number(&body, &message->oom_score_adj) &&
           get_list(&body, arena, &message->argv) && get_list(&body, arena, &message->environment) &&
           get_list(&body, arena, &message->cgroups) && (body.size == 0 || get_list(&body, arena, &message->groups));
}

bool protocol_get_signal(struct bytes body, struct arena *arena, struct protocol_signal *message)
{
    return get_text(&body, arena, &message->name) && protocol_get_number(&body, &message->signal) &&
           protocol_get_number(&body, &message->everything);
}

bool protocol_get_watch(struct bytes body, struct arena *arena, struct protocol_watch *message)
{
    return get_text(&body, arena, &message->name) && protocol_get_number(&body, &message->on);
}

bool protocol_get_mount(struct bytes body, struct arena *arena, struct protocol_mount *message)
{
    return get_text(&body, arena, &message->source) && get_text(&body, arena, &message->target) &&
           get_text(&body, arena, &message->type) && get_text(&body, arena, &message->data) &&
           protocol_get_number(&body, &message->flags);
}

bool protocol_get_task(struct bytes body, struct arena *arena, struct protocol_task *message)
{
    return get_text(&body, arena, &message->name) && protocol_get_number(&body, &message->state) &&
           protocol_get_number(&body, &message->pid) && get_number64(&body, &message->started_ns) &&
           get_number64(&body, &message->finished_ns) && protocol_get_number(&body, &message->code) &&
           protocol_get_number(&body, &message->signal) && protocol_get_number(&body, &message->sys) &&
           get_bytes(&body, &message->text);
}

bool protocol_get_string(struct bytes body, struct arena *arena, const char **text)
{
    return get_text(&body, arena, text);
}
