/* SPDX-License-Identifier: Apache-2.0 */
/* TLS contexts for io_listen() and io_connect(), and the small CA that evoke makes for itself. OpenSSL behind it. */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "base/bytes.h"
#include "base/error.h"
#include "io/io.h"

struct io_tls;

/* All arguments are PEM text. A server: its certificate chain and key; with `client_ca` it asks for a client
 * certificate and verifies one if given (none is fine: io_stream_tls_subject() then says so). TLS 1.2 or later. */
struct io_tls *io_tls_server_new(struct io *io, struct bytes certificate, struct bytes key, struct bytes client_ca,
                                 struct error *err);
/* A client: trusts `ca` (null bytes: the system's store), shows certificate and key unless they are null. */
struct io_tls *io_tls_client_new(struct io *io, struct bytes ca, struct bytes certificate, struct bytes key,
                                 struct error *err);
/* A client that takes any certificate, so it does not know whom it talks to: for asking whether somebody is there. */
struct io_tls *io_tls_client_new_unverified(struct io *io);
/* After the listeners and connects that use it are gone; streams may go on. NULL is allowed. */
void io_tls_free(struct io_tls *tls);

/* --- A CA of our own. Keys are ECDSA P-256; the PEM texts are the caller's to free(). Under the simulated engine they
 * are a plain description in PEM's dress, which io_tls_*_new() of that engine understands, and repeat with the seed.
 * --- */
struct io_certificate {
    char *certificate_pem;
    char *key_pem;
};
void io_certificate_deinit(struct io_certificate *certificate);

/* Self-signed, CA:TRUE, valid from now - 1 h for `days`. */
MUST_CHECK bool io_certificate_make_ca(struct io *io, const char *common_name, int days, struct io_certificate *out,
                                       struct error *err);
/* Signed by `ca`. `names`: DNS names and IP addresses for a server certificate (count 0: a client certificate).
 * `organizations` become the subject's O fields. */
MUST_CHECK bool io_certificate_make(struct io *io, const struct io_certificate *ca, const char *common_name,
                                    const char *const *organizations, size_t organization_count,
                                    const char *const *names, size_t name_count, int days, struct io_certificate *out,
                                    struct error *err);
/* Whole, with the key that belongs to it, signed by `ca`, and valid for `days` more at least? */
bool io_certificate_is_good(struct io *io, const struct io_certificate *ca, const struct io_certificate *certificate,
                            int days);

#endif
