/* SPDX-License-Identifier: Apache-2.0 */
/* Services: their addresses and the endpoints behind them. */
#include <stdio.h>

#include "base/memory.h"
#include "control/fixture.h"
#include "control/objects.h"
#include "control/service_ip.h"

static void apply_service(struct fixture *f, const char *name, const char *more)
{
    fixture_apply(f,
                  "{apiVersion: v1, kind: Service, metadata: {name: %s, labels: {team: red}},"
                  " spec: {ports: [{name: http, port: 80, targetPort: web}]%s}}",
                  name, more);
}

static void apply_pod(struct fixture *f, const char *name, int port)
{
    fixture_apply(f,
                  "{apiVersion: v1, kind: Pod, metadata: {name: %s, labels: {app: web}},"
                  " spec: {containers: [{name: main, image: a, ports: [{name: web, containerPort: %d}]}]}}",
                  name, port);
}

static const char *cluster_ip(struct fixture *f, const char *name)
{
    return json_text_at(fixture_get(f, "Service", name)->json, "spec.clusterIP", "");
}

static struct object *slice(struct fixture *f, const char *service)
{
    return fixture_first(f, "EndpointSlice", service);
}

TEST(a_service_gets_an_address_of_its_own_and_keeps_it)
{
    struct fixture f;
    fixture_open(&f);
    apply_service(&f, "web", ", selector: {app: web}");
    apply_service(&f, "other", "");
    apply_service(&f, "headless", ", clusterIP: None");
    apply_service(&f, "chosen", ", clusterIP: 127.96.0.77");
    fixture_apply(&f, "{apiVersion: v1, kind: Service, metadata: {name: elsewhere},"
                      " spec: {type: ExternalName, externalName: example.org}}");
    fixture_settle(&f);
    char *ip = memory_string(bytes_of_string(cluster_ip(&f, "web")));
    CHECK(bytes_starts_with(bytes_of_string(ip), BYTES_LITERAL("127.96.")));
    CHECK(strcmp(ip, cluster_ip(&f, "other")) != 0);
    CHECK_STR(json_text_at(fixture_get(&f, "Service", "web")->json, "spec.clusterIPs.0", ""), ip);
    CHECK_STR(cluster_ip(&f, "headless"), "None");
    CHECK_STR(cluster_ip(&f, "chosen"), "127.96.0.77");
    CHECK_STR(cluster_ip(&f, "elsewhere"), "");
    fixture_reopen(&f);
    CHECK_STR(cluster_ip(&f, "web"), ip);
    free(ip);
    fixture_close(&f);
}

/* What a create of a Service with this address is answered; "": it is there now. */
static const char *refusal(struct fixture *f, const char *name, const char *ip)
{
    static struct error err;
    AUTO_JSON *service = json_new_object();
    err.message[0] = 0;
    json_set_at(service, "metadata.name", json_new_text(name));
    json_set_at(service, "spec.clusterIP", json_new_text(ip));
    json_set_at(service, "spec.ports", json_parse(BYTES_LITERAL("[{\"port\":80}]"), 0, &err));
    return api_create(f->api, kind_by_name("Service"), BYTES_LITERAL("default"), service, 0, NULL, &err) ? ""
                                                                                                         : err.message;
}

TEST(the_answer_to_a_create_has_the_address)
{
    struct fixture f;
    struct error err;
    struct object *out;
    fixture_open(&f);
    AUTO_JSON *service =
        json_parse(BYTES_LITERAL("{\"metadata\":{\"name\":\"now\"},\"spec\":{\"ports\":[{\"port\":80}]}}"), 0, &err);
    CHECK_OK(api_create(f.api, kind_by_name("Service"), BYTES_LITERAL("default"), service, 0, &out, &err), &err);
    const char *ip = json_text_at(out->json, "spec.clusterIP", "");
    CHECK(strncmp(ip, "127.96.", 7) == 0);
    CHECK_STR(json_text_at(out->json, "spec.clusterIPs.0", ""), ip);
    CHECK_STR(json_text_at(out->json, "spec.ipFamilies.0", ""), "IPv4");
    CHECK_STR(json_text_at(out->json, "spec.ipFamilyPolicy", ""), "SingleStack");
    CHECK_STR(json_text_at(out->json, "spec.internalTrafficPolicy", ""), "Cluster");
    object_unref(out);
    fixture_close(&f);
}

TEST(an_address_that_is_taken_or_out_of_range_is_refused)
{
    struct fixture f;
    fixture_open(&f);
    CHECK_STR(refusal(&f, "first", "127.96.0.77"), "");
    CHECK_STR(refusal(&f, "second", "127.96.0.77"), /* in the same turn */
              "Service \"second\" is invalid: spec.clusterIPs: Invalid value: [\"127.96.0.77\"]: failed to allocate IP "
              "127.96.0.77: provided IP is already allocated");
    fixture_settle(&f);
    CHECK(strstr(refusal(&f, "second", "127.96.0.77"), "already allocated") != NULL);
    CHECK(strstr(refusal(&f, "names", "127.96.0.10"), "already allocated") != NULL);
    CHECK(strstr(refusal(&f, "third", "10.1.1.1"),
                 "the provided IP (10.1.1.1) is not in the valid range. The range of valid IPs is 127.96.0.0/16") !=
          NULL);
    struct error err;
    CHECK_OK(
        api_delete(f.api, kind_by_name("Service"), BYTES_LITERAL("default"), BYTES_LITERAL("first"), NULL, NULL, &err),
        &err);
    CHECK_STR(refusal(&f, "second", "127.96.0.77"), "");
    fixture_close(&f);
}

TEST(the_service_kubernetes_is_the_api_door_and_comes_back)
{
    struct fixture f;
    struct error err;
    fixture_open(&f);
    const struct kind *kind = kind_by_name("Service");
    CHECK_OK(api_delete(f.api, kind, BYTES_LITERAL("default"), BYTES_LITERAL("kubernetes"), NULL, NULL, &err), &err);
    fixture_settle(&f);
    const struct object *service = api_find(f.api, "Service", "default", "kubernetes");
    CHECK(service != NULL);
    CHECK(bytes_starts_with(json_bytes(json_at(service->json, "spec.clusterIP")), BYTES_LITERAL("127.96.")));
    const struct object *endpoints = api_find(f.api, "EndpointSlice", "default", "kubernetes");
    CHECK_STR(json_text_at(endpoints->json, "endpoints.0.addresses.0", ""), "127.0.0.1");
    CHECK_INT(json_int_at(endpoints->json, "ports.0.port", 0), 6443);
    fixture_close(&f);
}

TEST(a_service_range_is_an_ipv4_network_of_a_sensible_size)
{
    struct error err;
    struct ip_range range;
    CHECK_OK(ip_range_parse("10.96.7.7/16", &range, &err), &err);
    CHECK(range.first == (10u << 24 | 96u << 16) && range.count == 65536);
    static const char *const wrong[] = {"10.96.0.0", "10.96.0.0/7", "10.96.0.0/25", "10.96.0/16", "fd00::/112", "",
                                        "/"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        CHECK(!ip_range_parse(wrong[i], &range, &err));
}

TEST(endpoints_say_whether_a_pod_is_ready_serving_and_terminating)
{
    struct fixture f;
    fixture_open(&f);
    apply_service(&f, "web", ", selector: {app: web}");
    fixture_settle(&f);
    CHECK_INT(json_size(json_get(slice(&f, "web-")->json, "endpoints")), 0); /* it is there, and says that nobody is */
    apply_pod(&f, "one", 8080);
    fixture_settle(&f);
    CHECK_INT(json_size(json_get(slice(&f, "web-")->json, "endpoints")), 0); /* no address yet */
    fixture_run_pods(&f);
    const struct json *json = slice(&f, "web-")->json;
    CHECK_INT(json_size(json_get(json, "endpoints")), 1);
    CHECK_STR(json_text_at(json, "endpoints.0.addresses.0", ""),
              json_text_at(fixture_get(&f, "Pod", "one")->json, "status.podIP", "?"));
    CHECK_STR(json_text_at(json, "endpoints.0.targetRef.name", ""), "one");
    CHECK_STR(json_text_at(json, "endpoints.0.nodeName", ""), "here");
    CHECK(json_bool_at(json, "endpoints.0.conditions.ready", false));
    CHECK(!json_bool_at(json, "endpoints.0.conditions.terminating", true));
    CHECK_INT(json_int_at(json, "ports.0.port", 0), 8080);
    CHECK_STR(json_text_at(json, "ports.0.name", ""), "http");
    CHECK_STR(json_text(json_get(json_at(json, "metadata.labels"), "kubernetes.io/service-name")), "web");
    CHECK_STR(json_text_at(json, "metadata.labels.team", ""), "red");
    fixture_delete(&f, "Pod", "one", NULL);
    fixture_settle(&f);
    json = slice(&f, "web-")->json;
    CHECK(!json_bool_at(json, "endpoints.0.conditions.ready", true));
    CHECK(json_bool_at(json, "endpoints.0.conditions.serving", false));
    CHECK(json_bool_at(json, "endpoints.0.conditions.terminating", false));
    fixture_run_pods(&f);
    CHECK_INT(json_size(json_get(slice(&f, "web-")->json, "endpoints")), 0);
    CHECK_INT(fixture_count(&f, "EndpointSlice", "web-"), 1);
    fixture_close(&f);
}

TEST(pods_whose_named_ports_differ_are_in_different_slices)
{
    struct fixture f;
    fixture_open(&f);
    apply_service(&f, "web", ", selector: {app: web}");
    apply_pod(&f, "one", 8080);
    apply_pod(&f, "two", 9090);
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "EndpointSlice", "web-"), 2);
    fixture_delete(&f, "Pod", "two", NULL);
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "EndpointSlice", "web-"), 1);
    CHECK_INT(json_int_at(slice(&f, "web-")->json, "ports.0.port", 0), 8080);
    fixture_close(&f);
}

TEST(a_slice_holds_a_hundred_endpoints)
{
    struct fixture f;
    char name[20];
    fixture_open(&f);
    apply_service(&f, "web", ", selector: {app: web}");
    for (int i = 0; i < 101; i++) {
        snprintf(name, sizeof name, "pod-%03d", i);
        apply_pod(&f, name, 8080);
    }
    fixture_run_pods(&f);
    CHECK_INT(fixture_count(&f, "EndpointSlice", "web-"), 2);
    CHECK_INT(json_size(json_get(slice(&f, "web-")->json, "endpoints")) % 100, 0);
    fixture_close(&f);
}

TEST(endpoints_follow_the_selector_and_go_with_the_service)
{
    struct fixture f;
    fixture_open(&f);
    apply_service(&f, "web", ", selector: {app: other}");
    apply_pod(&f, "one", 8080);
    fixture_run_pods(&f);
    CHECK_INT(json_size(json_get(slice(&f, "web-")->json, "endpoints")), 0);
    apply_service(&f, "web", ", selector: {app: web}, publishNotReadyAddresses: true");
    fixture_settle(&f);
    CHECK_INT(json_size(json_get(slice(&f, "web-")->json, "endpoints")), 1);
    fixture_delete(&f, "EndpointSlice", (const char *)slice(&f, "web-")->name.data, NULL);
    fixture_settle(&f);
    CHECK_INT(fixture_count(&f, "EndpointSlice", "web-"), 1); /* it is made again */
    fixture_delete(&f, "Service", "web", NULL);
    fixture_settle(&f);
    CHECK_INT(fixture_count(&f, "EndpointSlice", "web-"), 0);
    fixture_close(&f);
}

/* --- Endpoints, the older form --- */

static const struct json *subset(struct fixture *f, const char *service, size_t at)
{
    struct object *endpoints = fixture_get(f, "Endpoints", service);
    return endpoints ? json_index(json_get(endpoints->json, "subsets"), at) : NULL;
}

TEST(endpoints_in_the_older_form_follow_the_slices_and_go_with_the_service)
{
    struct fixture f;
    fixture_open(&f);
    apply_service(&f, "web", ", selector: {app: web}");
    fixture_settle(&f);
    CHECK(fixture_get(&f, "Endpoints", "web") && !subset(&f, "web", 0)); /* it is there, and says that nobody is */
    apply_pod(&f, "one", 8080);
    apply_pod(&f, "two", 8080);
    apply_pod(&f, "three", 9090);
    fixture_run_pods(&f);
    const struct json *first = subset(&f, "web", 0), *second = subset(&f, "web", 1);
    if (json_size(json_get(first, "addresses")) == 1)
        second = subset(&f, "web", 0), first = subset(&f, "web", 1);
    CHECK(!subset(&f, "web", 2));
    CHECK_INT(json_size(json_get(first, "addresses")), 2);
    CHECK_INT(json_int_at(first, "ports.0.port", 0), 8080);
    CHECK_STR(json_text_at(first, "ports.0.name", ""), "http");
    CHECK_STR(json_text_at(second, "addresses.0.ip", ""),
              json_text_at(fixture_get(&f, "Pod", "three")->json, "status.podIP", "?"));
    CHECK_STR(json_text_at(second, "addresses.0.targetRef.name", ""), "three");
    CHECK_STR(json_text_at(second, "addresses.0.nodeName", ""), "here");
    CHECK_INT(json_int_at(second, "ports.0.port", 0), 9090);
    CHECK_STR(json_text_at(fixture_get(&f, "Endpoints", "web")->json, "metadata.labels.team", ""), "red");
    fixture_delete(&f, "Pod", "three", NULL); /* one that is ending is not shown */
    fixture_settle(&f);
    CHECK(!subset(&f, "web", 1));
    fixture_delete(&f, "Endpoints", "web", NULL);
    fixture_settle(&f);
    CHECK_INT(json_size(json_get(subset(&f, "web", 0), "addresses")), 2); /* it is made again */
    fixture_delete(&f, "Service", "web", NULL);
    fixture_settle(&f);
    CHECK(!fixture_get(&f, "Endpoints", "web"));
    fixture_close(&f);
}

TEST(a_pod_that_is_not_ready_is_among_the_addresses_that_are_not)
{
    struct fixture f;
    fixture_open(&f);
    fixture_apply(&f, "{apiVersion: v1, kind: Service, metadata: {name: by-hand}, spec: {ports: [{port: 80}]}}");
    fixture_apply(&f, "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: by-hand-1, labels:"
                      " {kubernetes.io/service-name: by-hand}}, addressType: IPv4, ports: [{port: 80}],"
                      " endpoints: [{addresses: [192.0.2.1], conditions: {ready: false}}, {addresses: [192.0.2.2]}]}");
    fixture_settle(&f);
    CHECK_STR(json_text_at(subset(&f, "by-hand", 0), "notReadyAddresses.0.ip", ""), "192.0.2.1");
    CHECK_STR(json_text_at(subset(&f, "by-hand", 0), "addresses.0.ip", ""), "192.0.2.2");
    fixture_delete(&f, "EndpointSlice", "by-hand-1", NULL);
    fixture_settle(&f);
    CHECK(!fixture_get(&f, "Endpoints", "by-hand"));
    fixture_close(&f);
}

TEST(endpoints_of_somebody_else_stay_as_they_are)
{
    struct fixture f;
    fixture_open(&f);
    fixture_apply(&f,
                  "{apiVersion: v1, kind: Endpoints, metadata: {name: web}, subsets: [{addresses: [{ip: 192.0.2.9}],"
                  " ports: [{port: 5432}]}]}");
    apply_service(&f, "web", ", selector: {app: web}");
    apply_pod(&f, "one", 8080);
    fixture_run_pods(&f);
    CHECK_STR(json_text_at(subset(&f, "web", 0), "addresses.0.ip", ""), "192.0.2.9");
    CHECK_STR(json_text_at(subset(&f, "web", 0), "ports.0.protocol", ""), "TCP");
    fixture_delete(&f, "Service", "web", NULL);
    fixture_settle(&f);
    CHECK(fixture_get(&f, "Endpoints", "web") != NULL);
    fixture_close(&f);
}
