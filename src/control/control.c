/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control.h"

#include "base/diag.h"
#include "base/endian.h"
#include "base/memory.h"
#include "control/deployment.h"
#include "control/endpoint_slice.h"
#include "control/endpoints.h"
#include "control/garbage.h"
#include "control/namespaces.h"
#include "control/pod_limit.h"
#include "control/reconciler.h"
#include "control/replica_set.h"
#include "control/scaler.h"
#include "control/service_ip.h"

/* Loopback addresses are everybody's, so nothing has to be made local for the second. */
static const char cidr_usual[] = "10.96.0.0/16", cidr_loopback[] = "127.96.0.0/16";

struct control {
    struct work_queue queue;
    struct scaler *scaler;
    struct deployments *deployments;
    struct replica_sets *replica_sets;
    struct endpoint_slices *endpoint_slices;
    struct endpoints *endpoints;
    struct service_ips *service_ips;
    struct namespaces *namespaces;
    struct garbage *garbage;
    struct pod_limit *pod_limit;
    struct ip_range services;
};

static bool make_local(const struct control_options *options, const char *cidr)
{
    struct error err;
    if (!options->network)
        return false;
    if (options->network->make_local(options->network->ctx, cidr, &err))
        return true;
    diag_info("control", "services get addresses of %s: %s", cidr_loopback, err.message);
    return false;
}

static bool choose_range(const struct control_options *options, struct ip_range *range, struct error *err)
{
    const char *cidr = options->service_cidr ? options->service_cidr : cidr_usual;
    if (!ip_range_parse(cidr, range, err))
        return false;
    bool loopback = range->first >> 24 == 127;
    if (loopback || make_local(options, cidr))
        return true;
    if (options->service_cidr)
        diag_warn("control", "the service range %s could not be made local: its addresses may not be reachable", cidr);
    return options->service_cidr || ip_range_parse(cidr_loopback, range, err);
}

struct control *control_open(const struct control_options *options, struct error *err)
{
    struct ip_range range;
    struct api *api = options->api;
    if (!choose_range(options, &range, err))
        return NULL;
    struct control *control = NEW(struct control);
    struct work_queue *queue = &control->queue;
    control->services = range;
    work_queue_init(queue, api_io(api));
    control->scaler = scaler_new(&(struct scaler_options){queue, api, options->mesh});
    control->deployments = deployments_new(queue, api);
    control->replica_sets = replica_sets_new(queue, api, options->mesh);
    control->endpoint_slices = endpoint_slices_new(queue, api);
    control->endpoints = endpoints_new(queue, api);
    control->service_ips = service_ips_new(queue, api, range, &options->api_address);
    control->namespaces = namespaces_new(queue, api, options->ca_certificate);
    control->garbage = garbage_new(queue, api);
    control->pod_limit = pod_limit_new(queue, api);
    return control;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    pod_limit_free(control->pod_limit);
    garbage_free(control->garbage);
    namespaces_free(control->namespaces);
    service_ips_free(control->service_ips);
    endpoints_free(control->endpoints);
    endpoint_slices_free(control->endpoint_slices);
    replica_sets_free(control->replica_sets);
    deployments_free(control->deployments);
    scaler_free(control->scaler);
    work_queue_deinit(&control->queue);
    free(control);
}

bool control_dns_address(const struct control *control, struct io_address *out)
{
    uint32_t ip = control->services.first + SERVICE_IP_DNS;
    *out = (struct io_address){.family = IO_ADDRESS_IPV4};
    put_be32(out->ip, ip);
    return out->ip[0] != 127;
}

void control_metrics(const struct control *control, struct control_metrics *out)
{
    struct scaler_counts scales = scaler_counts(control->scaler);
    struct drains_counts drains = replica_sets_drains(control->replica_sets);
    *out = (struct control_metrics){
        .reconciles = control->queue.reconciles,
        .reconcile_errors = control->queue.errors,
        .queued = control->queue.items,
        .scale_ups = scales.ups,
        .scale_downs = scales.downs,
        .drains = drains.begun,
        .drains_expired = drains.expired,
        .draining = drains.draining,
    };
}
