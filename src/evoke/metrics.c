/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/metrics.h"

#include <stdio.h>
#include <string.h>

#include "api/kind.h"
#include "base/memory.h"
#include "evoke/metrics_priv.h"

void metrics_gauge(struct metrics *out, const char *name, const char *help, uint64_t value)
{
    metrics_one(out, name, METRICS_GAUGE, help, (double)value);
}

void metrics_counter(struct metrics *out, const char *name, const char *help, uint64_t value)
{
    metrics_one(out, name, METRICS_COUNTER, help, (double)value);
}

/* /proc/self/stat and statm: what Prometheus' client libraries export of every process. */
static void collect_process(void *ctx, struct metrics *out)
{
    (void)ctx;
    unsigned long user = 0, system = 0, pages = 0;
    FILE *stat = fopen("/proc/self/stat", "re"), *statm = fopen("/proc/self/statm", "re");
    if (stat && fscanf(stat, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2)
        metrics_one(out, "process_cpu_seconds_total", METRICS_COUNTER, "User and system time.",
                    (double)(user + system) / 100);
    if (statm && fscanf(statm, "%*u %lu", &pages) == 1)
        metrics_gauge(out, "process_resident_memory_bytes", "Memory that is resident.", pages * 4096ull);
    if (stat)
        fclose(stat);
    if (statm)
        fclose(statm);
}

static void collect_log(void *ctx, struct metrics *out)
{
    const struct parts *parts = ctx;
    if (!parts->log)
        return;
    struct log_metrics log;
    log_metrics(parts->log, &log);
    metrics_gauge(out, "evoke_log_journal_bytes", "Bytes of the journal in use.", log.journal_bytes);
    metrics_gauge(out, "evoke_log_journal_bytes_max", "Bytes the journal may use; what is older moves to segments.",
                  log.journal_bytes_max);
    metrics_gauge(out, "evoke_log_topics", "Topics, internal ones too.", log.topics);
    metrics_gauge(out, "evoke_log_partitions", "Partitions of all topics.", log.partitions);
    metrics_gauge(out, "evoke_log_segments", "Segments of all partitions.", log.segments);
    metrics_gauge(out, "evoke_log_segment_bytes", "Bytes of the segments.", log.segment_bytes);
    metrics_counter(out, "evoke_log_journal_files_spilled_total", "Files of the journal moved to segments.",
                    log.journal_files_spilled);
    metrics_counter(out, "evoke_log_spilled_bytes_total", "Bytes that were written from the journal to segments.",
                    log.spilled_bytes);
    metrics_counter(out, "evoke_log_retention_runs_total", "Times that retention dropped records.", log.retention_runs);
    metrics_counter(out, "evoke_log_compaction_runs_total", "Runs of compaction over a partition.",
                    log.compaction_runs);
    metrics_counter(out, "evoke_log_compaction_read_bytes_total", "Bytes of the segments that compaction has replaced.",
                    log.compaction_bytes_before);
    metrics_counter(out, "evoke_log_compaction_written_bytes_total", "Bytes of the segments it has put in their place.",
                    log.compaction_bytes_after);
    metrics_counter(out, "evoke_log_frames_total", "Frames written to the journal.", log.frames);
    metrics_counter(out, "evoke_log_appended_bytes_total", "Bytes of record batches appended.", log.appended_bytes);
    metrics_counter(out, "evoke_log_syncs_total", "Calls of fdatasync.", log.syncs);
    metrics_base_histogram(out, "evoke_log_sync_seconds", "From the start of a group's write to the end of its sync.",
                           &log.sync_seconds, histogram_seconds);
    metrics_counter(out, "evoke_log_appends_refused_total", "Appends refused: a full or failed disk.",
                    log.appends_refused);
}

static void collect_api(void *ctx, struct metrics *out)
{
    const struct parts *parts = ctx;
    if (!parts->api)
        return;
    metrics_family(out, "evoke_api_objects", METRICS_GAUGE, "Objects in the store by kind.");
    const struct kind *kind;
    for (size_t i = 0; (kind = kind_at(i)); i++)
        if (!kind->stored)
            metrics_sample(out, (double)api_count(parts->api, kind), "kind", kind->kind, NULL);
    metrics_gauge(out, "evoke_api_revision", "resourceVersion of the newest write.", api_revision(parts->api));
    if (!parts->kube)
        return;
    struct kube_door_metrics kube;
    kube_door_metrics(parts->kube, &kube);
    metrics_counter(out, "evoke_kube_requests_total", "Requests to the API door.", kube.requests);
    metrics_counter(out, "evoke_kube_errors_total", "Answers of 500 and above.", kube.errors);
    metrics_gauge(out, "evoke_kube_watches", "Watches that are open.", kube.watches);
    metrics_gauge(out, "evoke_kube_connections", "Connections to the API door.", kube.http.connections_open);
}

static void collect_events(void *ctx, struct metrics *out)
{
    const struct parts *parts = ctx;
    if (!parts->events)
        return;
    struct events_door_metrics events;
    events_door_metrics(parts->events, &events);
    metrics_family(out, "evoke_events_total", METRICS_COUNTER, "CloudEvents by HTTP, by result.");
    metrics_sample(out, (double)events.accepted, "result", "accepted", NULL);
    metrics_sample(out, (double)events.invalid, "result", "invalid", NULL);
    metrics_sample(out, (double)events.not_found, "result", "not_found", NULL);
    metrics_sample(out, (double)events.too_large, "result", "too_large", NULL);
    metrics_sample(out, (double)events.unsupported, "result", "unsupported", NULL);
    metrics_sample(out, (double)events.unavailable, "result", "unavailable", NULL);
    metrics_counter(out, "evoke_events_received_bytes_total", "Bytes of accepted events.", events.bytes);
    metrics_gauge(out, "evoke_events_connections", "Connections to the events door.", events.http.connections_open);
}

struct http_door {
    const char *name;
    struct http_server_metrics metrics;
};

static size_t http_doors(const struct parts *parts, struct http_door doors[3])
{
    size_t count = 0;
    if (parts->kube) {
        struct kube_door_metrics kube;
        kube_door_metrics(parts->kube, &kube);
        doors[count++] = (struct http_door){"api", kube.http};
    }
    if (parts->events) {
        struct events_door_metrics events;
        events_door_metrics(parts->events, &events);
        doors[count++] = (struct http_door){"events", events.http};
    }
    doors[count].name = "admin";
    admin_door_metrics(parts->admin, &doors[count++].metrics);
    return count;
}

/* A counter of each door; `offset` of it within the metrics of a server. */
static void http_family(struct metrics *out, const char *name, const char *help, const struct http_door *doors,
                        size_t count, size_t offset)
{
    metrics_family(out, name, METRICS_COUNTER, help);
    for (size_t i = 0; i < count; i++) {
        const uint64_t *value = (const void *)((const char *)&doors[i].metrics + offset);
        metrics_sample(out, (double)*value, "door", doors[i].name, NULL);
    }
}

static void collect_http(void *ctx, struct metrics *out)
{
    static const char *codes[] = {"", "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct http_door doors[3];
    size_t count = http_doors(ctx, doors);
    metrics_family(out, "evoke_http_responses_total", METRICS_COUNTER, "Answers by HTTP, by door and class of status.");
    for (size_t i = 0; i < count; i++)
        for (size_t digit = 2; digit < ARRAY_SIZE(codes); digit++)
            metrics_sample(out, (double)doors[i].metrics.responses[digit], "door", doors[i].name, "code", codes[digit],
                           NULL);
    http_family(out, "evoke_http_malformed_total", "Requests by HTTP that could not be parsed.", doors, count,
                offsetof(struct http_server_metrics, bad_requests));
    http_family(out, "evoke_http_timeouts_total", "Requests by HTTP that did not arrive in time.", doors, count,
                offsetof(struct http_server_metrics, timeouts));
    http_family(out, "evoke_http_connections_refused_total", "Connections by HTTP refused: too many were open.", doors,
                count, offsetof(struct http_server_metrics, connections_refused));
}

static void handshakes_of(struct metrics *out, const char *door, const struct io_handshake_metrics *handshakes)
{
    metrics_sample(out, (double)handshakes->timed_out, "door", door, "reason", "timeout", NULL);
    metrics_sample(out, (double)handshakes->refused, "door", door, "reason", "refused", NULL);
    metrics_sample(out, (double)handshakes->broken_off, "door", door, "reason", "broken_off", NULL);
}

static void collect_handshakes(void *ctx, struct metrics *out)
{
    const struct parts *parts = ctx;
    struct http_door doors[3];
    size_t count = http_doors(parts, doors);
    metrics_family(out, "evoke_tls_handshakes_failed_total", METRICS_COUNTER,
                   "TLS handshakes that did not end well, by door and reason.");
    for (size_t i = 0; i < count; i++)
        handshakes_of(out, doors[i].name, &doors[i].metrics.handshakes);
    if (!parts->kafka)
        return;
    AUTO_FREE(struct kafka_door_metrics) kafka = NEW(struct kafka_door_metrics);
    kafka_door_metrics(parts->kafka, kafka);
    handshakes_of(out, "kafka", &kafka->handshakes);
}

static void collect_mesh(void *ctx, struct metrics *out)
{
    const struct parts *parts = ctx;
    if (!parts->mesh)
        return;
    struct mesh_metrics mesh;
    mesh_metrics(parts->mesh, &mesh);
    metrics_gauge(out, "evoke_mesh_services", "Services.", mesh.services);
    metrics_gauge(out, "evoke_mesh_endpoints_ready", "Endpoints that are ready.", mesh.endpoints_ready);
    metrics_gauge(out, "evoke_mesh_held", "Connections and deliveries held for want of an endpoint.", mesh.held);
    metrics_gauge(out, "evoke_mesh_in_flight", "Connections and deliveries at endpoints.", mesh.in_flight);
    metrics_counter(out, "evoke_mesh_connections_total", "Connections to Services.", mesh.connections_total);
    metrics_counter(out, "evoke_mesh_connections_failed_total", "Connections that found no endpoint.",
                    mesh.connections_failed);
    metrics_counter(out, "evoke_mesh_held_total", "Connections and deliveries that were held.", mesh.held_total);
    metrics_counter(out, "evoke_mesh_refused_total", "Connections refused: too many held.", mesh.refused_total);
}

static void collect_names(void *ctx, struct metrics *out)
{
    const struct parts *parts = ctx;
    struct nameserver_metrics names = {0}; /* also where there is none: who asks for the rate gets 0 */
    if (parts->names)
        nameserver_metrics(parts->names, &names);
    metrics_counter(out, "evoke_dns_queries_total", "Questions for names.", names.queries);
    metrics_counter(out, "evoke_dns_forwarded_total", "Of them, passed on to the machine's servers.", names.forwarded);
    metrics_counter(out, "evoke_dns_failed_total", "Of them, malformed or not answered by the machine's servers.",
                    names.failed);
}

static void collect_dispatch(void *ctx, struct metrics *out)
{
    const struct parts *parts = ctx;
    if (!parts->dispatch)
        return;
    struct dispatch_metrics dispatch;
    dispatch_metrics(parts->dispatch, &dispatch);
    metrics_gauge(out, "evoke_dispatch_brokers", "Brokers.", dispatch.brokers);
    metrics_gauge(out, "evoke_dispatch_triggers", "Triggers.", dispatch.triggers);
    metrics_gauge(out, "evoke_dispatch_in_flight", "Deliveries under way.", dispatch.in_flight);
    metrics_gauge(out, "evoke_dispatch_waiting_retry", "Events that wait for their next attempt.",
                  dispatch.waiting_retry);
    metrics_counter(out, "evoke_dispatch_events_total", "Events read by Triggers.", dispatch.events_read);
    metrics_counter(out, "evoke_dispatch_filtered_total", "Events that a Trigger's filter left out.",
                    dispatch.events_filtered);
    metrics_counter(out, "evoke_dispatch_invalid_total", "Records of a Broker's topic that are no CloudEvents.",
                    dispatch.events_invalid);
    metrics_counter(out, "evoke_dispatch_read_failures_total",
                    "Times that a Trigger came to events that can not be read, and stopped there.",
                    dispatch.read_failures);
    metrics_family(out, "evoke_dispatch_deliveries_total", METRICS_COUNTER, "Delivery attempts by result.");
    metrics_sample(out, (double)dispatch.succeeded, "result", "success", NULL);
    metrics_sample(out, (double)dispatch.refused, "result", "refused", NULL);
    metrics_sample(out, (double)dispatch.failed, "result", "failed", NULL);
    metrics_counter(out, "evoke_dispatch_retries_total", "Attempts after the first.", dispatch.retries);
    metrics_counter(out, "evoke_dispatch_replies_total", "Reply events appended.", dispatch.replies);
    metrics_counter(out, "evoke_dispatch_dead_letters_total", "Events sent to a dead letter sink.",
                    dispatch.dead_letters);
    metrics_counter(out, "evoke_dispatch_dropped_total", "Events given up without a dead letter sink.",
                    dispatch.dropped);
    metrics_histogram(out, "evoke_dispatch_delivery_seconds", "Duration of delivery attempts.",
                      &(struct metrics_histogram){.bounds = dispatch_latency_bounds_s,
                                                  .counts = dispatch.latency,
                                                  .bound_count = DISPATCH_LATENCY_BUCKETS,
                                                  .sum = dispatch.latency_sum_s});
}

static void collect_node(void *ctx, struct metrics *out)
{
    const struct parts *parts = ctx;
    if (!parts->node)
        return;
    struct node_counts node = node_counts(parts->node);
    metrics_gauge(out, "evoke_node_pods_running", "Pods that run.", node.pods_running);
    metrics_counter(out, "evoke_node_containers_started_total", "Containers started.", node.containers_started);
    metrics_counter(out, "evoke_node_containers_failed_total", "Containers that could not be started.",
                    node.containers_failed);
    metrics_counter(out, "evoke_node_probes_failed_total", "Probes that failed.", node.probes_failed);
}

static void collect_control(void *ctx, struct metrics *out)
{
    const struct parts *parts = ctx;
    if (!parts->control)
        return;
    struct control_metrics control;
    control_metrics(parts->control, &control);
    metrics_counter(out, "evoke_control_reconciles_total", "Reconciliations.", control.reconciles);
    metrics_counter(out, "evoke_control_reconcile_errors_total", "Reconciliations that failed and are tried again.",
                    control.reconcile_errors);
    metrics_gauge(out, "evoke_control_queued", "Objects that wait for their turn, a retry or a time.", control.queued);
    metrics_family(out, "evoke_control_scales_total", METRICS_COUNTER, "Scale decisions of ScaledObjects.");
    metrics_sample(out, (double)control.scale_ups, "direction", "up", NULL);
    metrics_sample(out, (double)control.scale_downs, "direction", "down", NULL);
    metrics_counter(out, "evoke_control_drains_total", "Pods that were drained before they were deleted.",
                    control.drains);
    metrics_counter(out, "evoke_control_drains_expired_total", "Drains ended by the grace period.",
                    control.drains_expired);
    metrics_gauge(out, "evoke_control_draining", "Pods that are being drained.", control.draining);
}

void metrics_register(struct parts *parts, struct admin_door *door)
{
    parts->admin = door;
    admin_door_add_collector(door, collect_process, parts);
    admin_door_add_collector(door, collect_log, parts);
    admin_door_add_collector(door, metrics_collect_kafka, parts);
    admin_door_add_collector(door, metrics_collect_partitions, parts);
    admin_door_add_collector(door, collect_api, parts);
    admin_door_add_collector(door, collect_events, parts);
    admin_door_add_collector(door, collect_http, parts);
    admin_door_add_collector(door, collect_handshakes, parts);
    admin_door_add_collector(door, collect_mesh, parts);
    admin_door_add_collector(door, collect_names, parts);
    admin_door_add_collector(door, collect_dispatch, parts);
    admin_door_add_collector(door, collect_node, parts);
    admin_door_add_collector(door, collect_control, parts);
}
