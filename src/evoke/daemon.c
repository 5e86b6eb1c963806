/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "api/kind.h"
#include "base/memory.h"
#include "coordinator/coordinator_folds.h"
#include "door/admin_door.h"
#include "door/events_door.h"
#include "door/kafka_door.h"
#include "door/kube_door.h"
#include "door/kube_pki.h"
#include "evoke/metrics.h"
#include "evoke/pods_end.h"
#include "io/file.h"
#include "mesh/mesh.h"
#include "mesh/nameserver.h"
#include "node/machine.h"
#include "node/node.h"

enum { DNS_PORT = 53 };

struct daemon {
    struct io *io;
    const struct config *config;
    struct machine machine; /* what the Node says of it */
    struct parts parts;     /* evoke/metrics.h: all that has figures */
    struct admin_door *admin;
    struct runtime *processes, *containers; /* ours to close; NULL when they are the caller's */
    struct kube_pki_loading *pki;           /* until the API door takes it over */
    struct error no_containers;             /* why there is no runtime for them */
    char cluster_dns[IO_ADDRESS_TEXT_SIZE]; /* where containers ask for names; "": nowhere */
    char events_url[IO_ADDRESS_TEXT_SIZE + 16];
    struct pods_end *pods_end; /* daemon_stop_pods() */
    void (*done)(void *ctx);
    void *done_ctx;
};

/* --- Doors --- */

static bool is_on(const struct io_address *address)
{
    return address->family != IO_ADDRESS_NONE;
}

/* What a user can do about a door that does not open. */
static bool wrap_door_error(const struct io_address *address, const char *flag, struct error *err)
{
    char text[IO_ADDRESS_TEXT_SIZE];
    io_address_format(address, text);
    if (err->sys == EADDRINUSE)
        return error_set(err, ERROR_UNAVAILABLE,
                         "%s is in use by another program; choose another address with --%s, or --%s off", text, flag,
                         flag);
    return error_wrap(err, "--%s %s", flag, text);
}

static bool open_admin(struct daemon *daemon, struct error *err)
{
    const struct io_address *address = &daemon->config->admin;
    if (!is_on(address))
        return true;
    daemon->admin = admin_door_open(daemon->io, address, err);
    if (!daemon->admin)
        return wrap_door_error(address, "listen-admin", err);
    metrics_register(&daemon->parts, daemon->admin);
    return true;
}

static bool open_kafka(struct daemon *daemon, struct error *err)
{
    const struct config *config = daemon->config;
    struct kafka_door_options options = {.address = config->kafka,
                                         .request_bytes_max = config->kafka_requests_bytes_max};
    if (!is_on(&options.address))
        return true;
    if (config->advertised_host[0]) {
        options.advertised_host = config->advertised_host;
        options.advertised_port = config->advertised_port;
    }
    daemon->parts.kafka = kafka_door_open(daemon->io, daemon->parts.log, &options, err);
    return daemon->parts.kafka || wrap_door_error(&options.address, "listen-kafka", err);
}

static bool open_events(struct daemon *daemon, struct error *err)
{
    if (!is_on(&daemon->config->http))
        return true;
    daemon->parts.events = events_door_open(daemon->parts.api, &daemon->config->http, err);
    if (!daemon->parts.events)
        return wrap_door_error(&daemon->config->http, "listen-http", err);
    char text[IO_ADDRESS_TEXT_SIZE];
    struct io_address address = events_door_address(daemon->parts.events);
    io_address_format(&address, text);
    snprintf(daemon->events_url, sizeof daemon->events_url, "http://%s", text);
    return true;
}

static bool open_kube(struct daemon *daemon, struct error *err)
{
    const struct kube_door_options door = {.address = daemon->config->api,
                                           .directory = daemon->config->data,
                                           .host_name = daemon->machine.hostname,
                                           .pki = TAKE(daemon->pki)};
    if (!is_on(&door.address))
        return true;
    daemon->parts.kube = kube_door_open(daemon->parts.api, &door, err);
    return daemon->parts.kube || wrap_door_error(&door.address, "listen-api", err);
}

/* --- pods/log: the node's functions in the words of the API door --- */

static void *logs_open(void *node, struct bytes namespace, struct bytes pod, const struct kube_log_options *options,
                       const struct kube_log_callbacks *callbacks, void *ctx, struct error *err)
{
    const struct node_log_options node_options = {
        .container = options->container,
        .follow = options->follow,
        .previous = options->previous,
        .timestamps = options->timestamps,
        .tail_lines = options->tail_lines,
        .since_ns = options->since_ns,
        .limit_bytes = options->limit_bytes,
    };
    const struct node_log_callbacks node_callbacks = {.on_data = callbacks->on_data, .on_end = callbacks->on_end};
    return node_log_open(node, namespace, pod, &node_options, &node_callbacks, ctx, err);
}

static void logs_pause(void *log)
{
    node_log_pause(log);
}

static void logs_resume(void *log)
{
    node_log_resume(log);
}

static void logs_close(void *log)
{
    node_log_close(log);
}

/* --- Parts --- */

/* All that is in DIR is this evoke's alone from here on. Certificates are made while the log is read. */
static bool begin(struct daemon *daemon, const struct daemon_options *options, struct error *err)
{
    const char *directory = daemon->config->data;
    if (options->machine)
        daemon->machine = *options->machine;
    else
        machine_read(&daemon->machine);
    if (!io_dir_make(daemon->io, directory, err))
        return error_wrap(err, "--data");
    if (!io_dir_lock(daemon->io, directory, err))
        return false;
    if (is_on(&daemon->config->api))
        daemon->pki = kube_pki_begin(daemon->io, directory, daemon->machine.hostname);
    return true;
}

static bool open_log(struct daemon *daemon, struct error *err)
{
    const struct config *config = daemon->config;
    const struct coordinator_options coordinator_options = {.offsets_retention_ms = config->offsets_retention_ms};
    const struct log_options options = {.directory = config->data,
                                        .journal_file_size = config->journal_file_bytes,
                                        .journal_size_max = config->journal_bytes_max,
                                        .folds = coordinator_folds,
                                        .fold_options = &coordinator_options};
    daemon->parts.log = log_open(daemon->io, &options, err);
    if (!daemon->parts.log)
        return false;
    daemon->parts.api = api_open(daemon->io, daemon->parts.log, err);
    return daemon->parts.api != NULL;
}

static bool open_runtimes(struct daemon *daemon, const struct daemon_options *options, struct error *err)
{
    const struct runtime_options runtime_options = {.directory = daemon->config->data,
                                                    .pod_cidr = daemon->config->pod_cidr};
    if (options->processes)
        return true;
    daemon->processes = runtime_process_open(daemon->io, &runtime_options, err);
    if (!daemon->processes)
        return false;
    if (geteuid() != 0) {
        error_set(&daemon->no_containers, ERROR_DENIED, "containers need root");
        return true;
    }
    daemon->containers = runtime_oci_open(daemon->io, &runtime_options, &daemon->no_containers);
    if (!daemon->containers)
        diag_warn("evoke", "pods run as processes, not as containers: %s", daemon->no_containers.message);
    if (daemon->containers && daemon->containers->trouble)
        diag_warn("evoke", "containers will not start: %s", daemon->containers->trouble);
    return true;
}

static bool open_node(struct daemon *daemon, const struct daemon_options *options, struct error *err)
{
    struct node_options node_options = {.schedule = true,
                                        .machine = &daemon->machine,
                                        .cluster_dns = daemon->cluster_dns[0] ? daemon->cluster_dns : NULL,
                                        .processes = daemon->processes ? daemon->processes : options->processes,
                                        .containers = daemon->processes ? daemon->containers : options->containers,
                                        .no_containers = daemon->processes ? daemon->no_containers.message : NULL};
    daemon->parts.node = node_open(daemon->io, daemon->parts.api, &node_options, err);
    if (!daemon->parts.node)
        return false;
    const struct kube_pod_logs logs = {
        .node = daemon->parts.node, .open = logs_open, .pause = logs_pause, .resume = logs_resume, .close = logs_close};
    if (daemon->parts.kube)
        kube_door_set_pod_logs(daemon->parts.kube, &logs);
    return true;
}

static bool make_local(void *ctx, const char *cidr, struct error *err)
{
    struct daemon *daemon = ctx;
    return runtime_oci_make_local(daemon->containers, cidr, err);
}

/* For containers, which reach the services' range; processes have the machine's resolver. */
static void open_names(struct daemon *daemon)
{
    struct nameserver_options names = {.api = daemon->parts.api};
    if (!daemon->containers || !control_dns_address(daemon->parts.control, &names.address))
        return;
    io_address_format_ip(&names.address, daemon->cluster_dns);
    names.address.port = DNS_PORT;
    daemon->parts.names = nameserver_open(&names);
}

static bool open_control(struct daemon *daemon, struct error *err)
{
    const struct control_network network = {.make_local = make_local, .ctx = daemon};
    struct control_options control_options = {
        .api = daemon->parts.api,
        .mesh = daemon->parts.mesh,
        .service_cidr = daemon->config->service_cidr,
        .network = daemon->containers ? &network : NULL,
    };
    if (daemon->parts.kube) {
        control_options.ca_certificate = bytes_of_string(kube_door_ca(daemon->parts.kube));
        control_options.api_address = kube_door_address(daemon->parts.kube);
    }
    daemon->parts.control = control_open(&control_options, err);
    if (!daemon->parts.control)
        return false;
    open_names(daemon);
    return true;
}

static void open_dispatch(struct daemon *daemon, const struct daemon_options *options)
{
    const struct dispatch_options dispatch_options = {
        .api = daemon->parts.api,
        .mesh = daemon->parts.mesh,
        .events_url = daemon->parts.events ? daemon->events_url : NULL,
        .observe = options->observe,
        .observe_ctx = options->observe_ctx,
    };
    daemon->parts.dispatch = dispatch_open(&dispatch_options);
}

static bool open_all(struct daemon *daemon, const struct daemon_options *options, struct error *err)
{
    if (!begin(daemon, options, err) || !open_log(daemon, err) || !open_admin(daemon, err) ||
        !open_kafka(daemon, err) || !open_events(daemon, err) || !open_kube(daemon, err))
        return false;
    daemon->parts.mesh = mesh_open(daemon->parts.api);
    open_dispatch(daemon, options);
    if (!open_runtimes(daemon, options, err) || !open_control(daemon, err) || !open_node(daemon, options, err))
        return false;
    if (daemon->admin)
        admin_door_set_unhealthy(daemon->admin, NULL);
    return true;
}

/* Doors first, so that nothing new comes in; then who acts. */
static void close_actors(struct daemon *daemon)
{
    admin_door_close(daemon->admin);
    kafka_door_close(daemon->parts.kafka);
    events_door_close(daemon->parts.events);
    if (daemon->parts.kube)
        kube_door_set_pod_logs(daemon->parts.kube, NULL);
    kube_door_close(daemon->parts.kube);
    dispatch_close(daemon->parts.dispatch);
    control_close(daemon->parts.control);
    daemon->admin = NULL;
    daemon->parts.kafka = NULL;
    daemon->parts.events = NULL;
    daemon->parts.kube = NULL;
    daemon->parts.dispatch = NULL;
    daemon->parts.control = NULL;
}

static void close_parts(struct daemon *daemon)
{
    kube_pki_abandon(TAKE(daemon->pki));
    close_actors(daemon);
    pods_end_close(daemon->pods_end);
    node_close(daemon->parts.node);
    nameserver_close(daemon->parts.names);
    mesh_close(daemon->parts.mesh);
    runtime_close(daemon->processes);
    runtime_close(daemon->containers);
    if (daemon->parts.api)
        api_close(daemon->parts.api);
}

static void on_log_closed(void *ctx)
{
    struct daemon *daemon = ctx;
    void (*done)(void *ctx) = daemon->done;
    void *done_ctx = daemon->done_ctx;
    free(daemon);
    if (done)
        done(done_ctx);
}

void daemon_close(struct daemon *daemon, void (*done)(void *ctx), void *ctx)
{
    daemon->done = done;
    daemon->done_ctx = ctx;
    close_parts(daemon);
    if (daemon->parts.log)
        log_close(daemon->parts.log, on_log_closed, daemon);
    else
        on_log_closed(daemon);
}

struct daemon *daemon_open(struct io *io, const struct daemon_options *options, struct error *err)
{
    struct daemon *daemon = NEW(struct daemon);
    daemon->io = io;
    daemon->config = options->config;
    if (open_all(daemon, options, err))
        return daemon;
    daemon_close(daemon, NULL, NULL);
    return NULL;
}

void daemon_stop_pods(struct daemon *daemon, void (*done)(void *ctx), void *ctx)
{
    close_actors(daemon);
    daemon->pods_end = pods_end_open(daemon->parts.api, done, ctx);
}

size_t daemon_pod_count(struct daemon *daemon)
{
    return api_count(daemon->parts.api, kind_by_name("Pod"));
}

struct api *daemon_api(struct daemon *daemon)
{
    return daemon->parts.api;
}

const struct kafka_door *daemon_kafka(const struct daemon *daemon)
{
    return daemon->parts.kafka;
}

struct log *daemon_log(struct daemon *daemon)
{
    return daemon->parts.log;
}

void daemon_each_door(struct daemon *daemon, void (*each)(void *ctx, const char *name, const char *url), void *ctx)
{
    char text[IO_ADDRESS_TEXT_SIZE], url[2 * IO_ADDRESS_TEXT_SIZE];
    if (daemon->parts.kafka) {
        struct io_address address = kafka_door_address(daemon->parts.kafka);
        io_address_format(&address, text);
        each(ctx, "kafka", text);
    }
    if (daemon->parts.kube) {
        struct io_address address = kube_door_address(daemon->parts.kube);
        io_address_format(&address, text);
        snprintf(url, sizeof url, "https://%s", text);
        each(ctx, "api", url);
    }
    if (daemon->parts.events) {
        snprintf(url, sizeof url, "%s/<namespace>/<broker>", daemon->events_url);
        each(ctx, "events", url);
    }
    if (daemon->admin) {
        struct io_address address = admin_door_address(daemon->admin);
        io_address_format(&address, text);
        snprintf(url, sizeof url, "http://%s/metrics", text);
        each(ctx, "admin", url);
    }
}
