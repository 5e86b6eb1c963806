/* SPDX-License-Identifier: Apache-2.0 */
#include "door/kafka_quota.h"

#include <math.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"
#include "io/io.h"
#include "log/settings.h"

enum {
    WINDOWS = 11, /* as Kafka's quota.window.num; of a second */
    WINDOW_MS = 1000,
    CLIENTS_MAX = 10000, /* client ids are whatever clients say: beyond it, strangers share one state */
    REQUEST_THROTTLE_MAX_MS = WINDOW_MS,
};

static const char anonymous[] = "ANONYMOUS", default_name[] = "<default>";

const struct quota_key quota_keys[QUOTA_KINDS] = {
    [QUOTA_PRODUCE] = {"producer_byte_rate", true},
    [QUOTA_FETCH] = {"consumer_byte_rate", true},
    [QUOTA_REQUEST] = {"request_percentage", false},
};

/* --- Entities --- */

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

static void print_component(struct buf *out, const char *type, struct bytes name)
{
    buf_printf(out, "%s%s=", out->size > 0 ? "," : "", type);
    if (!name.data)
        buf_append_string(out, default_name);
    for (size_t i = 0; i < name.size; i++)
        if (is_plain(name.data[i]))
            buf_append_byte(out, name.data[i]);
        else
            buf_printf(out, "%%%02X", name.data[i]);
}

void quota_entity_print(const struct quota_entity *entity, struct buf *out)
{
    if (entity->has_user)
        print_component(out, "user", entity->user);
    if (entity->has_client)
        print_component(out, "client-id", entity->client);
}

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool parse_name(struct bytes text, struct arena *arena, struct bytes *out)
{
    *out = BYTES_NULL;
    if (bytes_equal_string(text, default_name))
        return true;
    uint8_t *name = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '%') {
            name[size++] = text.data[i];
            continue;
        }
        if (text.size - i < 3 || digit(text.data[i + 1]) < 0 || digit(text.data[i + 2]) < 0)
            return false;
        name[size++] = (uint8_t)(digit(text.data[i + 1]) << 4 | digit(text.data[i + 2]));
        i += 2;
    }
    *out = bytes_of(name, size);
    return true;
}

bool quota_entity_parse(struct bytes name, struct arena *arena, struct quota_entity *out)
{
    struct bytes component;
    *out = (struct quota_entity){0};
    while (name.size > 0 && bytes_split(&name, ',', &component)) {
        struct bytes type;
        if (bytes_find(component, 0, '=') >= component.size || !bytes_split(&component, '=', &type))
            return false;
        if (bytes_equal_string(type, "user") && !out->has_user)
            out->has_user = parse_name(component, arena, &out->user);
        else if (bytes_equal_string(type, "client-id") && !out->has_client)
            out->has_client = parse_name(component, arena, &out->client);
        else
            return false;
    }
    return out->has_user || out->has_client;
}

/* --- Which quota is a client's --- */

struct rate {
    uint64_t amounts[WINDOWS]; /* by second, as a ring */
    uint64_t second;           /* of the newest */
};

struct client {
    double bounds[QUOTA_KINDS]; /* a second; 0: none */
    bool of_user[QUOTA_KINDS];  /* all clients of the user share it */
    struct rate rates[QUOTA_KINDS];
    bool resolved;
};

struct quotas {
    struct io *io;
    struct log *log;
    bool any;
    struct map clients;
    struct client strangers;
    struct rate of_user[QUOTA_KINDS];
};

static double bound_of(const struct quotas *quotas, const struct quota_entity *entity, enum quota_kind kind)
{
    AUTO_BUF name;
    buf_init(&name, 8192);
    quota_entity_print(entity, &name);
    struct bytes value =
        settings_get(settings_find(quotas->log, "quota", buf_bytes(&name)), bytes_of_string(quota_keys[kind].name));
    AUTO_FREE(char) text = value.data ? memory_string(value) : NULL;
    double bound = text ? strtod(text, NULL) : 0;
    return kind == QUOTA_REQUEST ? bound * 1e7 : bound; /* a percent of a second in nanoseconds */
}

/* Kafka's order: the most special first. */
static void resolve(const struct quotas *quotas, struct client *client, struct bytes client_id)
{
    struct bytes user = bytes_of_string(anonymous);
    const struct quota_entity order[] = {
        {true, true, user, client_id},        {true, true, user, BYTES_NULL},
        {true, false, user, BYTES_NULL},      {true, true, BYTES_NULL, client_id},
        {true, true, BYTES_NULL, BYTES_NULL}, {true, false, BYTES_NULL, BYTES_NULL},
        {false, true, BYTES_NULL, client_id}, {false, true, BYTES_NULL, BYTES_NULL},
    };
    client->resolved = true;
    for (int kind = 0; kind < QUOTA_KINDS; kind++) {
        client->bounds[kind] = 0;
        for (size_t i = 0; i < ARRAY_SIZE(order) && client->bounds[kind] <= 0; i++) {
            client->bounds[kind] = bound_of(quotas, &order[i], (enum quota_kind)kind);
            client->of_user[kind] = !order[i].has_client;
        }
    }
}

static bool is_silent(const struct quotas *quotas, const struct client *client)
{
    uint64_t second = io_now_ms(quotas->io) / WINDOW_MS;
    for (int kind = 0; kind < QUOTA_KINDS; kind++)
        if (client->rates[kind].second + WINDOWS > second)
            return false;
    return true;
}

static void forget_silent(struct quotas *quotas)
{
    map_each (entry, &quotas->clients)
        if (is_silent(quotas, entry->value))
            free(map_remove(&quotas->clients, map_key(entry)));
}

static struct client *client_of(struct quotas *quotas, struct bytes client_id)
{
    if (!client_id.data)
        client_id = BYTES_LITERAL(""); /* not the default: nobody can set a quota for it */
    struct client *client = map_get(&quotas->clients, client_id);
    if (!client && quotas->clients.count >= CLIENTS_MAX)
        forget_silent(quotas);
    if (!client && quotas->clients.count >= CLIENTS_MAX)
        client = &quotas->strangers;
    if (!client) {
        client = NEW(struct client);
        map_put(&quotas->clients, client_id, client);
    }
    if (!client->resolved)
        resolve(quotas, client, client == &quotas->strangers ? BYTES_LITERAL("") : client_id);
    return client;
}

/* --- Rates --- */

static void advance(struct rate *rate, uint64_t second)
{
    for (size_t i = 0; i < WINDOWS && rate->second < second; i++)
        rate->amounts[++rate->second % WINDOWS] = 0;
    rate->second = second;
}

/* By how much the time measured is too short for what was counted in it. */
static uint32_t throttle_ms(const struct rate *rate, double bound, uint64_t now_ms)
{
    uint64_t total = 0;
    for (size_t i = 0; i < WINDOWS; i++)
        total += rate->amounts[i];
    double needed_ms = (double)total / bound * WINDOW_MS;
    double measured_ms = (double)((WINDOWS - 1) * WINDOW_MS + now_ms % WINDOW_MS);
    double excess_ms = ceil(needed_ms - measured_ms);
    return excess_ms <= 0 ? 0 : excess_ms > INT32_MAX ? INT32_MAX : (uint32_t)excess_ms;
}

uint32_t quotas_charge(struct quotas *quotas, struct bytes client_id, enum quota_kind kind, uint64_t amount)
{
    if (!quotas->any || amount == 0)
        return 0;
    struct client *client = client_of(quotas, client_id);
    if (client->bounds[kind] <= 0)
        return 0;
    struct rate *rate = client->of_user[kind] ? &quotas->of_user[kind] : &client->rates[kind];
    uint64_t now_ms = io_now_ms(quotas->io);
    advance(rate, now_ms / WINDOW_MS);
    rate->amounts[rate->second % WINDOWS] += amount;
    uint32_t ms = throttle_ms(rate, client->bounds[kind], now_ms);
    return kind == QUOTA_REQUEST && ms > REQUEST_THROTTLE_MAX_MS ? REQUEST_THROTTLE_MAX_MS : ms;
}

uint64_t quotas_burst(struct quotas *quotas, struct bytes client_id, enum quota_kind kind)
{
    double bound = quotas->any ? client_of(quotas, client_id)->bounds[kind] : 0;
    double burst = bound * (WINDOWS - 1);
    return bound <= 0 || burst > 1e15 ? UINT64_MAX : (uint64_t)burst + 1;
}

/* --- Life --- */

void quotas_changed(struct quotas *quotas)
{
    quotas->any = settings_first(quotas->log, "quota") != NULL;
    map_each (entry, &quotas->clients)
        ((struct client *)entry->value)->resolved = false;
    quotas->strangers.resolved = false;
}

struct quotas *quotas_new(struct io *io, struct log *log)
{
    struct quotas *quotas = NEW(struct quotas);
    *quotas = (struct quotas){.io = io, .log = log};
    quotas_changed(quotas);
    return quotas;
}

void quotas_free(struct quotas *quotas)
{
    if (!quotas)
        return;
    map_deinit(&quotas->clients, free);
    free(quotas);
}
