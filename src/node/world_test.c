/* SPDX-License-Identifier: Apache-2.0 */
#include "node/world_test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

static void on_pod(void *ctx, enum api_event_type type, struct object *pod, struct object *before)
{
    struct world *world = ctx;
    (void)type, (void)before;
    for (size_t i = 0; i < world->uid_count; i++)
        if (strcmp(world->uids[i], pod->uid) == 0)
            return;
    CHECK(world->uid_count < WORLD_PODS_MAX);
    snprintf(world->uids[world->uid_count++], sizeof world->uids[0], "%s", pod->uid);
}

void world_open(struct world *world)
{
    struct error err;
    world->io = io_linux_new(&err);
    CHECK(world->io != NULL);
    const struct log_options log_options = {.directory = test_dir(), .journal_file_size = 4 << 20};
    world->log = log_open(world->io, &log_options, &err);
    CHECK_OK(world->log != NULL, &err);
    world->api = api_open(world->io, world->log, &err);
    CHECK_OK(world->api != NULL, &err);
    const struct runtime_options options = {.directory = test_dir(),
                                            .bridge = world->bridge,
                                            .pod_cidr = world->pod_cidr,
                                            .monitor_path = world->monitor_path,
                                            .proc = world->proc};
    world->processes = runtime_process_open(world->io, &options, &err);
    CHECK_OK(world->processes != NULL, &err);
    world->oci = NULL;
    if (world->containers) {
        world->oci = runtime_oci_open(world->io, &options, &err);
        CHECK_OK(world->oci != NULL, &err);
        if (world->services)
            CHECK_OK(runtime_oci_make_local(world->oci, world->services, &err), &err);
    }
    world->pods = (struct api_listener){.run = on_pod, .ctx = world, .kind = kind_by_name("Pod")};
    api_listen(world->api, &world->pods);
    machine_read(&world->machine);
    const struct node_options node_options = {.machine = &world->machine,
                                              .processes = world->processes,
                                              .containers = world->oci,
                                              .cluster_dns = world->cluster_dns,
                                              .schedule = true};
    world->node = node_open(world->io, world->api, &node_options, &err);
    CHECK_OK(world->node != NULL, &err);
}

static void stop(void *ctx)
{
    io_stop(ctx);
}

void world_close(struct world *world)
{
    node_close(world->node);
    api_unlisten(&world->pods);
    runtime_close(world->oci);
    runtime_close(world->processes);
    api_close(world->api);
    log_close(world->log, stop, world->io);
    io_run(world->io);
    io_free(world->io);
}

struct waiting {
    struct world *world;
    bool (*holds)(struct world *world, const void *ctx);
    const void *ctx;
    struct io_timer timer;
    uint64_t until_ns;
    bool held;
};

static void look(void *ctx)
{
    struct waiting *waiting = ctx;
    waiting->held = waiting->holds && waiting->holds(waiting->world, waiting->ctx);
    if (waiting->held || io_now_ns(waiting->world->io) >= waiting->until_ns)
        io_stop(waiting->world->io);
    else
        io_timer_start(&waiting->timer, 1);
}

static bool wait_ms(struct world *world, bool (*holds)(struct world *, const void *), const void *ctx, uint64_t ms)
{
    struct waiting waiting = {.world = world, .holds = holds, .ctx = ctx};
    waiting.until_ns = io_now_ns(world->io) + ms * 1000000;
    io_timer_init(world->io, &waiting.timer, look, &waiting);
    io_timer_start(&waiting.timer, 0);
    io_run(world->io);
    io_timer_stop(&waiting.timer);
    return waiting.held;
}

void world_run_ms(struct world *world, uint64_t ms)
{
    wait_ms(world, NULL, NULL, ms);
}

const struct json *world_pod(struct world *world, const char *pod)
{
    const struct object *object = api_find(world->api, "Pod", "default", pod);
    return object ? object->json : NULL;
}

static void fail_with_pods(struct world *world, const char *what)
{
    struct api_iterator iterator;
    static const char *const kinds[] = {"Pod", "Event"};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        api_iterate(world->api, kind_by_name(kinds[i]), BYTES_NULL, &iterator);
        for (const struct object *object; (object = api_iterator_next(&iterator));) {
            AUTO_BUF text;
            buf_init(&text, 1 << 20);
            json_print(i == 0 ? json_get(object->json, "status") : json_get(object->json, "message"), &text);
            fprintf(stderr, BYTES_FORMAT ": %s\n", BYTES_ARGS(object->name), buf_string(&text));
        }
    }
    test_fail(__FILE__, __LINE__, "did not come: %s", what);
}

void world_until(struct world *world, bool (*holds)(struct world *world, const void *ctx), const void *ctx,
                 const char *what)
{
    if (!wait_ms(world, holds, ctx, 20000))
        fail_with_pods(world, what);
}

struct expectation {
    const char *pod, *path, *text;
};

static bool text_is(struct world *world, const void *ctx)
{
    const struct expectation *expected = ctx;
    return strcmp(json_text_at(world_pod(world, expected->pod), expected->path, ""), expected->text) == 0;
}

void world_until_text(struct world *world, const char *pod, const char *path, const char *text)
{
    char what[200];
    snprintf(what, sizeof what, "%s %s = %s", pod, path, text);
    world_until(world, text_is, &(struct expectation){pod, path, text}, what);
}

static bool is_ready(struct world *world, const char *pod)
{
    bool ready = false;
    json_array_each (i, condition, json_at(world_pod(world, pod), "status.conditions"))
        ready = ready || (strcmp(json_text_at(condition, "type", ""), "Ready") == 0 &&
                          strcmp(json_text_at(condition, "status", ""), "True") == 0);
    return ready;
}

static bool ready_now(struct world *world, const void *ctx)
{
    return is_ready(world, ctx);
}

static bool not_ready_now(struct world *world, const void *ctx)
{
    return !is_ready(world, ctx);
}

void world_until_ready(struct world *world, const char *pod, bool ready)
{
    world_until(world, ready ? ready_now : not_ready_now, pod, ready ? "pod is ready" : "pod is not ready");
}

static bool no_pod(struct world *world, const void *ctx)
{
    return world_pod(world, ctx) == NULL;
}

void world_until_no_pod(struct world *world, const char *pod)
{
    world_until(world, no_pod, pod, "pod is gone");
}

void world_create(struct world *world, const char *json)
{
    struct error err;
    AUTO_FREE(char) text = memory_string(bytes_of_string(json));
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    AUTO_JSON *object = json_parse(bytes_of_string(text), 0, &err);
    CHECK_OK(object != NULL, &err);
    const struct kind *kind = kind_by_name(json_text_at(object, "kind", ""));
    CHECK(kind != NULL);
    CHECK_OK(api_create(world->api, kind, kind->namespaced ? BYTES_LITERAL("default") : BYTES_LITERAL(""), object, 0,
                        NULL, &err),
             &err);
}

void world_delete(struct world *world, const char *pod, int64_t grace_s)
{
    struct error err;
    const struct api_delete_options options = {.grace_period_s = grace_s};
    CHECK_OK(api_delete(world->api, kind_by_name("Pod"), BYTES_LITERAL("default"), bytes_of_string(pod), &options, NULL,
                        &err),
             &err);
}

bool world_has_event(struct world *world, const char *pod, const char *reason)
{
    bool found = false;
    struct api_iterator iterator;
    api_iterate(world->api, kind_by_name("Event"), BYTES_LITERAL("default"), &iterator);
    for (const struct object *event; (event = api_iterator_next(&iterator));)
        found = found || (strcmp(json_text_at(event->json, "involvedObject.name", ""), pod) == 0 &&
                          strcmp(json_text_at(event->json, "reason", ""), reason) == 0);
    return found;
}

struct gathering {
    struct buf text;
    bool ended;
};

static void on_data(void *ctx, struct bytes text)
{
    buf_append(&((struct gathering *)ctx)->text, text);
}

static void on_end(void *ctx, const struct error *err)
{
    CHECK(err == NULL);
    ((struct gathering *)ctx)->ended = true;
}

static bool ended(struct world *world, const void *ctx)
{
    (void)world;
    return ((const struct gathering *)ctx)->ended;
}

char *world_logs(struct world *world, const char *pod, const struct node_log_options *options)
{
    static const struct node_log_callbacks callbacks = {.on_data = on_data, .on_end = on_end};
    const struct node_log_options all = {.tail_lines = -1, .limit_bytes = -1};
    struct gathering gathering = {0};
    struct error err;
    buf_init(&gathering.text, 1 << 24);
    struct node_log *log = node_log_open(world->node, BYTES_LITERAL("default"), bytes_of_string(pod),
                                         options ? options : &all, &callbacks, &gathering, &err);
    CHECK_OK(log != NULL, &err);
    world_until(world, ended, &gathering, "the end of the log");
    node_log_close(log);
    char *text = memory_string(buf_bytes(&gathering.text));
    buf_deinit(&gathering.text);
    return text;
}

void world_until_logs(struct world *world, const char *pod, const char *text)
{
    for (int tries = 0; tries < 2000; tries++) {
        AUTO_FREE(char) all = world_logs(world, pod, NULL);
        if (strncmp(all, text, strlen(text)) == 0)
            return;
        world_run_ms(world, 10);
    }
    AUTO_FREE(char) all = world_logs(world, pod, NULL);
    CHECK_STR(all, text);
}

static bool directory_empty(const char *path)
{
    DIR *dir = opendir(path);
    bool empty = true;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        empty = empty && entry->d_name[0] == '.';
    if (dir)
        closedir(dir);
    return empty;
}

static bool pods_empty(struct world *world, const void *ctx)
{
    (void)world;
    return directory_empty(ctx);
}

/* Whether any process of this machine works in our pods' directories or has one of them in its arguments. */
static bool any_process(const char *pods)
{
    char command[4200];
    snprintf(command, sizeof command, "ls -l /proc/[0-9]*/cwd 2>/dev/null | grep -q '%s'", pods);
    return system(command) == 0;
}

/* Or is a process pod's by its environment. */
static bool any_marked(const char *uid)
{
    char command[200];
    snprintf(command, sizeof command, "grep -qz 'EVOKE_POD_UID=%s' /proc/[0-9]*/environ 2>/dev/null", uid);
    return system(command) == 0;
}

/* A mount of any namespace: those of a pod end with its last process. */
static bool any_mount(void)
{
    char command[4200];
    snprintf(command, sizeof command, "cat /proc/[0-9]*/mountinfo 2>/dev/null | grep -q '%s'", test_dir());
    return system(command) == 0;
}

/* In every hierarchy that is mounted, wherever a group of that name may be. */
static bool any_group(const char *uid)
{
    char command[4200];
    snprintf(command, sizeof command,
             "find $(awk '/ - cgroup2? /{print $5}' /proc/self/mountinfo) -name %s 2>/dev/null | grep .", uid);
    return system(command) == 0;
}

/* Named after the pod, see runtime_oci.c; it lives as long as either end's namespace. */
static bool any_interface(const char *uid)
{
    char path[100];
    snprintf(path, sizeof path, "/sys/class/net/ev%.8s%.4s", uid, uid + 9);
    return access(path, F_OK) == 0;
}

static bool no_interface(struct world *world, const void *ctx)
{
    (void)world;
    return !any_interface(ctx);
}

void world_check_clean(struct world *world)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/pods", test_dir());
    world_until(world, pods_empty, path, "no directory of a pod is left");
    CHECK(!any_process(path));
    CHECK(!any_mount());
    for (size_t i = 0; i < world->uid_count; i++) {
        CHECK(!any_group(world->uids[i]));
        CHECK(!any_marked(world->uids[i]));
        world_until(world, no_interface, world->uids[i], "no interface is left"); /* the kernel takes its time */
    }
}

/* What containers share goes with the last of them: the bridge, and the rules that are named after it. */
static void check_no_network(const struct world *world)
{
    char command[300];
    snprintf(command, sizeof command, "test -e /sys/class/net/%s", world->bridge);
    CHECK(system(command) != 0);
    snprintf(command, sizeof command, "nft list tables 2>/dev/null | grep -q %s", world->bridge);
    CHECK(system(command) != 0);
    if (!world->services)
        return;
    snprintf(command, sizeof command, "ip route show table local 2>/dev/null | grep -q %s", world->services);
    CHECK(system(command) != 0);
}

void world_end(struct world *world)
{
    world_check_clean(world);
    world_close(world);
    if (world->bridge)
        check_no_network(world);
}
