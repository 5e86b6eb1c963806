/* SPDX-License-Identifier: Apache-2.0 */
/* Between tls.c and certificate.c, the two files that know OpenSSL. */
#ifndef IO_OPENSSL_PRIV_H
#define IO_OPENSSL_PRIV_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/error.h"
#include "io/tls.h"

#define OPENSSL_AUTO(type, name)                                                                                       \
    static inline void name##_auto_free(type **pointer)                                                                \
    {                                                                                                                  \
        name##_free(*pointer);                                                                                         \
    }
OPENSSL_AUTO(BIO, BIO)
OPENSSL_AUTO(X509, X509)
OPENSSL_AUTO(EVP_PKEY, EVP_PKEY)
#define AUTO_BIO __attribute__((cleanup(BIO_auto_free))) BIO *
#define AUTO_X509 __attribute__((cleanup(X509_auto_free))) X509 *
#define AUTO_EVP_PKEY __attribute__((cleanup(EVP_PKEY_auto_free))) EVP_PKEY *

/* "what: OpenSSL's reason"; empties its error queue. Returns false. */
bool openssl_error(struct error *err, enum error_kind kind, const char *what);
BIO *openssl_reader(struct bytes pem);

bool openssl_make_ca(struct io *io, const char *common_name, int days, struct io_certificate *out, struct error *err);
bool openssl_make(struct io *io, const struct io_certificate *ca, const char *common_name,
                  const char *const *organizations, size_t organization_count, const char *const *names,
                  size_t name_count, int days, struct io_certificate *out, struct error *err);
bool openssl_is_good(struct io *io, const struct io_certificate *ca, const struct io_certificate *certificate,
                     int days);

#endif
