/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of the daemon. One table (config.c) names them; each is a flag of `evoke serve` and `evoke up`, and a
 * key of the YAML file that --config names. A flag wins over the file, the file over the default.
 */
#ifndef EVOKE_CONFIG_H
#define EVOKE_CONFIG_H

#include "base/arena.h"
#include "base/diag.h"
#include "base/error.h"
#include "evoke/flags.h"
#include "io/address.h"
#include "io/io.h"

struct config {
    /* As written by the user; NULL until config_finish() puts the defaults. */
    const char *data;
    const char *listen_kafka, *listen_api, *listen_http, *listen_admin;
    const char *advertise_kafka;
    const char *kafka_requests_size_max;
    const char *journal_file_size, *journal_size_max;
    const char *pod_cidr, *service_cidr;
    const char *log_level;
    const char *file; /* --config */

    /* What config_finish() makes of it. family IO_ADDRESS_NONE: off */
    struct io_address kafka, api, http, admin;
    uint64_t kafka_requests_bytes_max;
    uint64_t journal_file_bytes, journal_bytes_max;
    enum diag_level level;
};

enum { CONFIG_FLAGS_MAX = 24 };
/* Fills `flags` with the settings' flags, writing to `config`, and the end mark; returns how many there are. */
size_t config_flags(struct config *config, struct flag flags[CONFIG_FLAGS_MAX]);

/* Reads the file, if there is one, puts the defaults, and checks everything. Errors name the flag, or file and line. */
MUST_CHECK bool config_finish(struct config *config, struct io *io, struct arena *arena, struct error *err);

#endif
