/* SPDX-License-Identifier: Apache-2.0 */
#include "control/service_ip.h"

#include <stdio.h>

#include "api/schema.h"
#include "base/endian.h"
#include "base/map.h"
#include "base/memory.h"
#include "control/objects.h"

enum { RESERVED = 256, KUBERNETES_PORT = 443, API_PORT = 6443 };

struct service_ips {
    struct api *api;
    struct reconciler reconciler;
    const struct kind *kind, *slice_kind;
    struct ip_range range;
    struct io_address api_address;
    struct api_admission admission;
    char range_text[24];
    struct map used; /* address as text -> the Service that has it, held */
};

bool ip_range_parse(const char *cidr, struct ip_range *out, struct error *err)
{
    struct bytes rest = bytes_of_string(cidr), text;
    struct io_address address;
    uint64_t bits;
    if (!bytes_split(&rest, '/', &text) || !io_address_parse_ip(text, 0, &address) ||
        address.family != IO_ADDRESS_IPV4 || !bytes_to_u64(rest, &bits) || bits < 8 || bits > 24)
        return error_set(err, ERROR_INVALID, "service range \"%s\": must be an IPv4 network from /8 to /24", cidr);
    uint32_t first = get_be32(address.ip);
    *out = (struct ip_range){.count = 1u << (32 - bits)};
    out->first = first & ~(out->count - 1);
    return true;
}

/* --- Which address --- */

struct ip_text {
    char text[16];
};

static struct ip_text ip_text(uint32_t ip)
{
    struct ip_text out;
    snprintf(out.text, sizeof out.text, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
    return out;
}

static bool in_range(const struct service_ips *ips, struct bytes text)
{
    struct io_address address;
    if (!io_address_parse_ip(text, 0, &address) || address.family != IO_ADDRESS_IPV4)
        return false;
    uint32_t ip = get_be32(address.ip);
    return ip - ips->range.first < ips->range.count;
}

/* `used` is told of a write after it; for what was written in this very turn the objects themselves are asked. */
static bool is_taken(struct service_ips *ips, struct bytes ip, struct bytes namespace, struct bytes name)
{
    struct api_iterator iterator;
    const struct object *service;
    api_iterate(ips->api, ips->kind, BYTES_NULL, &iterator);
    while ((service = api_iterator_next(&iterator))) {
        if (!bytes_equal(json_bytes(json_at(service->json, "spec.clusterIP")), ip) ||
            (bytes_equal(service->namespace, namespace) && bytes_equal(service->name, name)))
            continue;
        api_iterator_end(&iterator);
        return true;
    }
    return bytes_equal_string(ip, ip_text(ips->range.first + SERVICE_IP_DNS).text);
}

/* By chance, so that an address is not given out again soon (somebody may still hold it); then the next free one. */
static bool choose(struct service_ips *ips, struct ip_text *out, struct error *err)
{
    uint32_t from = ips->range.count > 2 * RESERVED ? RESERVED : ips->range.count / 4;
    uint32_t count = ips->range.count - from - 1; /* without the broadcast address */
    uint32_t start = (uint32_t)io_random_below(api_io(ips->api), count);
    for (uint32_t i = 0; i < count; i++) {
        *out = ip_text(ips->range.first + from + (start + i) % count);
        struct bytes text = bytes_of_string(out->text);
        if (!map_get(&ips->used, text) && !is_taken(ips, text, BYTES_NULL, BYTES_NULL))
            return true;
    }
    return error_set(err, ERROR_LIMIT, "all %u addresses of the service range are given out", count);
}

/* --- Giving it --- */

static bool wants_address(const struct json *service)
{
    return !bytes_equal_string(json_bytes(json_at(service, "spec.type")), "ExternalName") &&
           json_bytes(json_at(service, "spec.clusterIP")).size == 0;
}

static void set_address(struct json *service, const char *ip)
{
    struct json *addresses = json_new_array();
    json_append(addresses, json_new_text(ip));
    json_set_at(service, "spec.clusterIP", json_new_text(ip));
    json_set_at(service, "spec.clusterIPs", addresses);
}

/* One that was asked for: not by default/kubernetes, which may be of an earlier range. */
static void check_asked(struct service_ips *ips, const struct json *service, const struct json *old,
                        struct field_errors *errors)
{
    struct bytes ip = json_bytes(json_at(service, "spec.clusterIP"));
    if (ip.size == 0 || bytes_equal_string(ip, "None") || bytes_equal(ip, json_bytes(json_at(old, "spec.clusterIP"))))
        return;
    if (!in_range(ips, ip))
        field_errors_add(errors, FIELD_INVALID, "spec.clusterIPs",
                         "[\"" BYTES_FORMAT "\"]: failed to allocate IP " BYTES_FORMAT
                         ": the provided IP (" BYTES_FORMAT ") is not in the valid range. The range of valid IPs is %s",
                         BYTES_ARGS(ip), BYTES_ARGS(ip), BYTES_ARGS(ip), ips->range_text);
    else if (is_taken(ips, ip, json_bytes(json_at(service, "metadata.namespace")),
                      json_bytes(json_at(service, "metadata.name"))))
        field_errors_add(errors, FIELD_INVALID, "spec.clusterIPs",
                         "[\"" BYTES_FORMAT "\"]: failed to allocate IP " BYTES_FORMAT
                         ": provided IP is already allocated",
                         BYTES_ARGS(ip), BYTES_ARGS(ip));
}

static void admit(void *ctx, struct json *service, const struct json *old, struct field_errors *errors)
{
    struct service_ips *ips = ctx;
    struct ip_text ip;
    struct error err;
    if (!wants_address(service))
        check_asked(ips, service, old, errors);
    else if (choose(ips, &ip, &err))
        set_address(service, ip.text);
    else
        field_errors_add(errors, FIELD_INVALID, "spec.clusterIPs", "failed to allocate IP: %s", err.message);
}

/* To a Service that was stored without: any write of it passes admit(). */
static bool give(struct service_ips *ips, const struct object *service, struct error *err)
{
    return api_update(ips->api, service->kind, service->namespace, service->name, service->json, 0, NULL, err);
}

/* Keeps the table of given addresses: `has` is the Service as it is now, or NULL. */
static void note(struct service_ips *ips, struct object *has, const struct object *had)
{
    struct bytes old = had ? json_bytes(json_at(had->json, "spec.clusterIP")) : BYTES_NULL;
    struct bytes new = has ? json_bytes(json_at(has->json, "spec.clusterIP")) : BYTES_NULL;
    struct object *holder = map_get(&ips->used, old);
    if (holder && !bytes_equal(old, new) && strcmp(holder->uid, had->uid) == 0)
        object_unref(map_remove(&ips->used, old));
    if (new.size > 0 && !bytes_equal_string(new, "None") && !map_get(&ips->used, new))
        map_put(&ips->used, new, object_ref(has));
}

/* An address that somebody chose is theirs to answer for; what is wrong with it is said, as Kubernetes' repair does. */
static void check(struct service_ips *ips, struct object *service)
{
    struct bytes ip = json_bytes(json_at(service->json, "spec.clusterIP"));
    if (ip.size == 0 || bytes_equal_string(ip, "None"))
        return;
    const struct object *holder = map_get(&ips->used, ip);
    if (holder && strcmp(holder->uid, service->uid) != 0)
        api_record_event(ips->api, service, "Warning", "ClusterIPAlreadyAllocated", "ipallocator-repair-controller",
                         "Cluster IP " BYTES_FORMAT " is that of service " BYTES_FORMAT "/" BYTES_FORMAT,
                         BYTES_ARGS(ip), BYTES_ARGS(holder->namespace), BYTES_ARGS(holder->name));
    else if (!in_range(ips, ip))
        api_record_event(ips->api, service, "Warning", "ClusterIPOutOfRange", "ipallocator-repair-controller",
                         "Cluster IP " BYTES_FORMAT " is not in the service range %s and may not be reachable",
                         BYTES_ARGS(ip), ip_text(ips->range.first).text);
}

/* --- default/kubernetes --- */

static bool is_kubernetes(struct bytes namespace, struct bytes name)
{
    return bytes_equal_string(namespace, "default") && bytes_equal_string(name, "kubernetes");
}

static void add_port(struct json *ports, int64_t port, int64_t target)
{
    struct json *json = json_new_object();
    json_set(json, "name", json_new_text("https"));
    json_set(json, "protocol", json_new_text("TCP"));
    json_set(json, "port", json_new_int(port));
    if (target)
        json_set(json, "targetPort", json_new_int(target));
    json_append(ports, json);
}

static bool make_kubernetes(struct service_ips *ips, struct error *err)
{
    AUTO_JSON *service = json_new_object();
    struct json *ports = json_new_array();
    struct ip_text first = ip_text(ips->range.first + SERVICE_IP_API);
    bool loopback = ips->range.first >> 24 == 127; /* where another evoke of this machine may have the first */
    add_port(ports, loopback ? API_PORT : KUBERNETES_PORT, ips->api_address.port ? ips->api_address.port : API_PORT);
    json_set_at(service, "metadata.name", json_new_text("kubernetes"));
    json_set_at(service, "metadata.labels.component", json_new_text("apiserver"));
    json_set_at(service, "metadata.labels.provider", json_new_text("kubernetes"));
    json_set_at(service, "spec.ports", ports);
    if (!loopback && !map_get(&ips->used, bytes_of_string(first.text)))
        json_set_at(service, "spec.clusterIP", json_new_text(first.text));
    return api_create(ips->api, ips->kind, BYTES_LITERAL("default"), service, 0, NULL, err);
}

/* It has no selector: its one endpoint is the API door. */
static bool write_kubernetes_slice(struct service_ips *ips, struct error *err)
{
    struct bytes namespace = BYTES_LITERAL("default"), name = BYTES_LITERAL("kubernetes");
    char ip[IO_ADDRESS_TEXT_SIZE];
    if (ips->api_address.family != IO_ADDRESS_IPV4)
        return true;
    struct object *current = api_get(ips->api, ips->slice_kind, namespace, name);
    AUTO_JSON *slice = current ? json_clone(current->json) : json_new_object();
    struct json *ports = json_new_array(), *endpoint = json_new_object();
    io_address_format_ip(&ips->api_address, ip);
    add_port(ports, ips->api_address.port, 0);
    json_set(endpoint, "addresses", json_new_array());
    json_append(json_get(endpoint, "addresses"), json_new_text(ip));
    json_set_at(endpoint, "conditions.ready", json_new_bool(true));
    json_set_at(slice, "metadata.name", json_new_string(name));
    json_set_at(slice, "metadata.labels", json_new_object());
    json_set(json_at(slice, "metadata.labels"), "kubernetes.io/service-name", json_new_string(name));
    json_set(slice, "addressType", json_new_text("IPv4"));
    json_set(slice, "ports", ports);
    json_set(slice, "endpoints", json_new_array());
    json_append(json_get(slice, "endpoints"), endpoint);
    return current ? json_same(slice, current->json) ||
                         api_update(ips->api, ips->slice_kind, namespace, name, slice, 0, NULL, err)
                   : api_create(ips->api, ips->slice_kind, namespace, slice, 0, NULL, err);
}

/* --- Reconciling --- */

static bool reconcile(void *ctx, const struct key *key, struct error *err)
{
    struct service_ips *ips = ctx;
    AUTO_OBJECT *service = object_ref(api_get(ips->api, key->kind, key->namespace, key->name));
    if (is_kubernetes(key->namespace, key->name) && !service)
        return make_kubernetes(ips, err);
    if (!service || service->deleting)
        return true;
    if (is_kubernetes(key->namespace, key->name) && !write_kubernetes_slice(ips, err))
        return false;
    if (wants_address(service->json))
        return give(ips, service, err);
    check(ips, service);
    return true;
}

static void service_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct service_ips *ips = ctx;
    note(ips, type == API_DELETED ? NULL : object, type == API_DELETED ? object : before);
    reconciler_enqueue_object(&ips->reconciler, object);
}

static const struct reconciler_watch watches[] = {{"Service", service_changed}};
static const struct reconciler_options options = {"service address", reconcile, watches, ARRAY_SIZE(watches)};

struct service_ips *service_ips_new(struct work_queue *queue, struct api *api, struct ip_range range,
                                    const struct io_address *api_address)
{
    struct service_ips *ips = NEW(struct service_ips);
    ips->api = api;
    ips->kind = kind_by_name("Service");
    ips->slice_kind = kind_by_name("EndpointSlice");
    ips->range = range;
    ips->api_address = *api_address;
    snprintf(ips->range_text, sizeof ips->range_text, "%s/%d", ip_text(range.first).text,
             __builtin_clz(range.count) + 1);
    ips->admission = (struct api_admission){.run = admit, .ctx = ips, .kind = ips->kind};
    api_admit(api, &ips->admission);
    reconciler_init(&ips->reconciler, queue, api, &options, ips);
    reconciler_enqueue(&ips->reconciler, ips->kind, BYTES_LITERAL("default"), BYTES_LITERAL("kubernetes"));
    return ips;
}

static void unref(void *object)
{
    object_unref(object);
}

void service_ips_free(struct service_ips *ips)
{
    if (!ips)
        return;
    api_unadmit(&ips->admission);
    reconciler_deinit(&ips->reconciler);
    map_deinit(&ips->used, unref);
    free(ips);
}
