/* SPDX-License-Identifier: Apache-2.0 */
/* See kube_pki.h. */
#include "door/kube_pki.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

enum {
    CA_DAYS = 3650,
    LEAF_DAYS = 730,
    RENEW_DAYS = 365, /* before the end: so a copy of the kubeconfig is good for a year at least */
    PEM_SIZE_MAX = 1 << 20,
};

#define PEM_MODE 0600

static bool path_of(const char *directory, const char *name, char out[4096], struct error *err)
{
    int size = snprintf(out, 4096, "%s/%s", directory, name);
    return size < 4096 || error_set(err, ERROR_LIMIT, "the data directory's path is too long");
}

static bool read_pem(struct io *io, const char *path, char **out, struct error *err)
{
    AUTO_BUF text;
    buf_init(&text, PEM_SIZE_MAX);
    if (!io_path_read(io, path, &text, err))
        return false;
    *out = memory_string(buf_bytes(&text));
    return true;
}

/* DIR/pki/NAME.crt and NAME.key. *found is false when one is missing. */
static bool read_certificate(struct io *io, const char *directory, const char *name, struct io_certificate *out,
                             bool *found, struct error *err)
{
    char certificate[4096], key[4096], file[64];
    snprintf(file, sizeof file, "pki/%s.crt", name);
    if (!path_of(directory, file, certificate, err))
        return false;
    snprintf(file, sizeof file, "pki/%s.key", name);
    if (!path_of(directory, file, key, err))
        return false;
    *found = io_path_exists(io, certificate) && io_path_exists(io, key);
    return !*found || (read_pem(io, certificate, &out->certificate_pem, err) && read_pem(io, key, &out->key_pem, err));
}

typedef bool write_path(struct io *io, const char *path, struct bytes content, int mode, struct error *err);

/* The key first: a certificate whose key is missing is made anew at the next start. */
static bool write_certificate(struct io *io, const char *directory, const char *name,
                              const struct io_certificate *certificate, write_path *write, struct error *err)
{
    char path[4096], file[64];
    snprintf(file, sizeof file, "pki/%s.key", name);
    if (!path_of(directory, file, path, err) || !write(io, path, bytes_of_string(certificate->key_pem), PEM_MODE, err))
        return false;
    snprintf(file, sizeof file, "pki/%s.crt", name);
    return path_of(directory, file, path, err) &&
           write(io, path, bytes_of_string(certificate->certificate_pem), PEM_MODE, err);
}

/* What makes a certificate that is missing, damaged or ends soon. */
struct recipe {
    const char *name; /* of the files */
    const char *common_name;
    const char *const *organizations;
    size_t organization_count;
    const char *const *names;
    size_t name_count;
};

/* Only the CA is worth waiting for the disk: what a power loss takes of the others is made again at the next start. */
static bool load_or_make(struct io *io, const char *directory, const struct recipe *recipe,
                         const struct io_certificate *ca, struct io_certificate *out, struct error *err)
{
    bool found;
    if (!read_certificate(io, directory, recipe->name, out, &found, err))
        return false;
    if (found && io_certificate_is_good(io, ca, out, RENEW_DAYS))
        return true;
    io_certificate_deinit(out);
    return io_certificate_make(io, ca, recipe->common_name, recipe->organizations, recipe->organization_count,
                               recipe->names, recipe->name_count, LEAF_DAYS, out, err) &&
           write_certificate(io, directory, recipe->name, out, io_path_write_unsynced, err);
}

static bool load_or_make_ca(struct io *io, const char *directory, struct io_certificate *out, struct error *err)
{
    bool found;
    return read_certificate(io, directory, "ca", out, &found, err) &&
           (found || (io_certificate_make_ca(io, "evoke-ca", CA_DAYS, out, err) &&
                      write_certificate(io, directory, "ca", out, io_path_write, err)));
}

static bool make_tls(struct io *io, struct kube_pki *pki, struct error *err)
{
    pki->tls = io_tls_server_new(io, bytes_of_string(pki->server.certificate_pem), bytes_of_string(pki->server.key_pem),
                                 bytes_of_string(pki->ca.certificate_pem), err);
    return pki->tls != NULL;
}

bool kube_pki_load(struct io *io, const char *directory, const char *host_name, struct kube_pki *out, struct error *err)
{
    static const char *const masters[] = {"system:masters"};
    const char *const names[] = {"localhost",
                                 "kubernetes",
                                 "kubernetes.default",
                                 "kubernetes.default.svc",
                                 "kubernetes.default.svc.cluster.local",
                                 "127.0.0.1",
                                 "::1",
                                 "10.96.0.1",
                                 host_name};
    struct recipe server = {
        .name = "server", .common_name = "evoke", .names = names, .name_count = ARRAY_SIZE(names) - !host_name};
    struct recipe admin = {
        .name = "admin", .common_name = "kubernetes-admin", .organizations = masters, .organization_count = 1};
    struct kube_pki pki = {0};
    char path[4096];
    if (path_of(directory, "pki", path, err) && io_dir_make(io, path, err) &&
        load_or_make_ca(io, directory, &pki.ca, err) &&
        load_or_make(io, directory, &server, &pki.ca, &pki.server, err) &&
        load_or_make(io, directory, &admin, &pki.ca, &pki.admin, err) && make_tls(io, &pki, err)) {
        *out = pki;
        return true;
    }
    kube_pki_deinit(&pki);
    return error_wrap(err, "certificates");
}

void kube_pki_exchange(struct kube_pki *pki, struct kube_pki *with)
{
    io_certificate_deinit(&pki->server);
    io_certificate_deinit(&pki->admin);
    pki->server = with->server;
    pki->admin = with->admin;
    with->server = with->admin = (struct io_certificate){0};
    io_tls_exchange(pki->tls, TAKE(with->tls));
    kube_pki_deinit(with);
}

void kube_pki_deinit(struct kube_pki *pki)
{
    io_certificate_deinit(&pki->ca);
    io_certificate_deinit(&pki->server);
    io_certificate_deinit(&pki->admin);
    io_tls_free(pki->tls);
}

/* --- Beside the core thread --- */

struct kube_pki_loading {
    struct io *io;
    const char *directory, *host_name;
    struct io_task *task;
    bool ok;
    struct kube_pki pki;
    struct error err;
};

static void load(void *ctx)
{
    struct kube_pki_loading *loading = ctx;
    loading->ok = kube_pki_load(loading->io, loading->directory, loading->host_name, &loading->pki, &loading->err);
}

struct kube_pki_loading *kube_pki_begin(struct io *io, const char *directory, const char *host_name)
{
    struct kube_pki_loading *loading = NEW(struct kube_pki_loading);
    *loading = (struct kube_pki_loading){.io = io, .directory = directory, .host_name = host_name};
    loading->task = io_task_begin(io, load, loading);
    return loading;
}

bool kube_pki_finish(struct kube_pki_loading *loading, struct kube_pki *out, struct error *err)
{
    io_task_join(loading->task);
    bool ok = loading->ok;
    if (ok)
        *out = loading->pki;
    else
        *err = loading->err;
    free(loading);
    return ok;
}

void kube_pki_abandon(struct kube_pki_loading *loading)
{
    struct kube_pki pki;
    struct error ignored;
    if (loading && kube_pki_finish(loading, &pki, &ignored))
        kube_pki_deinit(&pki);
}

/* --- kubeconfig --- */

static void append_data(struct buf *out, const char *key, const char *pem)
{
    buf_printf(out, "    %s: ", key);
    text_append_base64(out, bytes_of_string(pem));
    buf_append_byte(out, '\n');
}

/* Where a client on this machine finds us: a wildcard address is no destination. */
static void append_server(struct buf *out, const struct io_address *address)
{
    char text[IO_ADDRESS_TEXT_SIZE];
    static const uint8_t zero[16] = {0};
    struct io_address reachable = *address;
    if (memcmp(address->ip, zero, address->family == IO_ADDRESS_IPV4 ? 4 : 16) == 0)
        reachable = (struct io_address){.family = IO_ADDRESS_IPV4, .port = address->port, .ip = {127, 0, 0, 1}};
    io_address_format(&reachable, text);
    buf_printf(out, "    server: https://%s\n", text);
}

bool kube_pki_write_kubeconfig(struct io *io, const char *directory, const struct kube_pki *pki,
                               const struct io_address *address, struct error *err)
{
    AUTO_BUF text, old;
    buf_init(&text, PEM_SIZE_MAX);
    buf_init(&old, PEM_SIZE_MAX);
    buf_append_string(&text, "apiVersion: v1\nkind: Config\ncurrent-context: evoke\nclusters:\n- name: evoke\n"
                             "  cluster:\n");
    append_server(&text, address);
    append_data(&text, "certificate-authority-data", pki->ca.certificate_pem);
    buf_append_string(&text, "contexts:\n- name: evoke\n  context:\n    cluster: evoke\n    user: kubernetes-admin\n"
                             "users:\n- name: kubernetes-admin\n  user:\n");
    append_data(&text, "client-certificate-data", pki->admin.certificate_pem);
    append_data(&text, "client-key-data", pki->admin.key_pem);
    char path[4096];
    struct error ignored;
    if (!path_of(directory, "kubeconfig", path, err))
        return false;
    if (io_path_exists(io, path) && io_path_read(io, path, &old, &ignored) &&
        bytes_equal(buf_bytes(&old), buf_bytes(&text)))
        return true;
    return io_path_write_unsynced(io, path, buf_bytes(&text), PEM_MODE, err); /* compared at every start */
}
