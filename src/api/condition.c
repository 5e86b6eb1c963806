/* SPDX-License-Identifier: Apache-2.0 */
/* status.conditions, as every kind has them: a list keyed by type. */
#include "api/api.h"
#include "base/text.h"

static struct json *find_or_add(struct json *object, const char *type)
{
    struct json *conditions = json_at(object, "status.conditions");
    if (!json_is_array(conditions)) {
        conditions = json_new_array();
        json_set_at(object, "status.conditions", conditions);
    }
    json_array_each (i, condition, conditions) {
        if (bytes_equal_string(json_bytes(json_get(condition, "type")), type))
            return condition;
    }
    struct json *condition = json_new_object();
    json_set(condition, "type", json_new_text(type));
    json_append(conditions, condition);
    return condition;
}

static void set_or_remove(struct json *condition, const char *key, const char *value)
{
    if (value && *value)
        json_set(condition, key, json_new_text(value));
    else
        json_remove(condition, key);
}

void object_set_condition(struct api *api, struct json *object, const char *type, const char *status,
                          const char *reason, const char *message)
{
    struct json *condition = find_or_add(object, type);
    if (!bytes_equal_string(json_bytes(json_get(condition, "status")), status)) {
        char now[TEXT_TIME_SIZE];
        text_format_time_s(io_wall_ms(api_io(api)) / 1000, now);
        json_set(condition, "lastTransitionTime", json_new_text(now));
    }
    json_set(condition, "status", json_new_text(status));
    set_or_remove(condition, "reason", reason);
    set_or_remove(condition, "message", message);
}
