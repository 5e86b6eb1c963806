/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/names.h"

#include <stdio.h>

#include "api/kind.h"
#include "base/memory.h"
#include "io/address.h"

enum { LABELS_MAX = 6 };

struct record {
    enum dns_type type;
    uint8_t ip[4];
    uint16_t port;
    const char *target;
};

/* What is known about a name. */
struct answer {
    struct api *api;
    struct arena *arena;
    bool exists;
    struct record records[NAMES_RECORDS_MAX];
    size_t count;
};

static struct record *add(struct answer *answer, enum dns_type type)
{
    if (answer->count == NAMES_RECORDS_MAX)
        return NULL;
    struct record *record = &answer->records[answer->count++];
    *record = (struct record){.type = type};
    return record;
}

static void add_address(struct answer *answer, struct bytes text)
{
    struct io_address address;
    if (!io_address_parse_ip(text, 0, &address) || address.family != IO_ADDRESS_IPV4)
        return;
    for (size_t i = 0; i < answer->count; i++)
        if (answer->records[i].type == DNS_A && memcmp(answer->records[i].ip, address.ip, 4) == 0)
            return;
    struct record *record = add(answer, DNS_A);
    if (record)
        memcpy(record->ip, address.ip, 4);
}

static void add_srv(struct answer *answer, int64_t port, const char *target)
{
    struct record *record = port > 0 && port <= UINT16_MAX ? add(answer, DNS_SRV) : NULL;
    if (!record)
        return;
    record->port = (uint16_t)port;
    record->target = target;
}

/* --- A headless Service's endpoints --- */

/* What is asked of them. */
struct asked {
    struct bytes service, namespace;
    struct bytes host;           /* null: all of them */
    struct bytes port, protocol; /* of an SRV; null: their addresses */
};

/* "10.88.0.7" -> "10-88-0-7"; a hostname if it has one */
static const char *endpoint_host(struct arena *arena, const struct json *endpoint)
{
    struct bytes hostname = json_bytes(json_get(endpoint, "hostname"));
    char *host = arena_string(arena, hostname.size ? hostname : json_bytes(json_at(endpoint, "addresses.0")));
    for (char *c = host; *c; c++)
        *c = *c == '.' ? '-' : *c;
    return host;
}

static void add_endpoint_ports(struct answer *answer, const struct asked *asked, const struct json *slice,
                               const char *host)
{
    const char *target = arena_printf(answer->arena, "%s." BYTES_FORMAT "." BYTES_FORMAT ".svc." NAMES_DOMAIN, host,
                                      BYTES_ARGS(asked->service), BYTES_ARGS(asked->namespace));
    json_array_each (i, port, json_get(slice, "ports"))
        if (bytes_equal(json_bytes(json_get(port, "name")), asked->port) &&
            bytes_equal_ignore_case(bytes_of_string(json_text_at(port, "protocol", "TCP")), asked->protocol))
            add_srv(answer, json_int_at(port, "port", 0), target);
}

static void add_slice(struct answer *answer, const struct asked *asked, const struct json *slice)
{
    json_array_each (i, endpoint, json_get(slice, "endpoints")) {
        const char *host = endpoint_host(answer->arena, endpoint);
        if (!json_bool_at(endpoint, "conditions.ready", true) ||
            (asked->host.data && !bytes_equal_string(asked->host, host)))
            continue;
        answer->exists = true;
        if (asked->port.data)
            add_endpoint_ports(answer, asked, slice, host);
        else
            add_address(answer, json_bytes(json_at(endpoint, "addresses.0")));
    }
}

static void find_endpoints(struct answer *answer, const struct asked *asked)
{
    struct api_iterator iterator;
    const struct object *slice;
    api_iterate(answer->api, kind_by_name("EndpointSlice"), asked->namespace, &iterator);
    while ((slice = api_iterator_next(&iterator))) {
        const struct json *labels = json_at(slice->json, "metadata.labels");
        if (bytes_equal(json_bytes(json_get(labels, "kubernetes.io/service-name")), asked->service))
            add_slice(answer, asked, slice->json);
    }
}

/* --- Services --- */

static void add_service_port(struct answer *answer, const struct asked *asked, const struct json *service)
{
    const char *target = arena_printf(answer->arena, BYTES_FORMAT "." BYTES_FORMAT ".svc." NAMES_DOMAIN,
                                      BYTES_ARGS(asked->service), BYTES_ARGS(asked->namespace));
    json_array_each (i, port, json_at(service, "spec.ports")) {
        if (!bytes_equal(json_bytes(json_get(port, "name")), asked->port) ||
            !bytes_equal_ignore_case(bytes_of_string(json_text_at(port, "protocol", "TCP")), asked->protocol))
            continue;
        answer->exists = true;
        add_srv(answer, json_int_at(port, "port", 0), target);
    }
}

static void find_service(struct answer *answer, const struct asked *asked)
{
    const struct object *service = api_get(answer->api, kind_by_name("Service"), asked->namespace, asked->service);
    if (!service)
        return;
    struct bytes ip = json_bytes(json_at(service->json, "spec.clusterIP"));
    bool headless = bytes_equal_string(ip, "None"), whole = !asked->host.data && !asked->port.data;
    answer->exists = whole;
    if (headless) {
        find_endpoints(answer, asked);
    } else if (asked->port.data) {
        add_service_port(answer, asked, service->json);
    } else if (whole && bytes_equal_string(json_bytes(json_at(service->json, "spec.type")), "ExternalName")) {
        struct record *record = add(answer, DNS_CNAME);
        record->target = arena_string(answer->arena, json_bytes(json_at(service->json, "spec.externalName")));
    } else if (whole) {
        add_address(answer, ip);
    }
}

static bool namespace_exists(struct answer *answer, struct bytes namespace)
{
    return api_get(answer->api, kind_by_name("Namespace"), BYTES_NULL, namespace) != NULL;
}

/* Four numbers with dashes between them. */
static void find_pod(struct answer *answer, struct bytes host, struct bytes namespace)
{
    char *text = arena_string(answer->arena, host);
    for (char *c = text; *c; c++)
        *c = *c == '-' ? '.' : *c;
    if (!namespace_exists(answer, namespace))
        return;
    add_address(answer, bytes_of_string(text));
    answer->exists = answer->count > 0;
}

/* --- The name --- */

/* The part of the name below the domain; false: it is not below it. */
static bool below_domain(const char *name, struct bytes *out)
{
    struct bytes whole = bytes_of_string(name), domain = BYTES_LITERAL("." NAMES_DOMAIN);
    if (bytes_equal_string(whole, NAMES_DOMAIN)) {
        *out = BYTES_LITERAL("");
        return true;
    }
    *out = bytes_slice(whole, 0, whole.size - domain.size);
    return bytes_ends_with(whole, domain);
}

/* Its labels from the last on: "svc", "shop", "billing". False: there are more than a name can have. */
static bool split(struct bytes name, struct bytes labels[LABELS_MAX], size_t *count)
{
    for (*count = 0; name.size > 0; (*count)++) {
        size_t start = name.size;
        if (*count == LABELS_MAX)
            return false;
        while (start > 0 && name.data[start - 1] != '.')
            start--;
        labels[*count] = bytes_slice(name, start, name.size - start);
        name = bytes_slice(name, 0, start > 0 ? start - 1 : 0);
    }
    return true;
}

static void find(struct answer *answer, struct bytes name)
{
    struct bytes labels[LABELS_MAX];
    size_t count;
    if (!split(name, labels, &count))
        return;
    bool pods = count > 0 && bytes_equal_string(labels[0], "pod");
    if (count == 0 || (count == 1 && (pods || bytes_equal_string(labels[0], "svc")))) {
        answer->exists = true;
        return;
    }
    if (!pods && !bytes_equal_string(labels[0], "svc"))
        return;
    struct asked asked = {.namespace = labels[1]};
    if (count == 2) {
        answer->exists = namespace_exists(answer, labels[1]);
    } else if (pods) {
        if (count == 3)
            find_pod(answer, labels[2], labels[1]);
    } else {
        asked.service = labels[2];
        bool port = count == 5 && labels[3].data[0] == '_' && labels[4].data[0] == '_';
        if (port) {
            asked.protocol = bytes_slice(labels[3], 1, labels[3].size);
            asked.port = bytes_slice(labels[4], 1, labels[4].size);
        } else if (count == 4) {
            asked.host = labels[3];
        }
        if (count <= 4 || port)
            find_service(answer, &asked);
    }
}

static bool wanted(const struct record *record, const struct dns_query *query)
{
    return query->class == DNS_CLASS_IN &&
           (record->type == query->type || query->type == DNS_ANY || record->type == DNS_CNAME);
}

static void write_reply(const struct answer *answer, const struct dns_query *query, size_t size_max, struct buf *out)
{
    struct dns_reply reply;
    dns_reply_begin(&reply, out, query, size_max, answer->exists ? DNS_OK : DNS_NO_NAME);
    for (size_t i = 0; i < answer->count; i++) {
        const struct record *record = &answer->records[i];
        if (!wanted(record, query))
            continue;
        if (record->type == DNS_A)
            dns_reply_add_a(&reply, NAMES_TTL_S, record->ip);
        else if (record->type == DNS_SRV)
            dns_reply_add_srv(&reply, NAMES_TTL_S, record->port, record->target);
        else
            dns_reply_add_cname(&reply, NAMES_TTL_S, record->target);
    }
    if (reply.answers == 0 && !reply.full)
        dns_reply_add_soa(&reply, NAMES_TTL_S, NAMES_DOMAIN);
    dns_reply_end(&reply);
}

bool names_reply(struct api *api, const struct dns_query *query, size_t size_max, struct buf *out)
{
    struct bytes name;
    if (!below_domain(query->name, &name))
        return false;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    AUTO_FREE(struct answer) answer = NEW(struct answer);
    answer->api = api;
    answer->arena = &arena;
    find(answer, name);
    write_reply(answer, query, size_max, out);
    return true;
}
