/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/pods_end.h"

#include <stdlib.h>

#include "api/kind.h"
#include "api/retry.h"
#include "base/memory.h"

struct pods_end {
    struct api *api;
    struct api_listener pods;
    struct io_deferred check;
    struct retry deletion;
    void (*done)(void *ctx);
    void *ctx;
};

static void check(void *ctx)
{
    struct pods_end *end = ctx;
    void (*done)(void *ctx) = end->done;
    if (!done || api_count(end->api, kind_by_name("Pod")) > 0)
        return;
    end->done = NULL;
    done(end->ctx);
}

static void on_pod(void *ctx, enum api_event_type type, struct object *pod, struct object *before)
{
    struct pods_end *end = ctx;
    (void)pod;
    (void)before;
    if (type == API_DELETED)
        io_defer(&end->check);
}

static bool delete_all(void *ctx, struct error *err)
{
    struct pods_end *end = ctx;
    static const struct api_delete_options options = {.grace_period_s = -1};
    struct api_iterator iterator;
    struct error one;
    bool ok = true;
    api_iterate(end->api, kind_by_name("Pod"), BYTES_NULL, &iterator);
    for (struct object *pod; (pod = api_iterator_next(&iterator));)
        if (!pod->deleting && !api_delete(end->api, pod->kind, pod->namespace, pod->name, &options, NULL, &one)) {
            *err = one;
            ok = error_wrap(err, "pod " BYTES_FORMAT, BYTES_ARGS(pod->name));
        }
    return ok;
}

struct pods_end *pods_end_open(struct api *api, void (*done)(void *ctx), void *ctx)
{
    struct pods_end *end = NEW(struct pods_end);
    *end = (struct pods_end){.api = api, .done = done, .ctx = ctx};
    end->pods = (struct api_listener){.run = on_pod, .ctx = end, .kind = kind_by_name("Pod")};
    io_deferred_init(api_io(api), &end->check, check, end);
    retry_init(api_io(api), &end->deletion, "evoke", delete_all, end);
    api_listen(api, &end->pods);
    retry_now(&end->deletion);
    io_defer(&end->check);
    return end;
}

void pods_end_close(struct pods_end *end)
{
    if (!end)
        return;
    api_unlisten(&end->pods);
    io_deferred_cancel(&end->check);
    retry_stop(&end->deletion);
    free(end);
}
