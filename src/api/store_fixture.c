/* SPDX-License-Identifier: Apache-2.0 */
/* See store_fixture.h. */
#include "api/store_fixture.h"

static void stop(void *ctx)
{
    io_stop(ctx);
}

static void open_parts(struct fixture *f)
{
    struct error err;
    struct log_options options = {.directory = test_dir(), .journal_file_size = 1 << 20};
    f->io = io_linux_new(&err);
    CHECK_OK(f->io, &err);
    f->log = log_open(f->io, &options, &err);
    CHECK_OK(f->log, &err);
    f->api = api_open(f->io, f->log, &err);
    CHECK_OK(f->api, &err);
}

void fixture_open(struct fixture *f)
{
    *f = (struct fixture){0};
    open_parts(f);
    fixture_sync(f);
}

void fixture_close(struct fixture *f)
{
    api_close(f->api);
    log_close(f->log, stop, f->io);
    io_run(f->io);
    io_free(f->io);
}

void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    open_parts(f);
}

void fixture_turn(struct fixture *f)
{
    struct io_timer timer;
    io_timer_init(f->io, &timer, stop, f->io);
    io_timer_start_ns(&timer, 1);
    io_run(f->io);
}

static void on_synced(void *ctx, const struct error *err)
{
    CHECK(err == NULL);
    io_stop(ctx);
}

void fixture_sync(struct fixture *f)
{
    struct log_waiter waiter = {.run = on_synced, .ctx = f->io};
    api_wait(f->api, &waiter);
    io_run(f->io);
    fixture_turn(f);
}

struct json *fixture_json(const char *text, size_t size)
{
    struct error err;
    struct json *json = json_parse(bytes_of(text, size), 0, &err);
    CHECK_OK(json, &err);
    return json;
}

static struct bytes namespace_for(const struct kind *kind, const char *namespace)
{
    return kind->namespaced ? bytes_of_string(namespace) : BYTES_NULL;
}

struct object *fixture_create(struct fixture *f, const char *kind_name, const char *text)
{
    struct error err;
    struct object *object = NULL;
    const struct kind *kind = kind_by_name(kind_name);
    AUTO_JSON *json = fixture_json(text, strlen(text));
    CHECK_OK(api_create(f->api, kind, namespace_for(kind, "default"), json, 0, &object, &err), &err);
    return object;
}

void fixture_create_fails(struct fixture *f, const char *kind_name, const char *namespace, const char *text,
                          enum error_kind error, int sys)
{
    struct error err;
    const struct kind *kind = kind_by_name(kind_name);
    AUTO_JSON *json = fixture_json(text, strlen(text));
    uint64_t lsn = log_lsn(f->log);
    CHECK(!api_create(f->api, kind, namespace_for(kind, namespace), json, 0, NULL, &err));
    CHECK_INT(err.kind, error);
    CHECK_INT(err.sys, sys);
    CHECK_INT(log_lsn(f->log), lsn);
}

void fixture_set(struct fixture *f, const char *kind_name, const char *name, const char *path, struct json *value,
                 int flags)
{
    struct error err;
    const struct kind *kind = kind_by_name(kind_name);
    struct bytes namespace = namespace_for(kind, "default");
    AUTO_JSON *json = json_clone(api_get(f->api, kind, namespace, bytes_of_string(name))->json);
    json_set_at(json, path, value);
    CHECK_OK(api_update(f->api, kind, namespace, bytes_of_string(name), json, flags, NULL, &err), &err);
}

void fixture_delete(struct fixture *f, const char *kind_name, const char *namespace, const char *name)
{
    struct error err;
    const struct kind *kind = kind_by_name(kind_name);
    CHECK_OK(api_delete(f->api, kind, namespace_for(kind, namespace), bytes_of_string(name), NULL, NULL, &err), &err);
}
