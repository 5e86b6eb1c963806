/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of the simulated engine: the same questions (is it signed by whom I trust, is it for this name, has it the key)
 * and the same order of messages as TLS 1.3, without the cryptography, whose random sizes would spoil a run's
 * repetition. A certificate is a few lines of text in PEM's dress.
 *
 *     client: magic                      server: size, certificate
 *     client: 1, size, certificate       and is done; the server after it has checked that. Size 0: none.
 *
 * After it the bytes pass through as they are.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/sim_priv.h"
#include "io/tls_priv.h"

enum { PEM_SIZE_MAX = 64 << 10, NAMES_MAX = 64, SERIAL_SIZE = 16, DAY_S = 24 * 3600 };

static const struct bytes magic = {(const uint8_t *)"simulated TLS 1\n", 16};

/* Parts of `text`, which holds them. */
struct certificate {
    struct buf text;
    struct bytes serial, issuer, common_name;
    int64_t until_s; /* wall time */
    struct bytes organizations[NAMES_MAX], names[NAMES_MAX];
    size_t organization_count, name_count;
    bool is_ca;
};

struct sim_tls {
    struct io_tls base;
    struct buf own; /* PEM; empty: none */
    struct certificate certificate;
    struct certificate trusted;
    bool trusts;
};

struct sim_session {
    struct tls_session base;
    struct sim_tls *tls;
    char *server_name;
    struct buf received;
    bool said; /* the first message is sent */
    bool done;
};

/* --- Certificates --- */

static void certificate_deinit(struct certificate *certificate)
{
    buf_deinit(&certificate->text);
}

static bool unwrap(struct bytes pem, const char *label, struct buf *out)
{
    char begin[64], end[64];
    snprintf(begin, sizeof begin, "-----BEGIN %s-----\n", label);
    snprintf(end, sizeof end, "\n-----END %s-----\n", label);
    struct bytes rest = pem;
    if (!rest.data || !bytes_starts_with(rest, bytes_of_string(begin)))
        return false;
    rest = bytes_slice(rest, strlen(begin), SIZE_MAX);
    size_t size = bytes_find(rest, 0, '\n');
    return bytes_starts_with(bytes_slice(rest, size, SIZE_MAX), bytes_of_string(end)) &&
           text_decode_base64(bytes_slice(rest, 0, size), out);
}

static char *wrap(const struct buf *content, const char *label)
{
    AUTO_BUF pem;
    buf_init(&pem, PEM_SIZE_MAX);
    buf_printf(&pem, "-----BEGIN %s-----\n", label);
    text_append_base64(&pem, buf_bytes(content));
    buf_printf(&pem, "\n-----END %s-----\n", label);
    return memory_string(bytes_of_string(buf_string(&pem)));
}

static bool take_field(struct certificate *certificate, struct bytes key, struct bytes value)
{
    bool good = true;
    if (bytes_equal_string(key, "serial"))
        certificate->serial = value;
    else if (bytes_equal_string(key, "issuer"))
        certificate->issuer = value;
    else if (bytes_equal_string(key, "cn"))
        certificate->common_name = value;
    else if (bytes_equal_string(key, "until"))
        good = bytes_to_i64(value, &certificate->until_s);
    else if (bytes_equal_string(key, "ca"))
        certificate->is_ca = true;
    else if (bytes_equal_string(key, "o") && certificate->organization_count < NAMES_MAX)
        certificate->organizations[certificate->organization_count++] = value;
    else if (bytes_equal_string(key, "name") && certificate->name_count < NAMES_MAX)
        certificate->names[certificate->name_count++] = value;
    return good;
}

static bool certificate_parse(struct certificate *certificate, struct bytes pem)
{
    memset(certificate, 0, sizeof *certificate);
    buf_init(&certificate->text, PEM_SIZE_MAX);
    if (!unwrap(pem, "CERTIFICATE", &certificate->text))
        return false;
    struct bytes rest = buf_bytes(&certificate->text), line, key;
    bool good = true;
    while (good && bytes_split(&rest, '\n', &line))
        if (bytes_split(&line, '=', &key))
            good = take_field(certificate, key, line);
    return good && certificate->serial.size > 0 && certificate->issuer.size > 0;
}

static bool key_fits(const struct certificate *certificate, struct bytes key)
{
    AUTO_BUF serial;
    buf_init(&serial, PEM_SIZE_MAX);
    return unwrap(key, "PRIVATE KEY", &serial) && bytes_equal(buf_bytes(&serial), certificate->serial);
}

static int64_t now_s(struct io *io)
{
    return io_wall_ms(io) / 1000;
}

static void append_field(struct buf *text, const char *key, const char *value, bool *good)
{
    *good = *good && !strchr(value, '\n');
    buf_printf(text, "%s=%s\n", key, value);
}

static bool make(struct io *io, struct bytes issuer, const char *common_name, const char *const *organizations,
                 size_t organization_count, const char *const *names, size_t name_count, int days,
                 struct io_certificate *out, struct error *err)
{
    uint8_t random[SERIAL_SIZE];
    io_random(io, random, sizeof random);
    AUTO_BUF serial, text;
    buf_init(&serial, 2 * SERIAL_SIZE);
    buf_init(&text, PEM_SIZE_MAX / 2);
    text_append_hex(&serial, bytes_of(random, sizeof random));
    buf_printf(&text, "serial=" BYTES_FORMAT "\n", BYTES_ARGS(buf_bytes(&serial)));
    int64_t until_s = now_s(io) + (int64_t)days * DAY_S;
    buf_printf(&text, "until=%" PRId64 "\n", until_s);
    if (!issuer.data)
        buf_append_string(&text, "ca=1\n");
    buf_printf(&text, "issuer=" BYTES_FORMAT "\n", BYTES_ARGS(issuer.data ? issuer : buf_bytes(&serial)));
    bool good = true;
    append_field(&text, "cn", common_name, &good);
    for (size_t i = 0; i < organization_count; i++)
        append_field(&text, "o", organizations[i], &good);
    for (size_t i = 0; i < name_count; i++)
        append_field(&text, "name", names[i], &good);
    if (!good || text.overflowed || organization_count > NAMES_MAX || name_count > NAMES_MAX)
        return error_set(err, ERROR_INVALID, "make a certificate: names too long or with a line break");
    *out =
        (struct io_certificate){.certificate_pem = wrap(&text, "CERTIFICATE"), .key_pem = wrap(&serial, "PRIVATE KEY")};
    return true;
}

static bool sim_make_ca(struct io *io, const char *common_name, int days, struct io_certificate *out, struct error *err)
{
    return make(io, BYTES_NULL, common_name, NULL, 0, NULL, 0, days, out, err);
}

static bool sim_make(struct io *io, const struct io_certificate *ca, const char *common_name,
                     const char *const *organizations, size_t organization_count, const char *const *names,
                     size_t name_count, int days, struct io_certificate *out, struct error *err)
{
    struct certificate issuer;
    bool good = certificate_parse(&issuer, bytes_of_string(ca->certificate_pem)) && issuer.is_ca &&
                key_fits(&issuer, bytes_of_string(ca->key_pem));
    good = good ? make(io, issuer.serial, common_name, organizations, organization_count, names, name_count, days, out,
                       err)
                : error_set(err, ERROR_INVALID, "the CA's certificate and key");
    certificate_deinit(&issuer);
    return good;
}

static bool sim_is_good(struct io *io, const struct io_certificate *ca, const struct io_certificate *certificate,
                        int days)
{
    struct certificate issuer, own;
    bool good = certificate_parse(&issuer, bytes_of_string(ca->certificate_pem)), whole;
    whole = certificate_parse(&own, bytes_of_string(certificate->certificate_pem));
    good = good && whole && own.until_s > now_s(io) + (int64_t)days * DAY_S && bytes_equal(own.issuer, issuer.serial) &&
           key_fits(&own, bytes_of_string(certificate->key_pem));
    certificate_deinit(&issuer);
    certificate_deinit(&own);
    return good;
}

static bool has_expired(const struct sim_tls *tls, const struct certificate *certificate)
{
    return certificate->until_s <= now_s(tls->base.io);
}

/* --- Contexts --- */

static void sim_tls_free(struct io_tls *base)
{
    struct sim_tls *tls = (struct sim_tls *)base;
    buf_deinit(&tls->own);
    certificate_deinit(&tls->certificate);
    certificate_deinit(&tls->trusted);
    free(tls);
}

static struct io_tls *tls_new(struct io *io, bool server, struct bytes certificate, struct bytes key, struct bytes ca,
                              struct error *err)
{
    struct sim_tls *tls = NEW(struct sim_tls);
    tls->base = (struct io_tls){.io = io, .server = server};
    buf_init(&tls->own, PEM_SIZE_MAX);
    buf_append(&tls->own, certificate);
    bool good = true;
    if (certificate.data && (!certificate_parse(&tls->certificate, certificate) || !key_fits(&tls->certificate, key)))
        good = error_set(err, ERROR_INVALID, "TLS certificate and key");
    if (good && ca.data && !(tls->trusts = certificate_parse(&tls->trusted, ca)))
        good = error_set(err, ERROR_INVALID, "TLS CA certificate");
    if (good)
        return &tls->base;
    sim_tls_free(&tls->base);
    return NULL;
}

static struct io_tls *sim_server_new(struct io *io, struct bytes certificate, struct bytes key, struct bytes client_ca,
                                     struct error *err)
{
    return tls_new(io, true, certificate.data ? certificate : BYTES_LITERAL(""), key, client_ca, err);
}

static struct io_tls *sim_client_new(struct io *io, struct bytes ca, struct bytes certificate, struct bytes key,
                                     struct error *err)
{
    return tls_new(io, false, certificate, key, ca, err);
}

/* A handshake that is under way goes on with the new one. */
static void sim_exchange(struct io_tls *tls, struct io_tls *with)
{
    struct sim_tls *a = (struct sim_tls *)tls, *b = (struct sim_tls *)with, kept = *a;
    *a = *b;
    *b = kept;
}

static struct io_tls *sim_client_new_unverified(struct io *io)
{
    struct sim_tls *tls = NEW(struct sim_tls);
    tls->base = (struct io_tls){.io = io, .unverified = true};
    buf_init(&tls->own, PEM_SIZE_MAX);
    return &tls->base;
}

/* --- Sessions --- */

static struct tls_session *sim_session_new(struct io_tls *tls, const char *server_name)
{
    struct sim_session *session = NEW(struct sim_session);
    session->base.engine = &sim_tls_engine;
    session->tls = (struct sim_tls *)tls;
    session->server_name = memory_string(bytes_of_string(server_name ? server_name : ""));
    buf_init(&session->received, 1 << 30);
    return &session->base;
}

static void sim_session_free(struct tls_session *base)
{
    struct sim_session *session = (struct sim_session *)base;
    tls_session_deinit(base);
    buf_deinit(&session->received);
    free(session->server_name);
    free(session);
}

static void sim_receive(struct tls_session *base, struct bytes data)
{
    buf_append(&((struct sim_session *)base)->received, data);
}

static void say_certificate(const struct sim_tls *tls, struct queue *out)
{
    uint32_t size = __builtin_bswap32((uint32_t)tls->own.size);
    queue_copy(out, bytes_of(&size, sizeof size));
    queue_copy(out, buf_bytes(&tls->own));
}

/* The peer's message: false while it is not whole. Size 0: no certificate. */
static bool hear_certificate(struct sim_session *session, size_t skip, struct certificate *out, bool *any, bool *good)
{
    struct bytes message = bytes_slice(buf_bytes(&session->received), skip, SIZE_MAX);
    uint32_t size;
    if (!message.data || message.size < sizeof size)
        return false;
    memcpy(&size, message.data, sizeof size);
    size = __builtin_bswap32(size);
    if (size > PEM_SIZE_MAX) {
        *good = false;
        return true;
    }
    if (message.size < sizeof size + size)
        return false;
    *any = size > 0;
    *good = size == 0 || certificate_parse(out, bytes_slice(message, sizeof size, size));
    buf_consume(&session->received, skip + sizeof size + size);
    return true;
}

static bool signed_by(const struct sim_tls *tls, const struct certificate *certificate)
{
    return tls->trusts && bytes_equal(certificate->issuer, tls->trusted.serial);
}

static bool is_for(const struct certificate *certificate, const char *name)
{
    for (size_t i = 0; i < certificate->name_count; i++)
        if (bytes_equal_string(certificate->names[i], name))
            return true;
    return false;
}

static void take_subject(struct sim_session *session, const struct certificate *certificate)
{
    session->base.common_name = memory_string(certificate->common_name);
    session->base.organization_count = certificate->organization_count;
    session->base.organizations = memory_new_array(certificate->organization_count, sizeof(char *));
    for (size_t i = 0; i < certificate->organization_count; i++)
        session->base.organizations[i] = memory_string(certificate->organizations[i]);
}

static enum tls_result refuse(struct error *err, const char *why)
{
    error_set(err, ERROR_DENIED, "TLS: the peer's certificate: %s", why);
    return TLS_FAILED;
}

static enum tls_result greet_server(struct sim_session *session, struct queue *out, struct error *err)
{
    struct certificate certificate = {0};
    bool any = false, good = false;
    if (!session->said)
        queue_copy(out, magic);
    session->said = true;
    if (!hear_certificate(session, 0, &certificate, &any, &good))
        return TLS_MORE;
    enum tls_result result = TLS_OK;
    if (session->tls->base.unverified)
        result = good && any ? TLS_OK : refuse(err, "it cannot be read");
    else if (!good || !any || !signed_by(session->tls, &certificate))
        result = refuse(err, "unable to get local issuer certificate");
    else if (has_expired(session->tls, &certificate))
        result = refuse(err, "certificate has expired");
    else if (!is_for(&certificate, session->server_name))
        result = refuse(err, "hostname mismatch");
    else
        take_subject(session, &certificate);
    certificate_deinit(&certificate);
    uint8_t fine = result == TLS_OK;
    queue_copy(out, bytes_of(&fine, 1));
    if (fine)
        say_certificate(session->tls, out);
    return result;
}

static enum tls_result greet_client(struct sim_session *session, struct queue *out, struct error *err)
{
    struct bytes received = buf_bytes(&session->received);
    if (!session->said) {
        if (!received.data)
            return TLS_MORE;
        if (!bytes_equal(bytes_slice(received, 0, magic.size), bytes_slice(magic, 0, received.size))) {
            error_set(err, ERROR_UNAVAILABLE, "TLS: wrong version number");
            return TLS_FAILED;
        }
        if (received.size < magic.size)
            return TLS_MORE;
        session->said = true;
        buf_consume(&session->received, magic.size);
        say_certificate(session->tls, out);
        received = buf_bytes(&session->received);
    }
    struct certificate certificate = {0};
    bool any = false, good = false;
    if (received.size > 0 && received.data[0] != 1) {
        error_set(err, ERROR_UNAVAILABLE, "TLS: the client refuses our certificate");
        return TLS_FAILED;
    }
    if (received.size == 0 || !hear_certificate(session, 1, &certificate, &any, &good))
        return TLS_MORE;
    enum tls_result result = TLS_OK;
    if (any && session->tls->trusts) {
        if (!good || !signed_by(session->tls, &certificate))
            result = refuse(err, "unable to get local issuer certificate");
        else if (has_expired(session->tls, &certificate))
            result = refuse(err, "certificate has expired");
        else
            take_subject(session, &certificate);
    }
    certificate_deinit(&certificate);
    return result;
}

static enum tls_result sim_handshake(struct tls_session *base, struct queue *out, struct error *err)
{
    struct sim_session *session = (struct sim_session *)base;
    return session->tls->base.server ? greet_client(session, out, err) : greet_server(session, out, err);
}

static enum tls_result sim_read(struct tls_session *base, uint8_t *data, size_t size, size_t *got, struct queue *out,
                                struct error *err)
{
    struct sim_session *session = (struct sim_session *)base;
    (void)out;
    (void)err;
    *got = size < session->received.size ? size : session->received.size;
    if (*got == 0)
        return TLS_MORE;
    memcpy(data, session->received.data, *got);
    buf_consume(&session->received, *got);
    return TLS_OK;
}

static bool sim_write(struct tls_session *base, struct bytes data, struct queue *out, struct error *err)
{
    (void)base;
    (void)err;
    queue_copy(out, data);
    return true;
}

static void sim_shutdown(struct tls_session *base, struct queue *out)
{
    (void)base;
    (void)out; /* FIN says it */
}

const struct tls_engine sim_tls_engine = {
    .server_new = sim_server_new,
    .client_new = sim_client_new,
    .client_new_unverified = sim_client_new_unverified,
    .exchange = sim_exchange,
    .free = sim_tls_free,
    .make_ca = sim_make_ca,
    .is_good = sim_is_good,
    .make = sim_make,
    .session_new = sim_session_new,
    .session_free = sim_session_free,
    .receive = sim_receive,
    .handshake = sim_handshake,
    .read = sim_read,
    .write = sim_write,
    .shutdown = sim_shutdown,
};
