/* SPDX-License-Identifier: Apache-2.0 */
/* The small CA: X.509 v3 certificates (RFC 5280) with ECDSA P-256 keys, signed with SHA-256. */
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/memory.h"
#include "io/io_priv.h"
#include "io/openssl_priv.h"
#include "io/tls_priv.h"

enum { SERIAL_SIZE = 16, BACKDATE_S = 3600, DAY_S = 24 * 3600 };

bool io_certificate_make_ca(struct io *io, const char *common_name, int days, struct io_certificate *out,
                            struct error *err)
{
    return io->engine->tls->make_ca(io, common_name, days, out, err);
}

bool io_certificate_make(struct io *io, const struct io_certificate *ca, const char *common_name,
                         const char *const *organizations, size_t organization_count, const char *const *names,
                         size_t name_count, int days, struct io_certificate *out, struct error *err)
{
    return io->engine->tls->make(io, ca, common_name, organizations, organization_count, names, name_count, days, out,
                                 err);
}

bool io_certificate_is_good(struct io *io, const struct io_certificate *ca, const struct io_certificate *certificate,
                            int days)
{
    return ca->certificate_pem && certificate->certificate_pem && certificate->key_pem &&
           io->engine->tls->is_good(io, ca, certificate, days);
}

void io_certificate_deinit(struct io_certificate *certificate)
{
    free(certificate->certificate_pem);
    if (certificate->key_pem)
        explicit_bzero(certificate->key_pem, strlen(certificate->key_pem));
    free(certificate->key_pem);
    *certificate = (struct io_certificate){0};
}

static bool fail(struct error *err)
{
    return openssl_error(err, ERROR_SYSTEM, "make a certificate");
}

static bool add_name(X509 *certificate, const char *field, const char *value, struct error *err)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    if (X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0) == 1)
        return true;
    return openssl_error(err, ERROR_INVALID, value);
}

/* Version, serial, validity, key and common name. */
static bool fill(X509 *certificate, EVP_PKEY *key, const char *common_name, int64_t now_s, int days, struct error *err)
{
    unsigned char serial[SERIAL_SIZE];
    if (RAND_bytes(serial, sizeof serial) != 1)
        return fail(err);
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive and of one length */
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    time_t from = now_s - BACKDATE_S, now = now_s;
    good = good && X509_set_version(certificate, X509_VERSION_3) == 1 &&
           X509_time_adj_ex(X509_getm_notBefore(certificate), 0, 0, &from) &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), days, 0, &now) && X509_set_pubkey(certificate, key) == 1;
    return good ? add_name(certificate, "CN", common_name, err) : fail(err);
}

static bool add_extension(X509 *certificate, X509 *issuer, int kind, const char *value, struct error *err)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    bool good = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good ? true : fail(err);
}

/* subjectAltName: addresses and DNS names. Not by a text that OpenSSL parses: a name could hold its separators. */
static bool add_alternative_names(X509 *certificate, const char *const *names, size_t count, struct error *err)
{
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    bool good = all;
    for (size_t i = 0; i < count && good; i++) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_OCTET_STRING *ip = a2i_IPADDRESS(names[i]);
        if (ip) {
            GENERAL_NAME_set0_value(name, GEN_IPADD, ip);
        } else {
            ASN1_IA5STRING *dns = ASN1_IA5STRING_new();
            good = dns && ASN1_STRING_set(dns, names[i], -1) == 1;
            GENERAL_NAME_set0_value(name, GEN_DNS, dns);
        }
        good = sk_GENERAL_NAME_push(all, name) > 0 && good;
    }
    good = good && X509_add1_ext_i2d(certificate, NID_subject_alt_name, all, 0, 0) == 1;
    GENERAL_NAMES_free(all);
    ERR_clear_error();
    return good ? true : fail(err);
}

static char *text_of(BIO *writer)
{
    char *text;
    long size = BIO_get_mem_data(writer, &text);
    return memory_string(bytes_of(text, (size_t)size));
}

static bool sign_and_export(X509 *certificate, EVP_PKEY *key, EVP_PKEY *signer, struct io_certificate *out,
                            struct error *err)
{
    AUTO_BIO certificates = BIO_new(BIO_s_mem());
    AUTO_BIO keys = BIO_new(BIO_s_mem());
    if (X509_sign(certificate, signer, EVP_sha256()) == 0 || PEM_write_bio_X509(certificates, certificate) != 1 ||
        PEM_write_bio_PKCS8PrivateKey(keys, key, NULL, NULL, 0, NULL, NULL) != 1)
        return fail(err);
    *out = (struct io_certificate){.certificate_pem = text_of(certificates), .key_pem = text_of(keys)};
    return true;
}

bool openssl_make_ca(struct io *io, const char *common_name, int days, struct io_certificate *out, struct error *err)
{
    AUTO_EVP_PKEY key = EVP_EC_gen("P-256");
    AUTO_X509 ca = X509_new();
    if (!key || !ca)
        return fail(err);
    return fill(ca, key, common_name, io_wall_ms(io) / 1000, days, err) &&
           (X509_set_issuer_name(ca, X509_get_subject_name(ca)) == 1 || fail(err)) &&
           add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE", err) &&
           add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature", err) &&
           add_extension(ca, ca, NID_subject_key_identifier, "hash", err) && sign_and_export(ca, key, key, out, err);
}

bool openssl_make(struct io *io, const struct io_certificate *ca, const char *common_name,
                  const char *const *organizations, size_t organization_count, const char *const *names,
                  size_t name_count, int days, struct io_certificate *out, struct error *err)
{
    AUTO_BIO ca_certificates = openssl_reader(bytes_of_string(ca->certificate_pem));
    AUTO_BIO ca_keys = openssl_reader(bytes_of_string(ca->key_pem));
    AUTO_X509 issuer = PEM_read_bio_X509(ca_certificates, NULL, NULL, NULL);
    AUTO_EVP_PKEY ca_key = PEM_read_bio_PrivateKey(ca_keys, NULL, NULL, NULL);
    if (!issuer || !ca_key)
        return openssl_error(err, ERROR_INVALID, "the CA's certificate and key");
    AUTO_EVP_PKEY key = EVP_EC_gen("P-256");
    AUTO_X509 certificate = X509_new();
    if (!key || !certificate)
        return fail(err);
    if (!fill(certificate, key, common_name, io_wall_ms(io) / 1000, days, err))
        return false;
    for (size_t i = 0; i < organization_count; i++)
        if (!add_name(certificate, "O", organizations[i], err))
            return false;
    return (X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 || fail(err)) &&
           add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE", err) &&
           add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature", err) &&
           add_extension(certificate, issuer, NID_ext_key_usage, name_count > 0 ? "serverAuth" : "clientAuth", err) &&
           add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always", err) &&
           (name_count == 0 || add_alternative_names(certificate, names, name_count, err)) &&
           sign_and_export(certificate, key, ca_key, out, err);
}

bool openssl_is_good(struct io *io, const struct io_certificate *ca, const struct io_certificate *certificate, int days)
{
    AUTO_BIO ca_certificates = openssl_reader(bytes_of_string(ca->certificate_pem));
    AUTO_BIO certificates = openssl_reader(bytes_of_string(certificate->certificate_pem));
    AUTO_BIO keys = openssl_reader(bytes_of_string(certificate->key_pem));
    AUTO_X509 issuer = PEM_read_bio_X509(ca_certificates, NULL, NULL, NULL);
    AUTO_X509 own = PEM_read_bio_X509(certificates, NULL, NULL, NULL);
    AUTO_EVP_PKEY key = PEM_read_bio_PrivateKey(keys, NULL, NULL, NULL);
    time_t until = io_wall_ms(io) / 1000 + (time_t)days * DAY_S;
    bool good = issuer && own && key && X509_check_private_key(own, key) == 1 &&
                X509_verify(own, X509_get0_pubkey(issuer)) == 1 && X509_cmp_time(X509_get0_notAfter(own), &until) > 0;
    ERR_clear_error();
    return good;
}
