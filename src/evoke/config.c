/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/config.h"

#include <stddef.h>
#include <string.h>

#include "base/memory.h"
#include "evoke/command.h"
#include "io/file.h"
#include "wire/yaml.h"

#define SETTING(member) offsetof(struct config, member)

static const struct setting {
    const char *name, *value, *help;
    size_t at;
} settings[] = {
    {"data", "DIR", "where everything is kept (default: $EVOKE_DATA, /var/lib/evoke or ~/.local/share/evoke)",
     SETTING(data)},
    {"listen-kafka", "ADDR:PORT", "Kafka protocol, or off (default 127.0.0.1:9092)", SETTING(listen_kafka)},
    {"listen-api", "ADDR:PORT", "Kubernetes API over TLS, or off (default 127.0.0.1:6443)", SETTING(listen_api)},
    {"listen-http", "ADDR:PORT", "CloudEvents over HTTP, or off (default 127.0.0.1:8080)", SETTING(listen_http)},
    {"listen-admin", "ADDR:PORT", "/healthz and /metrics, or off (default 127.0.0.1:9644)", SETTING(listen_admin)},
    {"advertise-kafka", "ADDR:PORT", "what Kafka clients are told to connect to (default: where it listens)",
     SETTING(advertise_kafka)},
    {"kafka-requests-size-max", "SIZE",
     "of all Kafka requests that are being served; then none is read (default 256Mi)",
     SETTING(kafka_requests_size_max)},
    {"journal-file-size", "SIZE", "of one journal file (default 64Mi)", SETTING(journal_file_size)},
    {"journal-size-max", "SIZE", "of the whole journal; beyond it producers are refused (default 4Gi)",
     SETTING(journal_size_max)},
    {"pod-cidr", "CIDR", "addresses of containers (default 10.88.0.0/16)", SETTING(pod_cidr)},
    {"service-cidr", "CIDR", "addresses of Services (default 10.96.0.0/16 as root, else 127.96.0.0/16)",
     SETTING(service_cidr)},
    {"log-level", "LEVEL", "debug, info, warn or error (default info)", SETTING(log_level)},
};

static const char **member_of(struct config *config, size_t at)
{
    return (const char **)(void *)((char *)config + at);
}

size_t config_flags(struct config *config, struct flag flags[CONFIG_FLAGS_MAX])
{
    size_t count = 0;
    flags[count++] = (struct flag){"config", 'f', FLAG_TEXT, &config->file, "FILE", "settings as YAML, names as here"};
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
        flags[count++] = (struct flag){
            settings[i].name, 0, FLAG_TEXT, member_of(config, settings[i].at), settings[i].value, settings[i].help};
    flags[count] = (struct flag){0};
    return count;
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

static const struct setting *find_setting(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

/* Takes the file's settings where no flag was given. All are scalars; numbers are taken as they are written. */
static bool take_settings(struct config *config, const struct yaml_document *document, struct arena *arena,
                          struct error *err)
{
    json_object_each (member, document->value) {
        const struct setting *setting = find_setting(member.key);
        const char *text = json_text(member.value);
        int line = yaml_line(document, member.key);
        if (!setting)
            return error_set(err, ERROR_INVALID, "%s:%d: unknown setting \"%s\"", config->file, line, member.key);
        if (json_is_int(member.value))
            text = arena_printf(arena, "%lld", (long long)json_int(member.value, 0));
        else if (json_type(member.value) == JSON_FALSE) /* "off" is false to some YAML writers */
            text = "off";
        if (!text)
            return error_set(err, ERROR_INVALID, "%s:%d: %s: must be a text", config->file, line, member.key);
        const char **out = member_of(config, setting->at);
        if (!*out)
            *out = arena_string(arena, bytes_of_string(text));
    }
    return true;
}

static bool read_file(struct config *config, struct io *io, struct arena *arena, struct error *err)
{
    AUTO_BUF text;
    AUTO_YAML yaml = {0};
    buf_init(&text, YAML_SIZE_MAX);
    if (!io_path_read(io, config->file, &text, err) || !yaml_parse(buf_bytes(&text), config->file, &yaml, err))
        return false;
    if (yaml.count == 0)
        return true;
    if (yaml.count > 1 || !json_is_object(yaml.documents[0].value))
        return error_set(err, ERROR_INVALID, "%s: must be one YAML document of settings, \"name: value\"",
                         config->file);
    return take_settings(config, &yaml.documents[0], arena, err);
}

bool config_finish(struct config *config, struct io *io, struct arena *arena, struct error *err)
{
    if (config->file && !read_file(config, io, arena, err))
        return false;
    if (!config->data)
        config->data = command_default_data();
    return finish_address("listen-kafka", config->listen_kafka, "127.0.0.1:9092", &config->kafka, err) &&
           finish_address("listen-api", config->listen_api, "127.0.0.1:6443", &config->api, err) &&
           finish_address("listen-http", config->listen_http, "127.0.0.1:8080", &config->http, err) &&
           finish_address("listen-admin", config->listen_admin, "127.0.0.1:9644", &config->admin, err) &&
           finish_size("kafka-requests-size-max", config->kafka_requests_size_max, 256ull << 20,
                       &config->kafka_requests_bytes_max, err) &&
           finish_size("journal-file-size", config->journal_file_size, 64ull << 20, &config->journal_file_bytes, err) &&
           finish_size("journal-size-max", config->journal_size_max, 4ull << 30, &config->journal_bytes_max, err) &&
           finish_level(config->log_level, &config->level, err);
}
