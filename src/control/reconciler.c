/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reconciler.h"

#include <assert.h>

#include "api/retry.h"
#include "base/diag.h"
#include "base/memory.h"

/* A key that somebody asked for. It lives until a reconcile succeeds and asks for no later look. */
struct item {
    struct reconciler *reconciler;
    struct list link; /* in the queue's ready list, when its turn comes */
    struct io_timer timer;
    const struct kind *kind;
    struct bytes namespace, name; /* copies */
    unsigned failures;
};

/* So many in one go, then what they wrote is told to others first: a flood of one kind delays nobody. */
enum { ITEMS_PER_ROUND = 256 };

static void run_queue(void *ctx);

void work_queue_init(struct work_queue *queue, struct io *io)
{
    *queue = (struct work_queue){.io = io};
    list_init(&queue->ready);
    io_deferred_init(io, &queue->run, run_queue, queue);
}

void work_queue_deinit(struct work_queue *queue)
{
    assert(list_empty(&queue->ready));
    io_deferred_cancel(&queue->run);
}

/* --- Items --- */

enum { KEY_SIZE_MAX = 64 + 2 * 260 };

static struct bytes key_bytes(char out[KEY_SIZE_MAX], const struct kind *kind, struct bytes namespace,
                              struct bytes name)
{
    assert(namespace.size <= 256 && name.size <= 256); /* the api's names are shorter */
    size_t size = 0;
    memcpy(out, &kind, sizeof kind);
    size += sizeof kind;
    if (namespace.size)
        memcpy(out + size, namespace.data, namespace.size);
    size += namespace.size;
    out[size++] = '\0';
    if (name.size)
        memcpy(out + size, name.data, name.size);
    return bytes_of(out, size + name.size);
}

static void make_ready(struct item *item)
{
    struct work_queue *queue = item->reconciler->queue;
    if (!list_linked(&item->link))
        list_append(&queue->ready, &item->link);
    io_defer(&queue->run);
}

static void item_due(void *ctx)
{
    make_ready(ctx);
}

static struct item *item_find_or_add(struct reconciler *reconciler, const struct kind *kind, struct bytes namespace,
                                     struct bytes name)
{
    char space[KEY_SIZE_MAX];
    struct bytes key = key_bytes(space, kind, namespace, name);
    struct item *item = map_get(&reconciler->items, key);
    if (item)
        return item;
    item = NEW(struct item);
    item->reconciler = reconciler;
    item->kind = kind;
    item->namespace = memory_copy(namespace);
    item->name = memory_copy(name);
    io_timer_init(reconciler->queue->io, &item->timer, item_due, item);
    map_put(&reconciler->items, key, item);
    reconciler->queue->items++;
    return item;
}

static void item_free(void *value)
{
    struct item *item = value;
    io_timer_stop(&item->timer);
    list_remove(&item->link);
    item->reconciler->queue->items--;
    free((void *)(uintptr_t)item->namespace.data);
    free((void *)(uintptr_t)item->name.data);
    free(item);
}

static void item_forget(struct item *item)
{
    char space[KEY_SIZE_MAX];
    map_remove(&item->reconciler->items, key_bytes(space, item->kind, item->namespace, item->name));
    item_free(item);
}

void reconciler_enqueue(struct reconciler *reconciler, const struct kind *kind, struct bytes namespace,
                        struct bytes name)
{
    make_ready(item_find_or_add(reconciler, kind, namespace, name));
}

void reconciler_enqueue_after(struct reconciler *reconciler, const struct key *key, uint64_t delay_ms)
{
    struct item *item = item_find_or_add(reconciler, key->kind, key->namespace, key->name);
    uint64_t due_ns = io_now_ns(reconciler->queue->io) + delay_ms * 1000000;
    if (!io_timer_active(&item->timer) || item->timer.due_ns > due_ns)
        io_timer_start(&item->timer, delay_ms);
}

/* --- Running --- */

static void run_item(struct work_queue *queue, struct item *item)
{
    struct reconciler *reconciler = item->reconciler;
    const struct key key = {item->kind, item->namespace, item->name};
    struct error err;
    list_remove(&item->link);
    io_timer_stop(&item->timer);
    queue->reconciles++;
    if (reconciler->options->reconcile(reconciler->ctx, &key, &err)) {
        item->failures = 0;
        if (!list_linked(&item->link) && !io_timer_active(&item->timer))
            item_forget(item);
        return;
    }
    queue->errors++;
    item->failures++;
    diag_warn("control", "%s " BYTES_FORMAT "/" BYTES_FORMAT ": %s", reconciler->options->name,
              BYTES_ARGS(item->namespace), BYTES_ARGS(item->name), err.message);
    reconciler_enqueue_after(reconciler, &key, retry_pause_ms(item->failures));
}

static void run_queue(void *ctx)
{
    struct work_queue *queue = ctx;
    for (size_t i = 0; i < ITEMS_PER_ROUND && !list_empty(&queue->ready); i++)
        run_item(queue, LIST_FIRST(&queue->ready, struct item, link));
    if (!list_empty(&queue->ready))
        io_defer(&queue->run);
}

/* --- Watching --- */

static void on_change(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct watcher *watcher = ctx;
    watcher->watch->changed(watcher->reconciler->ctx, type, object, before);
}

void reconciler_init(struct reconciler *reconciler, struct work_queue *queue, struct api *api,
                     const struct reconciler_options *options, void *ctx)
{
    assert(options->watch_count <= RECONCILER_WATCHES_MAX);
    *reconciler = (struct reconciler){.queue = queue, .api = api, .options = options, .ctx = ctx};
    for (size_t i = 0; i < options->watch_count; i++) {
        struct watcher *watcher = &reconciler->watchers[i];
        const char *kind = options->watches[i].kind;
        *watcher = (struct watcher){.reconciler = reconciler, .watch = &options->watches[i]};
        watcher->listener =
            (struct api_listener){.run = on_change, .ctx = watcher, .kind = kind ? kind_by_name(kind) : NULL};
        assert(!kind || watcher->listener.kind);
        api_listen(api, &watcher->listener);
    }
}

void reconciler_deinit(struct reconciler *reconciler)
{
    if (!reconciler->queue)
        return;
    for (size_t i = 0; i < reconciler->options->watch_count; i++)
        api_unlisten(&reconciler->watchers[i].listener);
    map_deinit(&reconciler->items, item_free);
}
