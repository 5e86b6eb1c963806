/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS by OpenSSL, over memory: a session reads what was received from one BIO and leaves what is to be sent in another,
 * so sockets stay the engine's. Session tickets are off: they would cost every short connection a record, and a
 * handshake with P-256 costs less than a millisecond.
 */
#include "io/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/memory.h"
#include "io/io_priv.h"
#include "io/openssl_priv.h"
#include "io/tls_priv.h"

struct openssl_tls {
    struct io_tls base;
    SSL_CTX *context;
};

struct openssl_session {
    struct tls_session base;
    SSL *ssl;
    BIO *received, *to_send; /* the SSL's */
};

/* --- Contexts --- */

struct io_tls *io_tls_server_new(struct io *io, struct bytes certificate, struct bytes key, struct bytes client_ca,
                                 struct error *err)
{
    return io->engine->tls->server_new(io, certificate, key, client_ca, err);
}

struct io_tls *io_tls_client_new(struct io *io, struct bytes ca, struct bytes certificate, struct bytes key,
                                 struct error *err)
{
    return io->engine->tls->client_new(io, ca, certificate, key, err);
}

struct io_tls *io_tls_client_new_unverified(struct io *io)
{
    return io->engine->tls->client_new_unverified(io);
}

void io_tls_free(struct io_tls *tls)
{
    if (tls)
        tls->io->engine->tls->free(tls);
}

void tls_session_deinit(struct tls_session *session)
{
    for (size_t i = 0; i < session->organization_count; i++)
        free(session->organizations[i]);
    free(session->organizations);
    free(session->common_name);
}

bool openssl_error(struct error *err, enum error_kind kind, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return error_set(err, kind, "%s: %s", what, reason ? reason : "no reason given");
}

BIO *openssl_reader(struct bytes pem)
{
    return BIO_new_mem_buf(pem.data ? pem.data : (const uint8_t *)"", pem.size < INT32_MAX ? (int)pem.size : 0);
}

/* The first certificate is ours, the rest is the way to the root. */
static bool use_certificate(SSL_CTX *context, struct bytes certificate, struct bytes key, struct error *err)
{
    AUTO_BIO certificates = openssl_reader(certificate);
    AUTO_BIO keys = openssl_reader(key);
    AUTO_X509 own = PEM_read_bio_X509_AUX(certificates, NULL, NULL, NULL);
    if (!own || SSL_CTX_use_certificate(context, own) != 1)
        return openssl_error(err, ERROR_INVALID, "TLS certificate");
    for (X509 *next; (next = PEM_read_bio_X509(certificates, NULL, NULL, NULL)); X509_free(next))
        if (SSL_CTX_add1_chain_cert(context, next) != 1)
            return openssl_error(err, ERROR_INVALID, "TLS certificate chain");
    ERR_clear_error(); /* the end of the text counts as one */
    AUTO_EVP_PKEY private_key = PEM_read_bio_PrivateKey(keys, NULL, NULL, NULL);
    if (!private_key || SSL_CTX_use_PrivateKey(context, private_key) != 1)
        return openssl_error(err, ERROR_INVALID, "TLS key");
    return true;
}

static bool trust(SSL_CTX *context, struct bytes ca, bool ask_clients, struct error *err)
{
    AUTO_BIO reader = openssl_reader(ca);
    size_t count = 0;
    for (X509 *next; (next = PEM_read_bio_X509(reader, NULL, NULL, NULL)); X509_free(next)) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), next);
        if (ask_clients)
            SSL_CTX_add_client_CA(context, next);
        count++;
    }
    if (count == 0)
        return openssl_error(err, ERROR_INVALID, "TLS CA certificate");
    ERR_clear_error();
    return true;
}

static struct openssl_tls *tls_new(struct io *io, bool server)
{
    struct openssl_tls *tls = NEW(struct openssl_tls);
    tls->base = (struct io_tls){.io = io, .server = server};
    tls->context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!tls->context)
        abort(); /* out of memory */
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS); /* idle connections hold no buffers */
    SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(tls->context, 0);
    return tls;
}

static void openssl_free(struct io_tls *base)
{
    struct openssl_tls *tls = (struct openssl_tls *)base;
    SSL_CTX_free(tls->context);
    free(tls);
}

static struct io_tls *openssl_server_new(struct io *io, struct bytes certificate, struct bytes key,
                                         struct bytes client_ca, struct error *err)
{
    struct openssl_tls *tls = tls_new(io, true);
    bool good = use_certificate(tls->context, certificate, key, err);
    if (good && client_ca.data) {
        good = trust(tls->context, client_ca, true, err);
        SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    }
    if (good)
        return &tls->base;
    openssl_free(&tls->base);
    return NULL;
}

static struct io_tls *openssl_client_new(struct io *io, struct bytes ca, struct bytes certificate, struct bytes key,
                                         struct error *err)
{
    struct openssl_tls *tls = tls_new(io, false);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    bool good = !certificate.data || use_certificate(tls->context, certificate, key, err);
    if (good && ca.data)
        good = trust(tls->context, ca, false, err);
    else if (good && SSL_CTX_set_default_verify_paths(tls->context) != 1)
        good = openssl_error(err, ERROR_SYSTEM, "the system's CA certificates");
    if (good)
        return &tls->base;
    openssl_free(&tls->base);
    return NULL;
}

static struct io_tls *openssl_client_new_unverified(struct io *io)
{
    struct openssl_tls *tls = tls_new(io, false);
    tls->base.unverified = true;
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_NONE, NULL);
    return &tls->base;
}

/* --- Sessions --- */

static struct tls_session *openssl_session_new(struct io_tls *tls, const char *server_name)
{
    struct openssl_session *session = NEW(struct openssl_session);
    session->base.engine = &tls_openssl;
    session->ssl = SSL_new(((struct openssl_tls *)tls)->context);
    session->received = BIO_new(BIO_s_mem());
    session->to_send = BIO_new(BIO_s_mem());
    if (!session->ssl || !session->received || !session->to_send)
        abort(); /* out of memory */
    SSL_set_bio(session->ssl, session->received, session->to_send);
    if (tls->server) {
        SSL_set_accept_state(session->ssl);
        return &session->base;
    }
    SSL_set_connect_state(session->ssl);
    /* An address is looked for among the certificate's addresses; a name also goes into SNI. */
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session->ssl), server_name) != 1) {
        SSL_set1_host(session->ssl, server_name);
        /* What SSL_set_tlsext_host_name() is, without its cast. */
        SSL_ctrl(session->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)server_name);
    }
    ERR_clear_error();
    return &session->base;
}

static void openssl_session_free(struct tls_session *base)
{
    struct openssl_session *session = (struct openssl_session *)base;
    SSL_free(session->ssl);
    tls_session_deinit(base);
    free(session);
}

static void collect(struct openssl_session *session, struct queue *out)
{
    size_t size = BIO_ctrl_pending(session->to_send);
    if (size == 0)
        return;
    int got = BIO_read(session->to_send, queue_reserve(out, size), (int)size);
    queue_commit(out, got > 0 ? (size_t)got : 0);
}

static bool verifies(const struct openssl_session *session)
{
    return SSL_get_verify_mode(session->ssl) != SSL_VERIFY_NONE;
}

static enum tls_result failure(struct openssl_session *session, struct error *err)
{
    long verified = SSL_get_verify_result(session->ssl);
    if (verified != X509_V_OK && verifies(session)) {
        ERR_clear_error();
        error_set(err, ERROR_DENIED, "TLS: the peer's certificate: %s", X509_verify_cert_error_string(verified));
    } else {
        openssl_error(err, ERROR_UNAVAILABLE, "TLS");
    }
    return TLS_FAILED;
}

static enum tls_result result_of(struct openssl_session *session, int result, struct error *err)
{
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_NONE:
        return TLS_OK;
    case SSL_ERROR_WANT_READ:
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_END;
    default:
        return failure(session, err);
    }
}

static char *text_of(const X509_NAME_ENTRY *entry)
{
    unsigned char *utf8 = NULL;
    int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    char *text = memory_string(bytes_of(utf8, size > 0 ? (size_t)size : 0));
    OPENSSL_free(utf8);
    return text;
}

/* The certificate has been verified by the handshake, or it would have failed. */
static void take_subject(struct openssl_session *session)
{
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    if (!certificate || !verifies(session))
        return;
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int count = X509_NAME_entry_count(subject);
    session->base.organizations = memory_new_array((size_t)count, sizeof(char *));
    for (int i = 0; i < count; i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, i);
        int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        if (kind == NID_commonName && !session->base.common_name)
            session->base.common_name = text_of(entry);
        else if (kind == NID_organizationName)
            session->base.organizations[session->base.organization_count++] = text_of(entry);
    }
    if (!session->base.common_name)
        session->base.common_name = memory_string(BYTES_LITERAL(""));
}

static enum tls_result openssl_handshake(struct tls_session *base, struct queue *out, struct error *err)
{
    struct openssl_session *session = (struct openssl_session *)base;
    ERR_clear_error();
    enum tls_result result = result_of(session, SSL_do_handshake(session->ssl), err);
    collect(session, out);
    if (result == TLS_OK)
        take_subject(session);
    if (result == TLS_END) {
        error_set(err, ERROR_UNAVAILABLE, "TLS: the peer has closed during the handshake");
        result = TLS_FAILED;
    }
    return result;
}

static void openssl_receive(struct tls_session *base, struct bytes data)
{
    struct openssl_session *session = (struct openssl_session *)base;
    if (BIO_write(session->received, data.data, (int)data.size) != (int)data.size)
        abort(); /* out of memory */
}

static enum tls_result openssl_read(struct tls_session *base, uint8_t *data, size_t size, size_t *got,
                                    struct queue *out, struct error *err)
{
    struct openssl_session *session = (struct openssl_session *)base;
    ERR_clear_error();
    enum tls_result result = result_of(session, SSL_read_ex(session->ssl, data, size, got), err);
    collect(session, out); /* an answer to a key update */
    return result;
}

static bool openssl_write(struct tls_session *base, struct bytes data, struct queue *out, struct error *err)
{
    struct openssl_session *session = (struct openssl_session *)base;
    size_t written;
    ERR_clear_error();
    enum tls_result result = result_of(session, SSL_write_ex(session->ssl, data.data, data.size, &written), err);
    collect(session, out);
    if (result == TLS_MORE || result == TLS_END) /* without renegotiation, a write never waits for the peer */
        return error_set(err, ERROR_UNAVAILABLE, "TLS: the session cannot send");
    return result == TLS_OK;
}

static void openssl_shutdown(struct tls_session *base, struct queue *out)
{
    struct openssl_session *session = (struct openssl_session *)base;
    if (SSL_get_shutdown(session->ssl) & SSL_SENT_SHUTDOWN)
        return;
    SSL_shutdown(session->ssl);
    ERR_clear_error();
    collect(session, out);
}

const struct tls_engine tls_openssl = {
    .server_new = openssl_server_new,
    .client_new = openssl_client_new,
    .client_new_unverified = openssl_client_new_unverified,
    .free = openssl_free,
    .make_ca = openssl_make_ca,
    .is_good = openssl_is_good,
    .make = openssl_make,
    .session_new = openssl_session_new,
    .session_free = openssl_session_free,
    .receive = openssl_receive,
    .handshake = openssl_handshake,
    .read = openssl_read,
    .write = openssl_write,
    .shutdown = openssl_shutdown,
};
