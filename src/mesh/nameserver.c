/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/nameserver.h"

#include "base/diag.h"
#include "base/memory.h"
#include "io/file.h"
#include "mesh/names.h"
#include "mesh/nameserver_priv.h"

enum {
    RESOLV_CONF_SIZE_MAX = 64 << 10,
    RESOLV_CONF_AGE_MS = 5000,
    PORT = 53,
    FIRST_RETRY_MS = 1000,
    RETRY_MS = 10000,
};

/* --- The machine's own servers --- */

static void take_servers(struct nameserver *server, const struct dns_resolv_conf *conf)
{
    struct io_address self = nameserver_address(server);
    uint16_t port = server->options.forward_port ? server->options.forward_port : PORT;
    server->server_count = 0;
    for (size_t i = 0; i < conf->server_count; i++) {
        struct io_address *address = &server->servers[server->server_count];
        if (io_address_parse_ip(bytes_of_string(conf->servers[i]), port, address) && !io_address_equal(address, &self))
            server->server_count++;
    }
}

/* The machine's servers, as resolv.conf has them now. Says how many. */
static size_t read_servers(struct nameserver *server)
{
    uint64_t now_ns = io_now_ns(server->io);
    if (server->servers_read_ns && now_ns - server->servers_read_ns < RESOLV_CONF_AGE_MS * 1000000ull)
        return server->server_count;
    AUTO_BUF text;
    struct error err;
    struct dns_resolv_conf conf;
    const char *path = server->options.resolv_conf ? server->options.resolv_conf : "/etc/resolv.conf";
    buf_init(&text, RESOLV_CONF_SIZE_MAX);
    if (!io_path_read(server->io, path, &text, &err))
        buf_reset(&text); /* then there are none */
    dns_resolv_conf_parse(buf_bytes(&text), &conf);
    take_servers(server, &conf);
    server->servers_read_ns = now_ns;
    return server->server_count;
}

/* --- Answers --- */

static void reply_code(const struct dns_query *query, enum dns_code code, struct buf *out)
{
    struct dns_reply reply;
    dns_reply_begin(&reply, out, query, query->udp_size, code);
    dns_reply_end(&reply);
}

void nameserver_fail(struct nameserver *server, const struct dns_query *query, struct buf *out)
{
    server->metrics.failed++;
    reply_code(query, DNS_SERVER_FAILURE, out);
}

enum nameserver_verdict nameserver_answer(struct nameserver *server, struct bytes message, bool tcp,
                                          struct dns_query *query, struct buf *out)
{
    struct error err;
    server->metrics.queries++;
    if (!dns_query_parse(message, query, &err)) {
        server->metrics.failed++;
        if (err.kind == ERROR_CORRUPT)
            return NAMESERVER_IGNORE;
        reply_code(query, err.kind == ERROR_UNSUPPORTED ? DNS_NOT_IMPLEMENTED : DNS_FORMAT_ERROR, out);
        return NAMESERVER_ANSWERED;
    }
    if (names_reply(server->api, query, tcp ? DNS_MESSAGE_SIZE_MAX : query->udp_size, out))
        return NAMESERVER_ANSWERED;
    if (read_servers(server) > 0)
        return NAMESERVER_FORWARD;
    nameserver_fail(server, query, out);
    return NAMESERVER_ANSWERED;
}

static void on_datagram(void *ctx, const struct io_address *from, struct bytes message)
{
    struct nameserver *server = ctx;
    struct dns_query query;
    AUTO_BUF out;
    buf_init(&out, DNS_MESSAGE_SIZE_MAX);
    enum nameserver_verdict verdict = nameserver_answer(server, message, false, &query, &out);
    if (verdict == NAMESERVER_ANSWERED)
        io_datagram_send(server->datagram, from, buf_bytes(&out));
    else if (verdict == NAMESERVER_FORWARD)
        nameserver_forward(server, from, &query, message);
}

/* --- Open and close --- */

/* Both on the same port: one that was chosen is chosen by the listener. */
static bool listen_both(struct nameserver *server, struct error *err)
{
    struct io_address address = server->options.address;
    if (!io_listen(server->io, &address, NULL, nameserver_accept, server, &server->listener, err))
        return false;
    address = io_listener_address(server->listener);
    if (io_datagram_open(server->io, &address, on_datagram, server, &server->datagram, err))
        return true;
    io_listener_close(TAKE(server->listener));
    return false;
}

static void try_to_listen(void *ctx)
{
    struct nameserver *server = ctx;
    struct error err;
    if (listen_both(server, &err)) {
        if (server->failures > 0)
            diag_info("mesh", "names of services are answered now");
        server->failures = 0;
        return;
    }
    if (server->failures++ == 1)
        diag_warn("mesh", "names of services are not answered: %s; trying again every %d s", err.message,
                  RETRY_MS / 1000);
    io_timer_start(&server->retry, server->failures == 1 ? FIRST_RETRY_MS : RETRY_MS);
}

struct nameserver *nameserver_open(const struct nameserver_options *options)
{
    struct nameserver *server = NEW(struct nameserver);
    server->api = options->api;
    server->io = api_io(options->api);
    server->options = *options;
    list_init(&server->forwards);
    list_init(&server->connections);
    io_timer_init(server->io, &server->retry, try_to_listen, server);
    try_to_listen(server);
    return server;
}

void nameserver_close(struct nameserver *server)
{
    if (!server)
        return;
    io_timer_stop(&server->retry);
    nameserver_forwards_deinit(server);
    nameserver_connections_deinit(server);
    io_listener_close(server->listener);
    io_datagram_close(server->datagram);
    free(server);
}

struct io_address nameserver_address(const struct nameserver *server)
{
    return server->datagram ? io_datagram_address(server->datagram) : (struct io_address){0};
}

void nameserver_metrics(const struct nameserver *server, struct nameserver_metrics *out)
{
    *out = server->metrics;
}
