/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stream.c needs of TLS: a session turns received bytes into plain ones and plain ones into bytes to send. It does
 * no I/O of its own. OpenSSL (tls.c) or, in the simulated world, a handshake in plain text (sim_tls.c).
 */
#ifndef IO_TLS_PRIV_H
#define IO_TLS_PRIV_H

#include "io/queue.h"
#include "io/stream.h"
#include "io/tls.h"

/* The first members of the engine's own structs. */
struct io_tls {
    struct io *io;
    bool server;
    bool unverified; /* a client that takes any certificate */
};

struct tls_session {
    const struct tls_engine *engine;
    /* The peer's verified certificate; NULL: it has shown none. */
    char *common_name;
    char **organizations;
    size_t organization_count;
};

enum tls_result { TLS_OK, TLS_MORE /* input is needed */, TLS_END /* the peer sends no more */, TLS_FAILED /* err */ };

struct tls_engine {
    struct io_tls *(*server_new)(struct io *io, struct bytes certificate, struct bytes key, struct bytes client_ca,
                                 struct error *err);
    struct io_tls *(*client_new)(struct io *io, struct bytes ca, struct bytes certificate, struct bytes key,
                                 struct error *err);
    struct io_tls *(*client_new_unverified)(struct io *io);
    void (*free)(struct io_tls *tls);
    bool (*make_ca)(struct io *io, const char *common_name, int days, struct io_certificate *out, struct error *err);
    bool (*make)(struct io *io, const struct io_certificate *ca, const char *common_name,
                 const char *const *organizations, size_t organization_count, const char *const *names,
                 size_t name_count, int days, struct io_certificate *out, struct error *err);
    bool (*is_good)(struct io *io, const struct io_certificate *ca, const struct io_certificate *certificate, int days);

    /* `server_name`: whom a client expects, a DNS name or an IP address. */
    struct tls_session *(*session_new)(struct io_tls *tls, const char *server_name);
    void (*session_free)(struct tls_session *session);
    void (*receive)(struct tls_session *session, struct bytes data); /* all of it is taken */
    /* Each of these may add to `out` what is to be sent. */
    enum tls_result (*handshake)(struct tls_session *session, struct queue *out, struct error *err);
    enum tls_result (*read)(struct tls_session *session, uint8_t *data, size_t size, size_t *got, struct queue *out,
                            struct error *err);
    bool (*write)(struct tls_session *session, struct bytes data, struct queue *out, struct error *err);
    void (*shutdown)(struct tls_session *session, struct queue *out);
};

extern const struct tls_engine tls_openssl;

void tls_session_deinit(struct tls_session *session); /* the peer's names */

#endif
