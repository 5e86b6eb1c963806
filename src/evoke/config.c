/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/config.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "control/service_ip.h"
#include "io/file.h"
#include "node/network.h"
#include "wire/yaml.h"

#define SETTING(member) offsetof(struct config, member)

const struct flag config_file_flags[] = {
    {"config", "FILE", "settings as YAML, with the names of the flags below; a flag wins over the file", SETTING(file),
     'f', FLAG_TEXT},
    {0},
};

/* All are texts: config_finish() makes something of them. */
const struct flag config_flags[] = {
    {"data", "DIR", "where everything is kept (default: $EVOKE_DATA, /var/lib/evoke or ~/.local/share/evoke)",
     SETTING(data)},
    {"listen-kafka", "ADDR:PORT", "Kafka protocol, or off (default 127.0.0.1:9092)", SETTING(listen_kafka)},
    {"listen-api", "ADDR:PORT", "Kubernetes API over TLS, or off (default 127.0.0.1:6443)", SETTING(listen_api)},
    {"listen-http", "ADDR:PORT", "CloudEvents over HTTP, or off (default 127.0.0.1:8080)", SETTING(listen_http)},
    {"listen-admin", "ADDR:PORT", "/healthz and /metrics, or off (default 127.0.0.1:9644)", SETTING(listen_admin)},
    {"advertise-kafka", "HOST:PORT", "what Kafka clients are told to connect to (default: the address they came by)",
     SETTING(advertise_kafka)},
    {"kafka-requests-size-max", "SIZE",
     "of all Kafka requests that are being served; then none is read (default 256Mi)",
     SETTING(kafka_requests_size_max)},
    {"journal-file-size", "SIZE", "of one journal file (default 64Mi)", SETTING(journal_file_size)},
    {"journal-size-max", "SIZE", "of the whole journal; what is older moves to segments (default 512Mi)",
     SETTING(journal_size_max)},
    {"offsets-retention-minutes", "MINUTES",
     "how long committed offsets of a group without members are kept (default 10080: seven days)",
     SETTING(offsets_retention_minutes)},
    {"pod-cidr", "CIDR", "addresses of containers (default 10.88.0.0/16)", SETTING(pod_cidr)},
    {"service-cidr", "CIDR", "addresses of Services (default 10.96.0.0/16 as root, else 127.96.0.0/16)",
     SETTING(service_cidr)},
    {"log-level", "debug|info|warn|error", "what is told (default info)", SETTING(log_level), 0, FLAG_CHOICE},
    {0},
};

static const char **member_of(struct config *config, size_t at)
{
    return (const char **)(void *)((char *)config + at);
}

const char *config_default_data(void)
{
    static char path[4096];
    const char *data = getenv("EVOKE_DATA"), *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && data[0])
        return data;
    if (geteuid() == 0)
        return "/var/lib/evoke";
    if (xdg && xdg[0])
        snprintf(path, sizeof path, "%s/evoke", xdg);
    else
        snprintf(path, sizeof path, "%s/.local/share/evoke", home && home[0] ? home : ".");
    return path;
}

static bool finish_address(const char *name, const char *text, const char *otherwise, struct io_address *out,
                           struct error *err)
{
    if (text && strcmp(text, "off") == 0) {
        *out = (struct io_address){.family = IO_ADDRESS_NONE};
        return true;
    }
    return io_address_parse(text ? text : otherwise, out, err) || error_wrap(err, "--%s", name);
}

/* "67108864", "64Mi", "4Gi", "10G": as Kubernetes writes quantities, whole numbers only. */
static bool finish_size(const char *name, const char *text, uint64_t otherwise, uint64_t *out, struct error *err)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {{"Ki", 1ull << 10}, {"Mi", 1ull << 20}, {"Gi", 1ull << 30}, {"Ti", 1ull << 40},
                 {"k", 1000},        {"M", 1000000},     {"G", 1000000000},  {"T", 1000000000000ull}};
    *out = otherwise;
    if (!text)
        return true;
    struct bytes number = bytes_of_string(text);
    uint64_t factor = 1;
    for (size_t i = 0; i < ARRAY_SIZE(units) && factor == 1; i++) {
        struct bytes suffix = bytes_of_string(units[i].suffix);
        if (bytes_ends_with(number, suffix)) {
            number.size -= suffix.size;
            factor = units[i].factor;
        }
    }
    if (!bytes_to_u64(number, out) || *out == 0 || __builtin_mul_overflow(*out, factor, out))
        return error_set(err, ERROR_INVALID, "--%s: \"%s\" is not a size such as 64Mi or 4Gi", name, text);
    return true;
}

static bool finish_minutes(const char *name, const char *text, uint64_t *out_ms, struct error *err)
{
    enum { MINUTE_MS = 60000, MINUTES_MAX = 100 * 366 * 24 * 60 };
    uint64_t minutes = 0;
    if (text && (!bytes_to_u64(bytes_of_string(text), &minutes) || minutes == 0 || minutes > MINUTES_MAX))
        return error_set(err, ERROR_INVALID, "--%s: must be 1 to %d, not \"%s\"", name, MINUTES_MAX, text);
    *out_ms = minutes * MINUTE_MS; /* 0: the default */
    return true;
}

static bool finish_level(const char *text, enum diag_level *out, struct error *err)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    *out = DIAG_INFO;
    for (size_t i = 0; text && i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum diag_level)i;
            return true;
        }
    }
    return !text || error_set(err, ERROR_INVALID, "--log-level: debug, info, warn or error, not \"%s\"", text);
}

static const struct flag *find_setting(const char *name)
{
    for (const struct flag *setting = config_flags; setting->name; setting++)
        if (strcmp(setting->name, name) == 0)
            return setting;
    return NULL;
}

/* Takes the file's settings where no flag was given. All are scalars; numbers are taken as they are written. */
static bool take_settings(struct config *config, const struct yaml_document *document, struct arena *arena,
                          struct error *err)
{
    json_object_each (member, document->value) {
        const struct flag *setting = find_setting(member.key);
        const char *text = json_text(member.value);
        int line = yaml_line(document, member.key);
        if (!setting)
            return error_set(err, ERROR_INVALID,
                             "%s:%d: unknown setting \"%s\"; settings have the names of the flags without dashes in "
                             "front, as in \"listen-kafka: 127.0.0.1:9092\": \"evoke serve --help\" lists them",
                             config->file, line, member.key);
        if (json_is_int(member.value))
            text = arena_printf(arena, "%lld", (long long)json_int(member.value, 0));
        else if (json_type(member.value) == JSON_FALSE) /* "off" is false to some YAML writers */
            text = "off";
        if (!text)
            return error_set(err, ERROR_INVALID, "%s:%d: %s: must be a text", config->file, line, member.key);
        const char **out = member_of(config, setting->at);
        if (*out)
            continue;
        *out = arena_string(arena, bytes_of_string(text));
        config->lines[setting - config_flags] = line;
    }
    return true;
}

static bool read_file(struct config *config, struct io *io, struct arena *arena, struct error *err)
{
    AUTO_BUF text;
    AUTO_YAML yaml = {0};
    buf_init(&text, YAML_SIZE_MAX);
    if (!io_path_read(io, config->file, &text, err))
        return error_wrap(err, "--config");
    if (!yaml_parse(buf_bytes(&text), config->file, &yaml, err))
        return false;
    if (yaml.count == 0)
        return true;
    if (yaml.count > 1 || !json_is_object(yaml.documents[0].value))
        return error_set(err, ERROR_INVALID, "%s: must be one YAML document of settings, \"name: value\"",
                         config->file);
    return take_settings(config, &yaml.documents[0], arena, err);
}

/* An error begins with the flag, "--listen-kafka"; of a setting from the file it is to begin with the place. */
static bool locate_error(const struct config *config, struct error *err)
{
    struct bytes rest = bytes_of_string(err->message), name;
    if (!bytes_starts_with(rest, BYTES_LITERAL("--")))
        return false;
    rest = bytes_slice(rest, 2, SIZE_MAX);
    bytes_split(&rest, ':', &name);
    for (size_t i = 0; config_flags[i].name; i++) {
        if (config->lines[i] > 0 && bytes_equal_string(name, config_flags[i].name)) {
            const struct error found = *err;
            return error_set(err, found.kind, "%s:%d: %.300s", config->file, config->lines[i], found.message + 2);
        }
    }
    return false;
}

/* Whoever takes a range has its rules; that the two share no address is seen only here. */
static bool finish_ranges(const struct config *config, struct error *err)
{
    const char *pods = config->pod_cidr ? config->pod_cidr : "10.88.0.0/16";
    const char *services = config->service_cidr ? config->service_cidr : "10.96.0.0/16";
    struct network network;
    struct ip_range range;
    if (!network_parse("evoke0", pods, &network, err))
        return error_wrap(err, "--pod-cidr");
    if (!ip_range_parse(services, &range, err))
        return error_wrap(err, "--service-cidr");
    if (range.first - network.base < network_size(&network) || network.base - range.first < range.count)
        return error_set(err, ERROR_INVALID,
                         "--%s: the pods' range %s and the services' range %s have addresses in common",
                         config->pod_cidr ? "pod-cidr" : "service-cidr", pods, services);
    return true;
}

static bool finish(struct config *config, struct error *err)
{
    return finish_address("listen-kafka", config->listen_kafka, "127.0.0.1:9092", &config->kafka, err) &&
           (!config->advertise_kafka ||
            broker_split(bytes_of_string(config->advertise_kafka), config->advertised_host, &config->advertised_port,
                         err) ||
            error_wrap(err, "--advertise-kafka")) &&
           finish_address("listen-api", config->listen_api, "127.0.0.1:6443", &config->api, err) &&
           finish_address("listen-http", config->listen_http, "127.0.0.1:8080", &config->http, err) &&
           finish_address("listen-admin", config->listen_admin, "127.0.0.1:9644", &config->admin, err) &&
           finish_size("kafka-requests-size-max", config->kafka_requests_size_max, 256ull << 20,
                       &config->kafka_requests_bytes_max, err) &&
           finish_size("journal-file-size", config->journal_file_size, 64ull << 20, &config->journal_file_bytes, err) &&
           finish_size("journal-size-max", config->journal_size_max, 512ull << 20, &config->journal_bytes_max, err) &&
           finish_minutes("offsets-retention-minutes", config->offsets_retention_minutes, &config->offsets_retention_ms,
                          err) &&
           finish_ranges(config, err) && finish_level(config->log_level, &config->level, err);
}

bool config_finish(struct config *config, struct io *io, struct arena *arena, struct error *err)
{
    static_assert(sizeof config_flags / sizeof config_flags[0] <= CONFIG_SETTINGS_MAX, "a line for each setting");
    if (config->file && !read_file(config, io, arena, err))
        return false;
    if (!config->data)
        config->data = config_default_data();
    if (!config->data[0])
        return error_set(err, ERROR_INVALID, "--data: must name a directory") || locate_error(config, err);
    return finish(config, err) || locate_error(config, err);
}
