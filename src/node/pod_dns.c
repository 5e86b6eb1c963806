/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pod_dns.h"

#include "base/memory.h"
#include "wire/dns.h"

#define CLUSTER_DOMAIN "cluster.local" /* mesh/names.h, which may not be included here */

static void append_words(struct buf *out, const struct json *texts)
{
    json_array_each (i, text, texts)
        if (json_is_string(text))
            buf_printf(out, "%s" BYTES_FORMAT, out->size ? " " : "", BYTES_ARGS(json_bytes(text)));
}

static void append_servers(struct buf *out, const struct json *servers)
{
    json_array_each (i, server, servers)
        if (json_is_string(server))
            buf_printf(out, "nameserver " BYTES_FORMAT "\n", BYTES_ARGS(json_bytes(server)));
}

static void append_options(struct buf *out, const struct json *options, const char *otherwise)
{
    AUTO_BUF line;
    buf_init(&line, 1 << 16);
    bool ndots = false;
    json_array_each (i, option, options) {
        const char *name = json_text_at(option, "name", ""), *value = json_text_at(option, "value", "");
        ndots = ndots || strcmp(name, "ndots") == 0;
        buf_printf(&line, " %s%s%s", name, *value ? ":" : "", value);
    }
    if (line.size > 0 || *otherwise)
        buf_printf(out, "options%s%s%s\n", ndots || !*otherwise ? "" : " ", ndots ? "" : otherwise, buf_string(&line));
}

/* Names of the pod's own namespace first, as everybody writes them. */
static void append_cluster(struct buf *out, const struct object *pod, const char *cluster_dns,
                           const struct dns_resolv_conf *host)
{
    const struct json *config = json_at(pod->json, "spec.dnsConfig");
    AUTO_BUF search;
    buf_init(&search, 1 << 16);
    buf_printf(&search, BYTES_FORMAT ".svc." CLUSTER_DOMAIN " svc." CLUSTER_DOMAIN " " CLUSTER_DOMAIN "%s%s",
               BYTES_ARGS(pod->namespace), host->search[0] ? " " : "", host->search);
    append_words(&search, json_get(config, "searches"));
    buf_printf(out, "search %s\nnameserver %s\n", buf_string(&search), cluster_dns);
    append_servers(out, json_get(config, "nameservers"));
    append_options(out, json_get(config, "options"), "ndots:5");
}

/* The machine's lines, or none, and what dnsConfig adds. */
static void append_own(struct buf *out, const struct object *pod, struct bytes host)
{
    const struct json *config = json_at(pod->json, "spec.dnsConfig");
    AUTO_BUF search;
    struct dns_resolv_conf conf;
    buf_init(&search, 1 << 16);
    dns_resolv_conf_parse(host, &conf);
    buf_append(out, host);
    if (out->size > 0 && out->data[out->size - 1] != '\n')
        buf_append_byte(out, '\n');
    if (json_size(json_get(config, "searches")) > 0) { /* the last search line counts */
        buf_append_string(&search, conf.search);
        append_words(&search, json_get(config, "searches"));
        buf_printf(out, "search %s\n", buf_string(&search));
    }
    append_servers(out, json_get(config, "nameservers"));
    append_options(out, json_get(config, "options"), "");
}

bool pod_dns_resolv_conf(const struct object *pod, const char *cluster_dns, struct bytes host, struct buf *out)
{
    const char *policy = json_text_at(pod->json, "spec.dnsPolicy", "ClusterFirst");
    bool host_network = json_bool_at(pod->json, "spec.hostNetwork", false);
    bool cluster =
        strcmp(policy, "ClusterFirstWithHostNet") == 0 || (strcmp(policy, "ClusterFirst") == 0 && !host_network);
    if (cluster && cluster_dns) {
        struct dns_resolv_conf conf;
        dns_resolv_conf_parse(host, &conf);
        append_cluster(out, pod, cluster_dns, &conf);
    } else {
        append_own(out, pod, strcmp(policy, "None") == 0 ? BYTES_NULL : host);
    }
    return !cluster || cluster_dns;
}

void pod_dns_hosts(const struct object *pod, struct buf *out)
{
    json_array_each (i, alias, json_at(pod->json, "spec.hostAliases")) {
        buf_append_string(out, json_text_at(alias, "ip", ""));
        json_array_each (j, name, json_get(alias, "hostnames"))
            buf_printf(out, "\t" BYTES_FORMAT, BYTES_ARGS(json_bytes(name)));
        buf_append_byte(out, '\n');
    }
}
