/* SPDX-License-Identifier: Apache-2.0 */
#include "api/table_cells.h"

#include <ctype.h>

#include "api/table_pod.h"
#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"

enum { CELL_SIZE_MAX = 4096 }; /* what is longer is cut */

static struct json *text_cell(struct buf *text, const char *when_empty)
{
    struct json *cell = text->size ? json_new_string(buf_bytes(text)) : json_new_text(when_empty);
    return cell ? cell : json_new_text("");
}

static void append_separated(struct buf *text, const char *separator, const char *part)
{
    buf_printf(text, "%s%s", text->size ? separator : "", part);
}

/* A text at a path, or what stands for its absence. */
static struct json *text_or(const struct json *object, const char *path, const char *otherwise)
{
    const char *text = json_text_at(object, path, "");
    return json_new_text(*text ? text : otherwise);
}

struct json *table_cell_age(const struct json *time, int64_t now_s)
{
    int64_t then_ns;
    char age[24];
    if (!text_parse_time_ns(json_bytes(time), &then_ns))
        return json_new_text("<unknown>");
    int64_t seconds = now_s - then_ns / 1000000000;
    text_format_age(seconds > 0 ? seconds : 0, age);
    return json_new_text(age);
}

/* --- Pods --- */

static struct json *pod_ready(const struct json *object, int64_t now_s)
{
    (void)now_s;
    struct pod_summary summary;
    pod_summarize(object, &summary);
    return json_new_format("%d/%d", summary.ready, summary.total);
}

static struct json *pod_status(const struct json *object, int64_t now_s)
{
    (void)now_s;
    struct pod_summary summary;
    pod_summarize(object, &summary);
    struct json *cell = json_new_string(bytes_of_string(summary.status)); /* a cut one may end within a character */
    return cell ? cell : json_new_text("Unknown");
}

static struct json *pod_restarts(const struct json *object, int64_t now_s)
{
    struct pod_summary summary;
    pod_summarize(object, &summary);
    if (summary.restarts == 0 || summary.last_restart_s == 0)
        return json_new_format("%lld", (long long)summary.restarts);
    char age[24];
    text_format_age(now_s > summary.last_restart_s ? now_s - summary.last_restart_s : 0, age);
    return json_new_format("%lld (%s ago)", (long long)summary.restarts, age);
}

static struct json *pod_ip(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return text_or(object, "status.podIPs.0.ip", json_text_at(object, "status.podIP", "<none>"));
}

static struct json *pod_node(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return text_or(object, "spec.nodeName", "<none>");
}

static struct json *pod_nominated_node(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return text_or(object, "status.nominatedNodeName", "<none>");
}

static struct json *pod_readiness_gates(const struct json *object, int64_t now_s)
{
    (void)now_s;
    const struct json *gates = json_at(object, "spec.readinessGates");
    size_t open = 0;
    json_array_each (i, gate, gates)
        json_array_each (j, condition, json_at(object, "status.conditions"))
            if (json_same(json_get(condition, "type"), json_get(gate, "conditionType")))
                open += strcmp(json_text_at(condition, "status", ""), "True") == 0;
    return gates ? json_new_format("%zu/%zu", open, json_size(gates)) : json_new_text("<none>");
}

/* --- Workloads --- */

static struct json *ready_of_desired(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return json_new_format("%lld/%lld", (long long)json_int_at(object, "status.readyReplicas", 0),
                           (long long)json_int_at(object, "spec.replicas", 0));
}

static struct json *of_containers(const struct json *object, const char *key)
{
    AUTO_BUF text;
    buf_init(&text, CELL_SIZE_MAX);
    json_array_each (i, container, json_at(object, "spec.template.spec.containers"))
        append_separated(&text, ",", json_text_at(container, key, ""));
    return text_cell(&text, "");
}

static struct json *template_containers(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return of_containers(object, "name");
}

static struct json *template_images(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return of_containers(object, "image");
}

static void append_requirement(struct buf *text, const struct json *requirement)
{
    const char *key = json_text_at(requirement, "key", ""), *operator= json_text_at(requirement, "operator", "");
    if (strcmp(operator, "DoesNotExist") == 0)
        buf_printf(text, "%s!%s", text->size ? "," : "", key);
    else
        append_separated(text, ",", key);
    if (strcmp(operator, "In") != 0 && strcmp(operator, "NotIn") != 0)
        return;
    buf_printf(text, " %s (", strcmp(operator, "In") == 0 ? "in" : "notin");
    json_array_each (i, value, json_get(requirement, "values"))
        buf_printf(text, "%s%s", i ? "," : "", json_text(value) ? json_text(value) : "");
    buf_append_byte(text, ')');
}

/* A plain map of labels, or a LabelSelector. */
static struct json *selector(const struct json *object, int64_t now_s)
{
    (void)now_s;
    const struct json *given = json_at(object, "spec.selector"), *labels = json_get(given, "matchLabels");
    bool plain = !labels && !json_get(given, "matchExpressions");
    AUTO_BUF text;
    buf_init(&text, CELL_SIZE_MAX);
    json_object_each (member, plain ? given : labels)
        buf_printf(&text, "%s%s=%s", text.size ? "," : "", member.key,
                   json_text(member.value) ? json_text(member.value) : "");
    json_array_each (i, requirement, plain ? NULL : json_get(given, "matchExpressions"))
        append_requirement(&text, requirement);
    return text_cell(&text, "<none>");
}

/* --- Services and their endpoints --- */

static struct json *service_cluster_ip(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return text_or(object, "spec.clusterIPs.0", json_text_at(object, "spec.clusterIP", "<none>"));
}

static struct json *service_external_ip(const struct json *object, int64_t now_s)
{
    (void)now_s;
    const char *type = json_text_at(object, "spec.type", "");
    if (strcmp(type, "ExternalName") == 0)
        return text_or(object, "spec.externalName", "<none>");
    AUTO_BUF text;
    buf_init(&text, CELL_SIZE_MAX);
    bool balanced = strcmp(type, "LoadBalancer") == 0;
    json_array_each (i, ingress, balanced ? json_at(object, "status.loadBalancer.ingress") : NULL)
        append_separated(&text, ",", json_text_at(ingress, "ip", json_text_at(ingress, "hostname", "")));
    json_array_each (i, address, json_at(object, "spec.externalIPs"))
        append_separated(&text, ",", json_text(address) ? json_text(address) : "");
    return text_cell(&text, balanced ? "<pending>" : "<none>");
}

static struct json *service_ports(const struct json *object, int64_t now_s)
{
    (void)now_s;
    AUTO_BUF text;
    buf_init(&text, CELL_SIZE_MAX);
    json_array_each (i, port, json_at(object, "spec.ports")) {
        buf_printf(&text, "%s%lld", i ? "," : "", (long long)json_int_at(port, "port", 0));
        if (json_int_at(port, "nodePort", 0) > 0)
            buf_printf(&text, ":%lld", (long long)json_int_at(port, "nodePort", 0));
        buf_printf(&text, "/%s", json_text_at(port, "protocol", "TCP"));
    }
    return text_cell(&text, "<none>");
}

/* Three of them, and how many more there are. */
static void append_more(struct buf *text, size_t shown, size_t count)
{
    if (count > shown)
        buf_printf(text, " + %zu more...", count - shown);
}

enum { LISTED_MAX = 3 };

static struct json *slice_ports(const struct json *object, int64_t now_s)
{
    (void)now_s;
    const struct json *ports = json_get(object, "ports");
    AUTO_BUF text;
    buf_init(&text, CELL_SIZE_MAX);
    json_array_each (i, port, ports) {
        if (i == LISTED_MAX)
            break;
        const struct json *number = json_get(port, "port");
        const char *name = json_text_at(port, "name", "");
        if (number)
            buf_printf(&text, "%s%lld", i ? "," : "", (long long)json_int(number, 0));
        else
            buf_printf(&text, "%s%s", i ? "," : "", *name ? name : "*");
    }
    append_more(&text, LISTED_MAX, json_size(ports));
    return text_cell(&text, "<unset>");
}

static struct json *slice_endpoints(const struct json *object, int64_t now_s)
{
    (void)now_s;
    AUTO_BUF text;
    buf_init(&text, CELL_SIZE_MAX);
    size_t count = 0;
    json_array_each (i, endpoint, json_get(object, "endpoints"))
        json_array_each (j, address, json_get(endpoint, "addresses"))
            if (count++ < LISTED_MAX)
                append_separated(&text, ",", json_text(address) ? json_text(address) : "");
    append_more(&text, LISTED_MAX, count);
    return text_cell(&text, "<unset>");
}

static void append_endpoint(struct buf *text, const char *ip, const struct json *port)
{
    append_separated(text, ",", ip);
    if (port)
        buf_printf(text, ":%lld", (long long)json_int_at(port, "port", 0));
}

/* What kubectl prints: address:port of every pair, the first three. */
static struct json *endpoints_addresses(const struct json *object, int64_t now_s)
{
    (void)now_s;
    AUTO_BUF text;
    buf_init(&text, CELL_SIZE_MAX);
    size_t count = 0;
    json_array_each (i, subset, json_get(object, "subsets")) {
        const struct json *ports = json_get(subset, "ports");
        size_t port_count = json_size(ports);
        json_array_each (j, address, json_get(subset, "addresses"))
            for (size_t k = 0; k < (port_count ? port_count : 1); k++)
                if (count++ < LISTED_MAX)
                    append_endpoint(&text, json_text_at(address, "ip", ""), json_index(ports, k));
    }
    append_more(&text, LISTED_MAX, count);
    return text_cell(&text, "<none>");
}

/* --- Events --- */

static const struct json *event_first(const struct json *object)
{
    const struct json *first = json_get(object, "firstTimestamp");
    return first ? first : json_get(object, "eventTime");
}

static struct json *first_seen(const struct json *object, int64_t now_s)
{
    return table_cell_age(event_first(object), now_s);
}

static struct json *last_seen(const struct json *object, int64_t now_s)
{
    const struct json *last = json_at(object, "series.lastObservedTime");
    if (!last)
        last = json_get(object, "lastTimestamp");
    return table_cell_age(last ? last : event_first(object), now_s);
}

static struct json *event_count(const struct json *object, int64_t now_s)
{
    (void)now_s;
    int64_t count = json_int_at(object, "series.count", json_int_at(object, "count", 0));
    return json_new_int(count > 0 ? count : 1);
}

static struct json *involved_object(const struct json *object, int64_t now_s)
{
    (void)now_s;
    AUTO_BUF text;
    buf_init(&text, CELL_SIZE_MAX);
    for (const char *c = json_text_at(object, "involvedObject.kind", ""); *c; c++)
        buf_append_byte(&text, (uint8_t)tolower((unsigned char)*c));
    const char *name = json_text_at(object, "involvedObject.name", "");
    if (*name)
        buf_printf(&text, "/%s", name);
    return text_cell(&text, "");
}

static struct json *event_source(const struct json *object, int64_t now_s)
{
    (void)now_s;
    const char *component = json_text_at(object, "source.component", ""),
               *host = json_text_at(object, "source.host", "");
    if (!*component)
        component = json_text_at(object, "reportingComponent", "");
    if (!*host)
        host = json_text_at(object, "reportingInstance", "");
    return *host ? json_new_format("%s, %s", component, host) : json_new_text(component);
}

static struct json *event_message(const struct json *object, int64_t now_s)
{
    (void)now_s;
    struct json *cell = json_new_string(bytes_trim(bytes_of_string(json_text_at(object, "message", ""))));
    return cell ? cell : json_new_text("");
}

/* --- Nodes --- */

static struct json *node_status(const struct json *object, int64_t now_s)
{
    (void)now_s;
    const char *status = "Unknown";
    json_array_each (i, condition, json_at(object, "status.conditions"))
        if (strcmp(json_text_at(condition, "type", ""), "Ready") == 0)
            status = strcmp(json_text_at(condition, "status", ""), "True") == 0 ? "Ready" : "NotReady";
    bool closed = json_bool_at(object, "spec.unschedulable", false);
    return json_new_format("%s%s", status, closed ? ",SchedulingDisabled" : "");
}

static struct json *node_roles(const struct json *object, int64_t now_s)
{
    (void)now_s;
    static const char prefix[] = "node-role.kubernetes.io/";
    AUTO_BUF text;
    buf_init(&text, CELL_SIZE_MAX);
    json_object_each (label, json_at(object, "metadata.labels"))
        if (strncmp(label.key, prefix, sizeof prefix - 1) == 0 && label.key[sizeof prefix - 1])
            append_separated(&text, ",", label.key + sizeof prefix - 1);
    return text_cell(&text, "<none>");
}

static struct json *node_address(const struct json *object, const char *type)
{
    json_array_each (i, address, json_at(object, "status.addresses"))
        if (strcmp(json_text_at(address, "type", ""), type) == 0)
            return text_or(address, "address", "<none>");
    return json_new_text("<none>");
}

static struct json *node_internal_ip(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return node_address(object, "InternalIP");
}

static struct json *node_external_ip(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return node_address(object, "ExternalIP");
}

static struct json *node_os_image(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return text_or(object, "status.nodeInfo.osImage", "<unknown>");
}

static struct json *node_kernel_version(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return text_or(object, "status.nodeInfo.kernelVersion", "<unknown>");
}

static struct json *node_container_runtime(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return text_or(object, "status.nodeInfo.containerRuntimeVersion", "<unknown>");
}

/* --- Settings --- */

static struct json *data_count(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return json_new_int((int64_t)(json_size(json_get(object, "data")) + json_size(json_get(object, "binaryData"))));
}

static struct json *secret_count(const struct json *object, int64_t now_s)
{
    (void)now_s;
    return json_new_int((int64_t)json_size(json_get(object, "secrets")));
}

const struct table_cell *table_cell_by_name(const char *name)
{
    static const struct table_cell cells[] = {
        {"data_count", data_count},
        {"endpoints_addresses", endpoints_addresses},
        {"event_count", event_count},
        {"event_message", event_message},
        {"event_source", event_source},
        {"first_seen", first_seen},
        {"involved_object", involved_object},
        {"last_seen", last_seen},
        {"node_container_runtime", node_container_runtime},
        {"node_external_ip", node_external_ip},
        {"node_internal_ip", node_internal_ip},
        {"node_kernel_version", node_kernel_version},
        {"node_os_image", node_os_image},
        {"node_roles", node_roles},
        {"node_status", node_status},
        {"pod_ip", pod_ip},
        {"pod_node", pod_node},
        {"pod_nominated_node", pod_nominated_node},
        {"pod_readiness_gates", pod_readiness_gates},
        {"pod_ready", pod_ready},
        {"pod_restarts", pod_restarts},
        {"pod_status", pod_status},
        {"ready_of_desired", ready_of_desired},
        {"secret_count", secret_count},
        {"selector", selector},
        {"service_cluster_ip", service_cluster_ip},
        {"service_external_ip", service_external_ip},
        {"service_ports", service_ports},
        {"slice_endpoints", slice_endpoints},
        {"slice_ports", slice_ports},
        {"template_containers", template_containers},
        {"template_images", template_images},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
        if (strcmp(cells[i].name, name) == 0)
            return &cells[i];
    return NULL;
}
