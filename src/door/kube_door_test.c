/* SPDX-License-Identifier: Apache-2.0 */
/* The API door over real TLS, with our own HTTP client. What kubectl makes of it is in tests/e2e. */
#include <stdio.h>
#include <sys/stat.h>

#include "api/store_priv.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "door/kube_call.h"
#include "http/http_client.h"
#include "io/file.h"
#include "io/simulated.h"
#include "test.h"

#define DAY_MS (UINT64_C(24) * 3600 * 1000)

struct fixture {
    struct io *io;
    struct log *log;
    struct api *api;
    struct kube_door *door;
    struct http_client *client;
    struct io_tls *tls;
    /* the last answer */
    int status;
    struct json *json; /* NULL: not JSON */
    struct buf body, warning, type;
};

static void stop(void *ctx)
{
    io_stop(ctx);
}

static void fixture_open(struct fixture *f)
{
    struct error err;
    *f = (struct fixture){0};
    buf_init(&f->body, 1 << 24);
    buf_init(&f->warning, 1 << 16);
    buf_init(&f->type, 1 << 16);
    struct log_options options = {.directory = test_dir(), .journal_file_size = 4 << 20};
    f->io = io_linux_new(&err);
    CHECK_OK(f->io, &err);
    f->log = log_open(f->io, &options, &err);
    CHECK_OK(f->log, &err);
    f->api = api_open(f->io, f->log, &err);
    CHECK_OK(f->api, &err);
    struct kube_door_options door = {
        .address = {.family = IO_ADDRESS_IPV4, .ip = {127, 0, 0, 1}}, .directory = test_dir(), .host_name = "here"};
    f->door = kube_door_open(f->api, &door, &err);
    CHECK_OK(f->door, &err);
    f->client = http_client_new(f->io);
    f->tls = io_tls_client_new(f->io, bytes_of_string(kube_door_ca(f->door)),
                               bytes_of_string(f->door->pki.admin.certificate_pem),
                               bytes_of_string(f->door->pki.admin.key_pem), &err);
    CHECK_OK(f->tls, &err);
}

static void fixture_close(struct fixture *f)
{
    http_client_free(f->client);
    kube_door_close(f->door);
    api_close(f->api);
    log_close(f->log, stop, f->io);
    io_run(f->io);
    io_tls_free(f->tls);
    io_free(f->io);
    json_unref(f->json);
    buf_deinit(&f->body);
    buf_deinit(&f->warning);
    buf_deinit(&f->type);
}

static void on_response(void *ctx, const struct http_response *response, const struct error *err)
{
    struct fixture *f = ctx;
    struct error ignored;
    if (!response)
        test_fail(__FILE__, __LINE__, "%s", err->message);
    f->status = response->head->status;
    buf_append(&f->body, response->body);
    buf_append(&f->warning, http_head_get(response->head, "Warning"));
    buf_append(&f->type, http_head_get(response->head, "Content-Type"));
    f->json = json_parse(response->body, 0, &ignored);
    io_stop(f->io);
}

struct asking {
    const char *method, *target, *content_type, *accept, *body;
    struct bytes raw; /* a body with zero bytes */
    bool anonymous;
};

/* Asks, and runs the loop until the answer is there. */
static int ask_with(struct fixture *f, const struct asking *a)
{
    struct error err;
    struct http_field fields[2];
    struct http_call_options options = {.address = kube_door_address(f->door),
                                        .tls = f->tls,
                                        .server_name = "localhost",
                                        .method = bytes_of_string(a->method),
                                        .target = bytes_of_string(a->target),
                                        .fields = fields,
                                        .body = a->raw.data ? a->raw : bytes_of_string(a->body),
                                        .timeout_ms = 20000,
                                        .response_size_max = 1 << 24};
    if (a->content_type)
        fields[options.field_count++] = HTTP_FIELD("Content-Type", bytes_of_string(a->content_type));
    if (a->accept)
        fields[options.field_count++] = HTTP_FIELD("Accept", bytes_of_string(a->accept));
    struct io_tls *anonymous = NULL;
    if (a->anonymous) {
        anonymous = io_tls_client_new(f->io, bytes_of_string(kube_door_ca(f->door)), BYTES_NULL, BYTES_NULL, &err);
        CHECK_OK(anonymous, &err);
        options.tls = anonymous;
    }
    json_unref(f->json);
    f->json = NULL;
    buf_reset(&f->body);
    buf_reset(&f->warning);
    buf_reset(&f->type);
    http_client_call(f->client, &options, on_response, f);
    io_run(f->io);
    if (anonymous) {
        http_client_forget(f->client, &options.address);
        io_tls_free(anonymous);
    }
    return f->status;
}

static int ask(struct fixture *f, const char *method, const char *target, const char *body)
{
    return ask_with(
        f, &(struct asking){.method = method, .target = target, .body = body, .content_type = "application/json"});
}

static const char *text_at(struct fixture *f, const char *path)
{
    return json_text_at(f->json, path, "(absent)");
}

static const char config_maps[] = "/api/v1/namespaces/default/configmaps";

static void create_config_map(struct fixture *f, const char *name, const char *labels)
{
    char body[300];
    snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"%s\",\"labels\":{%s}},\"data\":{\"k\":\"v\"}}", name,
             labels);
    CHECK_INT(ask(f, "POST", config_maps, body), 201);
}

/* --- Who may ask --- */

TEST(without_credentials_only_health_and_version_are_answered)
{
    struct fixture f;
    fixture_open(&f);
    CHECK_INT(ask_with(&f, &(struct asking){.method = "GET", .target = "/api/v1/pods", .anonymous = true}), 401);
    CHECK_STR(text_at(&f, "reason"), "Unauthorized");
    CHECK_INT(ask_with(&f, &(struct asking){.method = "GET", .target = "/apis", .anonymous = true}), 401);
    CHECK_INT(ask_with(&f, &(struct asking){.method = "GET", .target = "/readyz", .anonymous = true}), 200);
    CHECK_STR(buf_string(&f.body), "ok");
    CHECK_INT(ask_with(&f, &(struct asking){.method = "GET", .target = "/version", .anonymous = true}), 200);
    CHECK_STR(text_at(&f, "major"), "1");
    fixture_close(&f);
}

TEST(certificates_and_kubeconfig_are_made_once_and_private)
{
    struct fixture f;
    struct error err;
    struct stat before, after;
    char path[300];
    fixture_open(&f);
    snprintf(path, sizeof path, "%s/kubeconfig", test_dir());
    CHECK(stat(path, &before) == 0);
    CHECK_INT(before.st_mode & 0777, 0600);
    struct kube_pki again;
    CHECK_OK(kube_pki_load(f.io, test_dir(), "here", &again, &err), &err);
    CHECK_STR(again.admin.certificate_pem, f.door->pki.admin.certificate_pem);
    CHECK_STR(again.server.key_pem, f.door->pki.server.key_pem);
    struct io_address address = kube_door_address(f.door);
    CHECK_OK(kube_pki_write_kubeconfig(f.io, test_dir(), &again, &address, &err), &err);
    CHECK(stat(path, &after) == 0);
    CHECK_INT(after.st_ino, before.st_ino); /* not written again */
    kube_pki_deinit(&again);
    snprintf(path, sizeof path, "%s/pki/ca.key", test_dir());
    CHECK(stat(path, &after) == 0);
    CHECK_INT(after.st_mode & 0777, 0600);
    fixture_close(&f);
}

/* A power loss may leave what is not worth a sync empty. */
TEST(a_certificate_that_is_damaged_is_made_anew_by_the_same_ca)
{
    struct fixture f;
    struct error err;
    struct kube_pki again;
    char path[300];
    fixture_open(&f);
    snprintf(path, sizeof path, "%s/pki/server.key", test_dir());
    CHECK_OK(io_path_write(f.io, path, BYTES_LITERAL(""), 0600, &err), &err);
    CHECK_OK(kube_pki_load(f.io, test_dir(), "here", &again, &err), &err);
    CHECK_STR(again.ca.certificate_pem, f.door->pki.ca.certificate_pem);
    CHECK_STR(again.admin.certificate_pem, f.door->pki.admin.certificate_pem);
    CHECK(strcmp(again.server.certificate_pem, f.door->pki.server.certificate_pem) != 0);
    CHECK(io_certificate_is_good(f.io, &again.ca, &again.server, 365));
    kube_pki_deinit(&again);
    fixture_close(&f);
}

static void simulated_open(struct fixture *f)
{
    struct error err;
    struct log_options options = {.directory = "/data", .journal_file_size = 4 << 20};
    *f = (struct fixture){.io = io_simulated_new(1)};
    buf_init(&f->body, 1 << 24);
    buf_init(&f->warning, 1 << 16);
    buf_init(&f->type, 1 << 16);
    f->log = log_open(f->io, &options, &err);
    CHECK_OK(f->log, &err);
    f->api = api_open(f->io, f->log, &err);
    CHECK_OK(f->api, &err);
    const struct kube_door_options door = {.address = {.family = IO_ADDRESS_IPV4, .ip = {127, 0, 0, 1}, .port = 6443},
                                           .directory = "/data"};
    f->door = kube_door_open(f->api, &door, &err);
    CHECK_OK(f->door, &err);
    f->client = http_client_new(f->io);
}

/* With the certificates as they are now. */
static int ask_anew(struct fixture *f, const char *target)
{
    struct error err;
    struct io_address address = kube_door_address(f->door);
    http_client_forget(f->client, &address);
    io_tls_free(f->tls);
    f->tls = io_tls_client_new(f->io, bytes_of_string(kube_door_ca(f->door)),
                               bytes_of_string(f->door->pki.admin.certificate_pem),
                               bytes_of_string(f->door->pki.admin.key_pem), &err);
    CHECK_OK(f->tls, &err);
    return ask(f, "GET", target, NULL);
}

TEST(certificates_are_renewed_while_evoke_runs)
{
    struct fixture f;
    AUTO_BUF kubeconfig;
    struct error err;
    simulated_open(&f);
    buf_init(&kubeconfig, 1 << 20);
    CHECK_INT(ask_anew(&f, "/api"), 200);
    AUTO_FREE(char) admin = memory_string(bytes_of_string(f.door->pki.admin.certificate_pem));
    AUTO_FREE(char) server = memory_string(bytes_of_string(f.door->pki.server.certificate_pem));
    io_simulated_run_for(f.io, 360 * DAY_MS);
    CHECK_STR(f.door->pki.admin.certificate_pem, admin);
    for (int years = 0; years < 4; years++) { /* the first ones would have ended long ago */
        io_simulated_run_for(f.io, 365 * DAY_MS);
        CHECK_INT(ask_anew(&f, "/api"), 200);
    }
    CHECK(strcmp(f.door->pki.admin.certificate_pem, admin) != 0);
    CHECK(strcmp(f.door->pki.server.certificate_pem, server) != 0);
    CHECK_OK(io_path_read(f.io, "/data/kubeconfig", &kubeconfig, &err), &err);
    AUTO_BUF expected;
    buf_init(&expected, 1 << 20);
    text_append_base64(&expected, bytes_of_string(f.door->pki.admin.certificate_pem));
    CHECK(strstr(buf_string(&kubeconfig), buf_string(&expected)) != NULL);
    fixture_close(&f);
}

/* --- Paths --- */

TEST(a_path_that_names_nothing_is_not_found)
{
    static const char *const paths[] = {"/",
                                        "/nope",
                                        "/api/v2/pods",
                                        "/api/v1/nopes",
                                        "/api/v1/pods/p",
                                        "/api/v1/namespaces/default/nodes",
                                        "/apis/apps/v1/namespaces/default/pods",
                                        "/apis/nope.example.com",
                                        "/apis/apps/v7",
                                        "/api/v1/namespaces/default/pods/p/nope",
                                        "/openapi/v4"};
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        CHECK_INT(ask(&f, "GET", paths[i], NULL), 404);
        CHECK_STR(text_at(&f, "reason"), "NotFound");
    }
    CHECK_INT(ask(&f, "GET", "/api/v1/namespaces/default/pods/p", NULL), 404);
    CHECK_STR(text_at(&f, "message"), "pods \"p\" not found");
    CHECK_INT(ask(&f, "PUT", config_maps, "{}"), 405);
    CHECK_INT(ask(&f, "POST", "/api/v1/namespaces/default", "{}"), 405);
    fixture_close(&f);
}

TEST(discovery_speaks_both_dialects)
{
    struct fixture f;
    fixture_open(&f);
    CHECK_INT(ask(&f, "GET", "/api", NULL), 200);
    CHECK_STR(text_at(&f, "versions.0"), "v1");
    CHECK_INT(ask(&f, "GET", "/apis", NULL), 200);
    CHECK_STR(text_at(&f, "kind"), "APIGroupList");
    CHECK_STR(text_at(&f, "groups.0.name"), "apps");
    CHECK_INT(ask(&f, "GET", "/apis/apps", NULL), 200);
    CHECK_STR(text_at(&f, "preferredVersion.groupVersion"), "apps/v1");
    CHECK_INT(ask(&f, "GET", "/apis/apps/v1", NULL), 200);
    CHECK_STR(text_at(&f, "resources.0.name"), "deployments");
    CHECK_STR(text_at(&f, "resources.1.name"), "deployments/scale");
    static const char v2[] = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    CHECK_INT(ask_with(&f, &(struct asking){.method = "GET", .target = "/apis", .accept = v2}), 200);
    CHECK_STR(buf_string(&f.type), v2);
    CHECK_STR(text_at(&f, "items.0.metadata.name"), "apps");
    CHECK_STR(text_at(&f, "items.0.versions.0.resources.0.resource"), "deployments");
    fixture_close(&f);
}

TEST(kinds_that_somebody_defined_are_an_empty_list_and_cannot_be_defined)
{
    struct fixture f;
    static const char definitions[] = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    fixture_open(&f);
    CHECK_INT(ask(&f, "GET", definitions, NULL), 200);
    CHECK_STR(text_at(&f, "kind"), "CustomResourceDefinitionList");
    CHECK_INT((int)json_size(json_at(f.json, "items")), 0);
    CHECK_INT(ask(&f, "POST", definitions, "{}"), 404);
    CHECK_INT(ask(&f, "GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/a", NULL), 404);
    CHECK_INT(ask(&f, "GET", "/apis/apiextensions.k8s.io/v1", NULL), 404);
    fixture_close(&f);
}

/* --- Reading and writing --- */

TEST(an_object_is_created_read_replaced_and_deleted)
{
    struct fixture f;
    char target[200], body[300];
    fixture_open(&f);
    create_config_map(&f, "a", "");
    CHECK_STR(text_at(&f, "kind"), "ConfigMap");
    snprintf(target, sizeof target, "%s/a", config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 200);
    const char *revision = text_at(&f, "metadata.resourceVersion");
    snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"%s\"},\"data\":{\"k\":\"w\"}}",
             revision);
    CHECK_INT(ask(&f, "PUT", target, body), 200);
    CHECK_STR(text_at(&f, "data.k"), "w");
    CHECK_INT(ask(&f, "PUT", target, body), 409);
    CHECK_STR(text_at(&f, "reason"), "Conflict");
    CHECK_INT(ask(&f, "POST", config_maps, "{\"metadata\":{\"name\":\"a\"}}"), 409);
    CHECK_STR(text_at(&f, "reason"), "AlreadyExists");
    CHECK_INT(ask(&f, "DELETE", target, "{\"preconditions\":{\"uid\":\"other\"}}"), 409);
    CHECK_INT(ask(&f, "DELETE", target, "{\"propagationPolicy\":\"Nonsense\"}"), 422);
    CHECK_INT(ask(&f, "DELETE", target, "{\"propagationPolicy\":\"Background\"}"), 200);
    CHECK_STR(text_at(&f, "status"), "Success");
    CHECK_STR(text_at(&f, "details.name"), "a");
    CHECK_INT(ask(&f, "GET", target, NULL), 404);
    fixture_close(&f);
}

TEST(what_is_wrong_with_a_body_is_said)
{
    struct fixture f;
    fixture_open(&f);
    CHECK_INT(ask(&f, "POST", config_maps, "{"), 400);
    CHECK_INT(ask(&f, "POST", config_maps, ""), 400);
    CHECK_INT(ask(&f, "POST", config_maps, "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}"), 400);
    CHECK_INT(ask(&f, "POST", config_maps, "{\"metadata\":{\"name\":\"NOT VALID\"}}"), 422);
    CHECK_STR(text_at(&f, "reason"), "Invalid");
    CHECK_STR(text_at(&f, "details.causes.0.field"), "metadata.name");
    CHECK_INT(ask(&f, "POST", "/api/v1/namespaces/none/configmaps", "{\"metadata\":{\"name\":\"a\"}}"), 404);
    static const char *const unknown[] = {"application/cbor", "text/plain", "application/x-www-form-urlencoded"};
    struct asking a = {.method = "POST", .target = config_maps, .body = "{\"metadata\":{\"name\":\"a\"}}"};
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        a.content_type = unknown[i];
        CHECK_INT(ask_with(&f, &a), 415);
        CHECK_STR(text_at(&f, "reason"), "UnsupportedMediaType");
        CHECK_STR(text_at(&f, "message"),
                  "the body of the request was in an unknown format - accepted media types include: "
                  "application/json, application/yaml, application/vnd.kubernetes.protobuf");
    }
    a.content_type = NULL;
    CHECK_INT(ask_with(&f, &a), 201);
    AUTO_FREE(char) large = memory_new(LIMIT_API_BODY_SIZE + 2);
    memset(large, ' ', LIMIT_API_BODY_SIZE + 1);
    CHECK_INT(ask(&f, "POST", config_maps, large), 413);
    fixture_close(&f);
}

TEST(a_view_is_served_in_its_shape_and_what_is_stored_in_its_own)
{
    static const char newer[] = "/apis/events.k8s.io/v1/namespaces/default/events";
    static const char core[] = "/api/v1/namespaces/default/events";
    char target[200];
    struct fixture f;
    fixture_open(&f);
    CHECK_INT(ask(&f, "POST", newer,
                  "{\"metadata\":{\"name\":\"a\"},\"eventTime\":\"2026-01-01T00:00:00.000000Z\",\"type\":\"Normal\","
                  "\"reportingController\":\"c\",\"reportingInstance\":\"i\",\"action\":\"A\",\"reason\":\"R\","
                  "\"regarding\":{\"namespace\":\"default\",\"name\":\"p\"},\"note\":\"n\"}"),
              201);
    CHECK_STR(text_at(&f, "apiVersion"), "events.k8s.io/v1");
    CHECK_STR(text_at(&f, "note"), "n");
    CHECK_INT(ask(&f, "GET", core, NULL), 200);
    CHECK_STR(text_at(&f, "items.0.message"), "n");
    CHECK_INT(ask(&f, "GET", newer, NULL), 200);
    CHECK_STR(text_at(&f, "kind"), "EventList");
    CHECK_STR(text_at(&f, "items.0.apiVersion"), "events.k8s.io/v1");
    CHECK_STR(text_at(&f, "items.0.regarding.name"), "p");
    snprintf(target, sizeof target, "%s/a", newer);
    struct asking a = {.method = "PATCH",
                       .target = target,
                       .content_type = "application/strategic-merge-patch+json",
                       .body = "{\"series\":{\"count\":2,\"lastObservedTime\":\"2026-01-01T00:00:01.000000Z\"}}"};
    CHECK_INT(ask_with(&f, &a), 200);
    CHECK_STR(text_at(&f, "note"), "n");
    a.body = "{\"note\":\"other\"}";
    CHECK_INT(ask_with(&f, &a), 422);
    CHECK_STR(text_at(&f, "details.causes.0.field"), "note");
    CHECK_INT(ask(&f, "GET", "/apis/events.k8s.io/v1/namespaces/default/events/none", NULL), 404);
    CHECK_STR(text_at(&f, "message"), "events.events.k8s.io \"none\" not found");
    CHECK_INT(ask(&f, "DELETE", newer, NULL), 200);
    CHECK_STR(text_at(&f, "items.0.note"), "n");
    CHECK_INT(ask(&f, "GET", core, NULL), 200);
    CHECK(!json_at(f.json, "items.0"));
    fixture_close(&f);
}

TEST(a_body_may_be_yaml)
{
    struct fixture f;
    struct asking a = {.method = "POST", .target = config_maps, .content_type = "application/yaml"};
    fixture_open(&f);
    a.body = "metadata: {name: a}\ndata: {k: v}\n";
    CHECK_INT(ask_with(&f, &a), 201);
    CHECK_STR(text_at(&f, "data.k"), "v");
    a.body = "metadata: {name: b}\n---\nmetadata: {name: c}\n";
    CHECK_INT(ask_with(&f, &a), 400);
    a.body = "metadata: {name: b";
    CHECK_INT(ask_with(&f, &a), 400);
    fixture_close(&f);
}

TEST(unknown_fields_are_refused_warned_of_or_ignored)
{
    static const char body[] = "{\"metadata\":{\"name\":\"a\"},\"bogus\":1,\"data\":{}}";
    static const char twice[] = "{\"metadata\":{\"name\":\"a\"},\"data\":{\"x\":\"1\",\"x\":\"2\"}}";
    struct fixture f;
    fixture_open(&f);
    char target[200];
    snprintf(target, sizeof target, "%s?dryRun=All&fieldValidation=Strict", config_maps);
    CHECK_INT(ask(&f, "POST", target, body), 400);
    CHECK(strstr(text_at(&f, "message"), "unknown field \"bogus\""));
    CHECK_INT(ask(&f, "POST", target, twice), 400);
    CHECK(strstr(text_at(&f, "message"), "duplicate field"));
    snprintf(target, sizeof target, "%s?dryRun=All", config_maps);
    CHECK_INT(ask(&f, "POST", target, body), 201);
    CHECK_STR(buf_string(&f.warning), "299 - \"unknown field \\\"bogus\\\"\"");
    snprintf(target, sizeof target, "%s?dryRun=All&fieldValidation=Ignore", config_maps);
    CHECK_INT(ask(&f, "POST", target, body), 201);
    CHECK_STR(buf_string(&f.warning), "");
    snprintf(target, sizeof target, "%s?fieldValidation=Sometimes", config_maps);
    CHECK_INT(ask(&f, "POST", target, body), 400);
    snprintf(target, sizeof target, "%s?dryRun=Some", config_maps);
    CHECK_INT(ask(&f, "POST", target, body), 400);
    snprintf(target, sizeof target, "%s/a", config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 404); /* all of it was dry */
    fixture_close(&f);
}

TEST(the_patch_types_lead_to_the_same_object)
{
    struct fixture f;
    char target[200];
    fixture_open(&f);
    create_config_map(&f, "a", "");
    snprintf(target, sizeof target, "%s/a", config_maps);
    struct asking a = {.method = "PATCH", .target = target};
    a.content_type = "application/merge-patch+json";
    a.body = "{\"data\":{\"m\":\"1\",\"k\":null}}";
    CHECK_INT(ask_with(&f, &a), 200);
    a.content_type = "application/json-patch+json";
    a.body = "[{\"op\":\"test\",\"path\":\"/data/m\",\"value\":\"1\"},{\"op\":\"add\",\"path\":\"/data/"
             "j\",\"value\":\"2\"}]";
    CHECK_INT(ask_with(&f, &a), 200);
    a.content_type = "application/strategic-merge-patch+json; charset=utf-8";
    a.body = "{\"data\":{\"s\":\"3\"}}";
    CHECK_INT(ask_with(&f, &a), 200);
    CHECK_STR(text_at(&f, "data.m"), "1");
    CHECK_STR(text_at(&f, "data.j"), "2");
    CHECK_STR(text_at(&f, "data.s"), "3");
    CHECK_STR(text_at(&f, "data.k"), "(absent)");
    a.content_type = "application/json-patch+json";
    a.body = "[{\"op\":\"test\",\"path\":\"/data/m\",\"value\":\"other\"}]";
    CHECK_INT(ask_with(&f, &a), 422);
    a.body = "[";
    CHECK_INT(ask_with(&f, &a), 400);
    a.content_type = "application/merge-patch+json";
    a.body = "7";
    CHECK_INT(ask_with(&f, &a), 400);
    a.body = "{\"metadata\":{\"resourceVersion\":\"1\"}}";
    CHECK_INT(ask_with(&f, &a), 409);
    a.content_type = "application/apply-patch+yaml";
    CHECK_INT(ask_with(&f, &a), 415);
    fixture_close(&f);
}

TEST(a_table_or_the_metadata_alone_is_sent_to_who_asks_for_it)
{
    struct fixture f;
    fixture_open(&f);
    create_config_map(&f, "a", "");
    struct asking a = {.method = "GET",
                       .target = config_maps,
                       .accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"};
    CHECK_INT(ask_with(&f, &a), 200);
    CHECK_STR(text_at(&f, "kind"), "Table");
    CHECK_STR(text_at(&f, "rows.0.cells.0"), "a");
    CHECK(json_at(f.json, "metadata.resourceVersion"));
    a.accept = "application/vnd.kubernetes.protobuf,application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    CHECK_INT(ask_with(&f, &a), 200);
    CHECK_STR(text_at(&f, "kind"), "PartialObjectMetadataList");
    CHECK_STR(text_at(&f, "items.0.metadata.name"), "a");
    CHECK(!json_at(f.json, "items.0.data"));
    a.accept = "application/vnd.kubernetes.protobuf";
    CHECK_INT(ask_with(&f, &a), 200);
    CHECK_STR(text_at(&f, "kind"), "ConfigMapList");
    fixture_close(&f);
}

TEST(pages_of_a_list_show_one_moment)
{
    struct fixture f;
    char target[400], token[200];
    fixture_open(&f);
    for (int i = 0; i < 5; i++) {
        char name[2] = {(char)('a' + i), 0};
        create_config_map(&f, name, i == 4 ? "\"x\":\"y\"" : "");
    }
    snprintf(target, sizeof target, "%s?limit=2", config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 200);
    CHECK_INT(json_size(json_get(f.json, "items")), 2);
    CHECK_INT(json_int_at(f.json, "metadata.remainingItemCount", -1), 3);
    snprintf(token, sizeof token, "%s", text_at(&f, "metadata.continue"));
    snprintf(target, sizeof target, "%s/c", config_maps);
    CHECK_INT(ask(&f, "DELETE", target, NULL), 200);
    create_config_map(&f, "bb", "");
    snprintf(target, sizeof target, "%s?limit=2&continue=%s", config_maps, token);
    CHECK_INT(ask(&f, "GET", target, NULL), 200);
    CHECK_STR(text_at(&f, "items.0.metadata.name"), "c");
    CHECK_STR(text_at(&f, "items.1.metadata.name"), "d");
    snprintf(token, sizeof token, "%s", text_at(&f, "metadata.continue"));
    snprintf(target, sizeof target, "%s?limit=2&continue=%s", config_maps, token);
    CHECK_INT(ask(&f, "GET", target, NULL), 200);
    CHECK_INT(json_size(json_get(f.json, "items")), 1);
    CHECK(!json_at(f.json, "metadata.continue"));
    snprintf(target, sizeof target, "%s?labelSelector=x%%3Dy", config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 200);
    CHECK_STR(text_at(&f, "items.0.metadata.name"), "e");
    CHECK_INT(json_size(json_get(f.json, "items")), 1);
    snprintf(target, sizeof target, "%s?continue=nonsense", config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 400);
    snprintf(target, sizeof target, "%s?fieldSelector=data.k%%3Dv", config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 400);
    snprintf(target, sizeof target, "%s?resourceVersion=99999999", config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 504);
    CHECK_STR(text_at(&f, "details.causes.0.reason"), "ResourceVersionTooLarge");
    fixture_close(&f);
}

TEST(a_collection_is_deleted_by_selector)
{
    struct fixture f;
    char target[200];
    fixture_open(&f);
    create_config_map(&f, "a", "\"x\":\"y\"");
    create_config_map(&f, "b", "");
    snprintf(target, sizeof target, "%s?labelSelector=x", config_maps);
    CHECK_INT(ask(&f, "DELETE", target, NULL), 200);
    CHECK_INT(json_size(json_get(f.json, "items")), 1);
    CHECK_INT(ask(&f, "GET", config_maps, NULL), 200);
    CHECK_STR(text_at(&f, "items.0.metadata.name"), "b");
    CHECK_INT(json_size(json_get(f.json, "items")), 1);
    fixture_close(&f);
}

/* --- Subresources --- */

static const char deployments[] = "/apis/apps/v1/namespaces/default/deployments";

static void create_deployment(struct fixture *f)
{
    CHECK_INT(
        ask(f, "POST", deployments,
            "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":1,\"selector\":{\"matchLabels\":{\"a\":\"b\"}},"
            "\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\","
            "\"image\":\"i\"}]}}}}"),
        201);
}

TEST(scale_is_read_put_and_patched)
{
    struct fixture f;
    char target[200];
    fixture_open(&f);
    create_deployment(&f);
    snprintf(target, sizeof target, "%s/web/scale", deployments);
    CHECK_INT(ask(&f, "GET", target, NULL), 200);
    CHECK_STR(text_at(&f, "kind"), "Scale");
    CHECK_INT(json_int_at(f.json, "spec.replicas", -1), 1);
    CHECK_STR(text_at(&f, "status.selector"), "a=b");
    CHECK_INT(ask(&f, "PUT", target, "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":4}}"), 200);
    CHECK_INT(json_int_at(f.json, "spec.replicas", -1), 4);
    struct asking a = {.method = "PATCH",
                       .target = target,
                       .content_type = "application/merge-patch+json",
                       .body = "{\"spec\":{\"replicas\":0}}"};
    CHECK_INT(ask_with(&f, &a), 200);
    CHECK_INT(json_int_at(api_find(f.api, "Deployment", "default", "web")->json, "spec.replicas", -1), 0);
    a.body = "{\"spec\":{\"replicas\":-1}}";
    CHECK_INT(ask_with(&f, &a), 422);
    CHECK(strstr(text_at(&f, "message"), "spec.replicas: must be a number from 0 to 2147483647") != NULL);
    CHECK_INT(ask(&f, "PUT", target, "{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"replicas\":4}}"), 409);
    fixture_close(&f);
}

TEST(status_is_written_through_its_own_path)
{
    struct fixture f;
    char target[200];
    fixture_open(&f);
    create_deployment(&f);
    snprintf(target, sizeof target, "%s/web/status", deployments);
    struct asking a = {.method = "PATCH",
                       .target = target,
                       .content_type = "application/merge-patch+json",
                       .body = "{\"spec\":{\"replicas\":7},\"status\":{\"replicas\":5}}"};
    CHECK_INT(ask_with(&f, &a), 200);
    CHECK_INT(json_int_at(f.json, "status.replicas", -1), 5);
    CHECK_INT(json_int_at(f.json, "spec.replicas", -1), 1);
    fixture_close(&f);
}

TEST(what_is_not_there_yet_says_so)
{
    struct fixture f;
    fixture_open(&f);
    CHECK_INT(ask(&f, "POST", "/api/v1/namespaces/default/pods/p/exec", ""), 501);
    CHECK_STR(text_at(&f, "message"), "pods/exec is not available in evoke yet");
    CHECK_INT(ask(&f, "GET", "/api/v1/namespaces/default/pods/p/log", NULL), 503);
    fixture_close(&f);
}

/* --- Watch. The server ends it after a second, so the answer is whole. --- */

/* The i-th line of the answer; NULL behind the last. */
static struct json *line(struct fixture *f, size_t i)
{
    struct error err;
    struct bytes rest = buf_bytes(&f->body), text = BYTES_NULL;
    for (size_t at = 0; at <= i; at++)
        if (!bytes_split(&rest, '\n', &text) || text.size == 0)
            return NULL;
    struct json *json = json_parse(text, 0, &err);
    CHECK_OK(json, &err);
    return json;
}

static void check_line(struct fixture *f, size_t i, const char *type, const char *name)
{
    AUTO_JSON *json = line(f, i);
    CHECK_STR(json_text_at(json, "type", "(no line)"), type);
    CHECK_STR(json_text_at(json, "object.metadata.name", "(absent)"), name);
}

TEST(a_watch_tells_what_is_there_and_marks_the_end_of_it)
{
    struct fixture f;
    char target[300];
    fixture_open(&f);
    create_config_map(&f, "a", "");
    create_config_map(&f, "b", "");
    snprintf(target, sizeof target,
             "%s?watch=True&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&"
             "allowWatchBookmarks=1",
             config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 200);
    check_line(&f, 0, "ADDED", "a");
    check_line(&f, 1, "ADDED", "b");
    check_line(&f, 2, "BOOKMARK", "(absent)");
    AUTO_JSON *bookmark = line(&f, 2);
    const struct json *annotations = json_at(bookmark, "object.metadata.annotations");
    CHECK_STR(json_text(json_get(annotations, "k8s.io/initial-events-end")), "true");
    CHECK(!line(&f, 3));
    fixture_close(&f);
}

TEST(a_watch_from_the_past_replays_it_and_one_from_before_it_is_expired)
{
    struct fixture f;
    char target[300];
    fixture_open(&f);
    create_config_map(&f, "a", "");
    unsigned long long revision = api_revision(f.api);
    create_config_map(&f, "b", "");
    snprintf(target, sizeof target, "%s/b", config_maps);
    CHECK_INT(ask(&f, "DELETE", target, NULL), 200);
    snprintf(target, sizeof target, "%s?watch=1&timeoutSeconds=1&resourceVersion=%llu", config_maps, revision);
    CHECK_INT(ask(&f, "GET", target, NULL), 200);
    check_line(&f, 0, "ADDED", "b");
    check_line(&f, 1, "DELETED", "b");
    history_expire(&store_collection(f.api, kind_by_name("ConfigMap"))->history, api_revision(f.api));
    CHECK_INT(ask(&f, "GET", target, NULL), 200);
    AUTO_JSON *error = line(&f, 0);
    CHECK_STR(json_text_at(error, "type", ""), "ERROR");
    CHECK_INT(json_int_at(error, "object.code", 0), 410);
    CHECK_STR(json_text_at(error, "object.reason", ""), "Expired");
    fixture_close(&f);
}

TEST(a_watch_is_refused_when_its_parameters_do_not_go_together)
{
    struct fixture f;
    char target[300];
    fixture_open(&f);
    snprintf(target, sizeof target, "%s?watch=1&sendInitialEvents=true", config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 422);
    snprintf(target, sizeof target, "%s?watch=1&resourceVersionMatch=NotOlderThan", config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 422);
    snprintf(target, sizeof target, "%s?watch=1&resourceVersion=x", config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 400);
    snprintf(target, sizeof target, "%s?watch=1&timeoutSeconds=soon", config_maps);
    CHECK_INT(ask(&f, "GET", target, NULL), 400);
    fixture_close(&f);
}
