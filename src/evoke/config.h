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
#include "evoke/broker.h"
#include "evoke/flags.h"
#include "io/address.h"
#include "io/io.h"

enum { CONFIG_SETTINGS_MAX = 64 };

struct config {
    /* As written by the user; NULL until config_finish() puts the defaults. */
    const char *data;
    const char *listen_kafka, *listen_api, *listen_http, *listen_admin;
    const char *advertise_kafka;
    const char *kafka_requests_size_max;
    const char *journal_file_size, *journal_size_max;
    const char *offsets_retention_minutes;
    const char *pod_cidr, *service_cidr;
    const char *log_level;
    const char *file;               /* --config */
    int lines[CONFIG_SETTINGS_MAX]; /* where the file has the setting, in the order of config_flags; 0: it is not from
                                       there */

    /* What config_finish() makes of it. family IO_ADDRESS_NONE: off */
    struct io_address kafka, api, http, admin;
    char advertised_host[BROKER_HOST_SIZE]; /* to Kafka's clients; empty: where they have reached it */
    int32_t advertised_port;
    uint64_t kafka_requests_bytes_max;
    uint64_t journal_file_bytes, journal_bytes_max;
    uint64_t offsets_retention_ms; /* 0: seven days */
    enum diag_level level;
};

/* The settings' flags: a struct config is the first member of the options of those commands. */
extern const struct flag config_flags[];
/* --config */
extern const struct flag config_file_flags[];

/* $EVOKE_DATA, else /var/lib/evoke as root, else $XDG_DATA_HOME/evoke or ~/.local/share/evoke. Lives for ever. */
const char *config_default_data(void);

/* Reads the file, if there is one, puts the defaults, and checks everything. Errors name the flag, or file and line. */
MUST_CHECK bool config_finish(struct config *config, struct io *io, struct arena *arena, struct error *err);

#endif
