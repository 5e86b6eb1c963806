/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of containers in a monitored sandbox: from the start to the end that its monitor tells. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/monitored_priv.h"
#include "node/volumes.h"

struct monitored_mount {
    struct list link;
    char target[256];
    char container[RUNTIME_NAME_SIZE]; /* "": of no run */
    unsigned attempt;
};

static char **copy_list(const char *const *list)
{
    size_t count = 0;
    while (list && list[count])
        count++;
    char **copy = memory_new_array(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = memory_string(bytes_of_string(list[i]));
    return copy;
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

static void run_free(struct monitored_run *run)
{
    list_remove(&run->link);
    free_list(run->environment);
    free_list(run->cgroups);
    free_list(run->groups);
    free(run->working_directory);
    free(run->image_id);
    free(run);
}

void monitored_free_runs(struct monitored *monitored)
{
    monitored_free_execs(monitored);
    list_each (struct monitored_run, run, &monitored->runs, link)
        run_free(run);
    list_each (struct monitored_mount, mount, &monitored->mounts, link) {
        list_remove(&mount->link);
        free(mount);
    }
}

/* The newest run of the container. */
struct monitored_run *monitored_find_run(struct monitored *monitored, const char *container)
{
    struct monitored_run *newest = NULL;
    list_each (struct monitored_run, run, &monitored->runs, link)
        if (strcmp(run->container, container) == 0 && (!newest || run->attempt >= newest->attempt))
            newest = run;
    return newest;
}

static void task_name(const char *container, unsigned attempt, char out[96])
{
    snprintf(out, 96, "%s/%u", container, attempt);
}

void monitored_send_string(struct monitored *monitored, enum protocol_type type, const char *text)
{
    AUTO_BUF buf;
    buf_init(&buf, 1024);
    protocol_put_string(&buf, type, text);
    monitored_send(monitored, &buf);
}

void monitored_send_signal(struct monitored *monitored, const char *task, int signal, bool everything)
{
    AUTO_BUF buf;
    buf_init(&buf, 1024);
    const struct protocol_signal message = {.name = task, .signal = (uint32_t)signal, .everything = everything};
    protocol_put_signal(&buf, &message);
    monitored_send(monitored, &buf);
}

/* --- What a later evoke has to know of a run: <container>/<attempt>.json --- */

static void run_path(const struct monitored *monitored, const char *container, unsigned attempt, const char *ending,
                     char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s/%u%s", monitored->directory, container, attempt, ending);
}

static struct json *json_of_list(char *const *list)
{
    struct json *array = json_new_array();
    for (size_t i = 0; list && list[i]; i++)
        json_append(array, json_new_string(bytes_of_string(list[i])));
    return array;
}

static char **list_of_json(const struct json *array)
{
    char **list = memory_new_array(json_size(array) + 1, sizeof *list);
    size_t count = 0;
    json_array_each (i, element, array)
        if (json_is_string(element))
            list[count++] = memory_string(json_bytes(element));
    return list;
}

static void write_run(struct monitored *monitored, const struct monitored_run *run)
{
    char path[PATH_MAX];
    struct error ignored; /* what is lost is the environment of a probe's command after a restart of evoke */
    AUTO_JSON *json = json_new_object();
    AUTO_BUF text;
    buf_init(&text, PROTOCOL_FRAME_MAX);
    json_set(json, "environment", json_of_list(run->environment));
    json_set(json, "cgroups", json_of_list(run->cgroups));
    json_set(json, "groups", json_of_list(run->groups));
    json_set(json, "user", json_new_int(run->user));
    json_set(json, "group", json_new_int(run->group));
    json_set(json, "workingDirectory", json_new_text(run->working_directory ? run->working_directory : ""));
    json_set(json, "imageID", json_new_text(run->image_id));
    json_set(json, "stopSignal", json_new_int(run->stop_signal));
    json_print(json, &text);
    run_path(monitored, run->container, run->attempt, ".json", path);
    if (!volumes_write_file(path, buf_bytes(&text), 0600, &ignored))
        unlink(path);
}

static struct monitored_run *run_new(struct monitored *monitored, const char *container, unsigned attempt)
{
    struct monitored_run *run = NEW(struct monitored_run);
    snprintf(run->container, sizeof run->container, "%s", container);
    run->attempt = attempt;
    run->image_id = memory_string(BYTES_LITERAL(""));
    list_append(&monitored->runs, &run->link);
    return run;
}

static struct monitored_run *read_run(struct monitored *monitored, const char *container, unsigned attempt)
{
    char path[PATH_MAX];
    struct error err;
    AUTO_BUF text;
    buf_init(&text, PROTOCOL_FRAME_MAX);
    run_path(monitored, container, attempt, ".json", path);
    AUTO_JSON *json = NULL;
    if (io_path_read(monitored_engine(monitored)->io, path, &text, &err))
        json = json_parse(buf_bytes(&text), 0, &err);
    struct monitored_run *run = run_new(monitored, container, attempt);
    run->environment = list_of_json(json_get(json, "environment"));
    run->cgroups = list_of_json(json_get(json, "cgroups"));
    run->groups = list_of_json(json_get(json, "groups"));
    run->user = (uint32_t)json_int_at(json, "user", UINT32_MAX);
    run->group = (uint32_t)json_int_at(json, "group", UINT32_MAX);
    run->working_directory = memory_string(bytes_of_string(json_text_at(json, "workingDirectory", "")));
    free(run->image_id);
    run->image_id = memory_string(bytes_of_string(json_text_at(json, "imageID", "")));
    run->stop_signal = (int)json_int_at(json, "stopSignal", 0);
    return run;
}

/* --- Starting --- */

/* The current run and the one before are kept for `kubectl logs` and `logs --previous`. */
static void drop_old_run(struct monitored *monitored, const char *container, unsigned attempt)
{
    static const char *const endings[] = {".log", ".log.1", ".log.2", ".log.3", ".log.4", ".exit", ".json", ".message"};
    char path[PATH_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        run_path(monitored, container, attempt, endings[i], path);
        unlink(path);
    }
}

void monitored_start(struct sandbox *sandbox, const struct runtime_container *container)
{
    struct monitored *monitored = (struct monitored *)(void *)sandbox;
    char path[PATH_MAX];
    struct error err;
    list_each (struct monitored_run, run, &monitored->runs, link) {
        if (strcmp(run->container, container->name) != 0)
            continue;
        assert(!run->running);
        char name[96];
        task_name(run->container, run->attempt, name);
        monitored_send_string(monitored, PROTOCOL_FORGET, name);
        run_free(run);
    }
    if (container->attempt >= 2)
        drop_old_run(monitored, container->name, container->attempt - 2);
    snprintf(path, sizeof path, "%s/%s", monitored->directory, container->name);
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        error_sys(&err, errno, "mkdir %s", path);
        monitored_start_failed(monitored, container->name, container->attempt, RUNTIME_FAILED_CREATE, &err);
        return;
    }
    monitored_engine(monitored)->ops->start(monitored, container);
}

struct monitored_run *monitored_run_add(struct monitored *monitored, const struct runtime_container *container)
{
    struct monitored_run *run = run_new(monitored, container->name, container->attempt);
    run->environment = copy_list(container->environment);
    run->working_directory = memory_string(bytes_of_string(container->working_directory));
    return run;
}

void monitored_start_task(struct monitored *monitored, struct monitored_run *run, struct protocol_start *start)
{
    char name[96];
    AUTO_BUF buf;
    struct error err;
    if (!run->cgroups)
        run->cgroups = copy_list(start->cgroups);
    run->groups = copy_list(start->groups);
    run->user = start->user;
    run->group = start->group;
    task_name(run->container, run->attempt, name);
    start->name = name;
    buf_init(&buf, PROTOCOL_FRAME_MAX + 4);
    protocol_put_start(&buf, start);
    if (buf.overflowed) {
        error_set(&err, ERROR_LIMIT, "command and environment of container %s take more than 8 MiB", run->container);
        monitored_start_failed(monitored, run->container, run->attempt, RUNTIME_FAILED_CONFIG, &err);
        return;
    }
    run->running = true;
    monitored_send(monitored, &buf);
    write_run(monitored, run);
}

/* --- Mounts: asked for before the start that needs them, answered in order --- */

void monitored_mount(struct monitored *monitored, const struct protocol_mount *mount, const struct monitored_run *run)
{
    AUTO_BUF buf;
    buf_init(&buf, 1 << 20);
    struct monitored_mount *waiting = NEW(struct monitored_mount);
    snprintf(waiting->target, sizeof waiting->target, "%s", mount->target);
    if (run) {
        snprintf(waiting->container, sizeof waiting->container, "%s", run->container);
        waiting->attempt = run->attempt;
    }
    list_append(&monitored->mounts, &waiting->link);
    protocol_put_mount(&buf, mount);
    monitored_send(monitored, &buf);
}

void monitored_mounted(struct monitored *monitored, int sys)
{
    struct monitored_mount *mount = LIST_FIRST(&monitored->mounts, struct monitored_mount, link);
    char message[400];
    if (!mount)
        return;
    list_each (struct monitored_run, run, &monitored->runs, link)
        if (strcmp(run->container, mount->container) == 0 && run->attempt == mount->attempt)
            run->mount_error = sys;
    if (sys && !mount->container[0] && monitored->state == MONITORED_ATTACHED) {
        snprintf(message, sizeof message, "mount %s: %s", mount->target, strerror(sys));
        monitored_notice(monitored, "FailedMount", message);
    }
    list_remove(&mount->link);
    free(mount);
}

/* --- A failed start is told from the loop, like a start that the monitor reports --- */

struct failed_start {
    struct io_deferred deferred;
    struct list link;
    struct monitored *monitored;
    char container[RUNTIME_NAME_SIZE];
    unsigned attempt;
    enum runtime_failure failure;
    struct error err;
};

static void tell_started(struct monitored *monitored, const char *container, unsigned attempt,
                         const struct runtime_started *started, const struct error *err)
{
    if (monitored->state == MONITORED_ATTACHED)
        monitored->sandbox.events->on_started(monitored->sandbox.ctx, container, attempt, started, err);
}

static void tell_failed_start(void *ctx)
{
    struct failed_start *failed = ctx;
    struct runtime_started started = {.image_id = "", .failure = failed->failure};
    list_remove(&failed->link);
    tell_started(failed->monitored, failed->container, failed->attempt, &started, &failed->err);
    free(failed);
}

void monitored_drop_failed_starts(struct monitored *monitored)
{
    list_each (struct failed_start, failed, &monitored->failed_starts, link) {
        io_deferred_cancel(&failed->deferred);
        list_remove(&failed->link);
        free(failed);
    }
}

void monitored_start_failed(struct monitored *monitored, const char *container, unsigned attempt,
                            enum runtime_failure failure, const struct error *err)
{
    struct failed_start *failed = NEW(struct failed_start);
    failed->monitored = monitored;
    snprintf(failed->container, sizeof failed->container, "%s", container);
    failed->attempt = attempt;
    failed->failure = failure;
    failed->err = *err;
    list_append(&monitored->failed_starts, &failed->link);
    io_deferred_init(monitored_engine(monitored)->io, &failed->deferred, tell_failed_start, failed);
    io_defer(&failed->deferred);
}

/* --- What the monitor tells --- */

/* A launcher's last line may be a JSON log record (runc's are): its message is the reason. */
void monitored_explain(const struct protocol_task *task, struct error *err)
{
    struct bytes rest = bytes_trim(task->text), line = rest, part;
    struct error ignored;
    while (bytes_split(&rest, '\n', &part))
        line = part;
    AUTO_JSON *record = json_parse(line, 0, &ignored);
    struct bytes message = json_bytes(json_get(record, "msg"));
    if (!message.data)
        message = line;
    error_set(err, ERROR_SYSTEM, BYTES_FORMAT, BYTES_ARGS(message));
    err->sys = (int)task->sys;
}

static void explain_mount(const struct monitored *monitored, const struct monitored_run *run, struct error *err)
{
    const char *trouble = monitored->sandbox.runtime->trouble;
    error_set(err, ERROR_SYSTEM, "mount the image of container %s: %s%s%s", run->container, strerror(run->mount_error),
              trouble ? ": " : "", trouble ? trouble : "");
    err->sys = run->mount_error;
}

static void run_exited(struct monitored *monitored, struct monitored_run *run, const struct protocol_task *task)
{
    bool killed = task->signal == SIGKILL || task->code == 137;
    const struct runtime_exit exit = {
        .code = task->signal ? -1 : (int)task->code,
        .signal = (int)task->signal,
        .out_of_memory = killed && cgroups_out_of_memory(monitored_cgroups(monitored), monitored->uid, run->container,
                                                         run->attempt) > 0,
        .started_ns = (int64_t)task->started_ns,
        .finished_ns = (int64_t)task->finished_ns,
    };
    run->running = false;
    if (monitored->state == MONITORED_ATTACHED)
        monitored->sandbox.events->on_exited(monitored->sandbox.ctx, run->container, run->attempt, &exit);
}

static void run_changed(struct monitored *monitored, const char *container, unsigned attempt,
                        const struct protocol_task *task)
{
    struct monitored_run *run = NULL;
    list_each (struct monitored_run, known, &monitored->runs, link)
        if (strcmp(known->container, container) == 0 && known->attempt == attempt)
            run = known;
    if (!run && !monitored->adopted)
        return;
    if (!run)
        run = read_run(monitored, container, attempt);
    struct runtime_started started = {.started_ns = (int64_t)task->started_ns,
                                      .image_id = run->image_id,
                                      .stop_signal = run->stop_signal,
                                      .failure = RUNTIME_FAILED_RUN};
    struct error err;
    run->running = task->state == PROTOCOL_TASK_STARTING || task->state == PROTOCOL_TASK_RUNNING;
    if (task->state == PROTOCOL_TASK_STARTING || (run->told && task->state != PROTOCOL_TASK_EXITED))
        return;
    if (!run->told) {
        run->told = true;
        if (task->state == PROTOCOL_TASK_FAILED && run->mount_error)
            explain_mount(monitored, run, &err);
        else if (task->state == PROTOCOL_TASK_FAILED)
            monitored_explain(task, &err);
        tell_started(monitored, container, attempt, &started, task->state == PROTOCOL_TASK_FAILED ? &err : NULL);
    }
    if (task->state == PROTOCOL_TASK_EXITED)
        run_exited(monitored, run, task);
}

void monitored_task(struct monitored *monitored, const struct protocol_task *task)
{
    char container[RUNTIME_NAME_SIZE];
    const char *slash = strchr(task->name, '/');
    uint64_t attempt;
    if (!slash || (size_t)(slash - task->name) >= sizeof container)
        return;
    snprintf(container, sizeof container, "%.*s", (int)(slash - task->name), task->name);
    if (bytes_to_u64(bytes_of_string(slash + 1), &attempt) && attempt <= UINT_MAX)
        run_changed(monitored, container, (unsigned)attempt, task);
    else
        monitored_exec_changed(monitored, task);
}

/* --- Signals and output --- */

void monitored_signal(struct sandbox *sandbox, const char *container, int signal)
{
    struct monitored *monitored = (struct monitored *)(void *)sandbox;
    struct monitored_run *run = monitored_find_run(monitored, container);
    char name[96];
    if (!run || !run->running)
        return;
    task_name(container, run->attempt, name);
    monitored_send_signal(monitored, name, signal, signal == SIGKILL);
}

void monitored_watch_output(struct sandbox *sandbox, const char *container, bool on)
{
    struct monitored *monitored = (struct monitored *)(void *)sandbox;
    struct monitored_run *run = monitored_find_run(monitored, container);
    char name[96];
    AUTO_BUF buf;
    buf_init(&buf, 1024);
    if (!run)
        return;
    task_name(container, run->attempt, name);
    protocol_put_watch(&buf, &(struct protocol_watch){.name = name, .on = on});
    monitored_send(monitored, &buf);
}

void monitored_output(struct monitored *monitored, const char *task)
{
    char container[RUNTIME_NAME_SIZE];
    size_t size = strcspn(task, "/");
    if (size >= sizeof container || monitored->state != MONITORED_ATTACHED)
        return;
    snprintf(container, sizeof container, "%.*s", (int)size, task);
    monitored->sandbox.events->on_output(monitored->sandbox.ctx, container);
}

void monitored_output_path(struct sandbox *sandbox, const char *container, unsigned attempt, char *out, size_t size)
{
    const struct monitored *monitored = (struct monitored *)(void *)sandbox;
    snprintf(out, size, "%s/%s/%u.log", monitored->directory, container, attempt);
}
