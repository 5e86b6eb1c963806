/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a sandbox: its monitor, its control groups, its directory, in this order, and not before the last of them
 * is gone is it told as removed. What evoke does not live to see the next one finds: by the directory. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/retry.h"
#include "base/diag.h"
#include "base/memory.h"
#include "node/monitored_priv.h"
#include "node/volumes.h"

enum {
    QUICK_TRIES = 20, /* a millisecond apart */
    QUIET_TRIES = 30, /* about five seconds: longer is worth a word */
};

/* Its directory is being removed on a helper thread, which goes on when the sandbox is let go. */
struct monitored_removal {
    struct monitored *monitored; /* NULL: it was let go */
    char *path;
    bool ok;
    struct error err;
};

static void monitored_free(struct monitored *monitored)
{
    struct monitored_engine *engine = monitored_engine(monitored);
    if (monitored->removal)
        monitored->removal->monitored = NULL;
    if (engine->ops->deinit)
        engine->ops->deinit(monitored);
    monitored_free_runs(monitored);
    monitored_drop_failed_starts(monitored);
    io_timer_stop(&monitored->again);
    io_deferred_cancel(&monitored->deferred);
    if (monitored->connecting)
        io_connect_cancel(monitored->connecting);
    if (monitored->directory_fd >= 0)
        close(monitored->directory_fd);
    io_stream_close(monitored->stream);
    io_process_release(monitored->process);
    cgroups_close(monitored->cgroups);
    json_unref(monitored->description);
    buf_deinit(&monitored->in);
    buf_deinit(&monitored->early);
    free(monitored->directory);
    list_remove(&monitored->link);
    free(monitored);
}

static void remove_directory(void *ctx)
{
    struct monitored_removal *removal = ctx;
    removal->ok = volumes_remove_tree(removal->path, &removal->err);
}

/* Killed processes take a moment to go, and some more than that (they hang in the kernel, or somebody holds a group of
 * theirs): until then there is something left of the pod, and it stays on its way out. */
static void clean_up_again(struct monitored *monitored, const struct error *err)
{
    unsigned tries = monitored->tries++;
    uint64_t pause_ms = tries < QUICK_TRIES ? 1 : retry_pause_ms(tries - QUICK_TRIES + 1);
    if (tries >= QUIET_TRIES) {
        char message[600];
        snprintf(message, sizeof message, "the pod cannot be removed yet, next try in %d s: %s", (int)(pause_ms / 1000),
                 err->message);
        diag_warn("node", "pod %s/%s: %s", json_text_at(monitored->description, "namespace", "?"),
                  json_text_at(monitored->description, "name", "?"), message);
        monitored_notice(monitored, "FailedKillPod", message);
    }
    io_timer_start(&monitored->again, pause_ms);
}

static void removed(struct monitored *monitored)
{
    void (*on_removed)(void *) = monitored->sandbox.events->on_removed;
    void *ctx = monitored->sandbox.ctx;
    monitored_free(monitored);
    on_removed(ctx);
}

static bool kill_all(struct monitored *monitored, struct error *err)
{
    const struct monitored_ops *ops = monitored_engine(monitored)->ops;
    bool none = monitored->ended_well || !ops->kill || ops->kill(monitored);
    return cgroups_remove(monitored_cgroups(monitored), monitored->uid, err) &&
           (none || error_set(err, ERROR_UNAVAILABLE, "processes have not ended yet"));
}

static void directory_removed(void *ctx)
{
    struct monitored_removal *removal = ctx;
    struct monitored *monitored = removal->monitored;
    if (monitored) {
        monitored->removal = NULL;
        /* runc may have been making a group when its monitor was killed */
        if (removal->ok && kill_all(monitored, &removal->err))
            removed(monitored);
        else
            clean_up_again(monitored, &removal->err);
    }
    free(removal->path);
    free(removal);
}

void monitored_clean_up(void *ctx)
{
    struct monitored *monitored = ctx;
    struct monitored_engine *engine = monitored_engine(monitored);
    if (monitored->removal || io_timer_active(&monitored->again))
        return;
    struct error err;
    if (!kill_all(monitored, &err)) {
        clean_up_again(monitored, &err);
        return;
    }
    /* The directory says where the groups are, so it goes after them. */
    struct monitored_removal *removal = monitored->removal = NEW(struct monitored_removal);
    removal->monitored = monitored;
    removal->path = memory_string(bytes_of_string(monitored->directory));
    io_work(engine->io, remove_directory, directory_removed, removal);
}

void monitored_remove(struct sandbox *sandbox)
{
    struct monitored *monitored = (struct monitored *)(void *)sandbox;
    if (monitored->state == MONITORED_REMOVING)
        return;
    monitored->state = MONITORED_REMOVING;
    if (monitored->connecting) {
        io_connect_cancel(TAKE(monitored->connecting));
        close(monitored->directory_fd);
        monitored->directory_fd = -1;
    }
    if (monitored->stream) {
        AUTO_BUF buf;
        buf_init(&buf, 64);
        protocol_put_numbers(&buf, PROTOCOL_END, NULL, 0);
        monitored_send(monitored, &buf);
    } else if (monitored->process) {
        io_process_signal(monitored->process, SIGKILL);
    } else {
        io_defer(&monitored->deferred);
    }
}

void monitored_release(struct sandbox *sandbox)
{
    monitored_free((struct monitored *)(void *)sandbox);
}
