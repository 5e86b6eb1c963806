/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates of the API door: a CA of evoke's own, which lives as long as the data directory, and what it signs:
 * the server's certificate and the admin's. They are files in DIR/pki (0600), made when they are missing and made anew
 * when they are damaged or come near their end, also while the door is open. DIR/kubeconfig holds the address, the CA
 * and the admin's certificate.
 */
#ifndef DOOR_KUBE_PKI_H
#define DOOR_KUBE_PKI_H

#include "base/error.h"
#include "io/address.h"
#include "io/io.h"
#include "io/tls.h"

struct kube_pki {
    struct io_certificate ca, server, admin;
    struct io_tls *tls; /* the server's */
};

/* `host_name` may be NULL. */
MUST_CHECK bool kube_pki_load(struct io *io, const char *directory, const char *host_name, struct kube_pki *out,
                              struct error *err);
void kube_pki_deinit(struct kube_pki *pki);
/* `pki` holds what `with` held, but for the CA, which is the same, and sessions begin with it from now on; the rest is
 * freed. */
void kube_pki_exchange(struct kube_pki *pki, struct kube_pki *with);

/* The same beside the core thread (io_task_begin()): to make them takes some 10 ms of a start. The texts stay until the
 * one call of either. */
struct kube_pki_loading;
struct kube_pki_loading *kube_pki_begin(struct io *io, const char *directory, const char *host_name);
MUST_CHECK bool kube_pki_finish(struct kube_pki_loading *loading, struct kube_pki *out, struct error *err);
void kube_pki_abandon(struct kube_pki_loading *loading); /* NULL is allowed */
/* Written only if it is not what is there: a user's file watcher stays calm. */
MUST_CHECK bool kube_pki_write_kubeconfig(struct io *io, const char *directory, const struct kube_pki *pki,
                                          const struct io_address *address, struct error *err);

#endif
