/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch/filter.h"

/* Recursion below is as deep as the JSON, whose depth has a limit. */

static bool check_filter(const struct json *filter, struct error *err)
{
    json_object_each (member, filter) {
        if (strcmp(member.key, "exact") == 0 || strcmp(member.key, "prefix") == 0 || strcmp(member.key, "suffix") == 0)
            continue;
        if (strcmp(member.key, "not") == 0) {
            if (!check_filter(member.value, err))
                return false;
        } else if (strcmp(member.key, "all") == 0 || strcmp(member.key, "any") == 0) {
            json_array_each (i, part, member.value) {
                if (!check_filter(part, err))
                    return false;
            }
        } else {
            return error_set(err, ERROR_UNSUPPORTED, "spec.filters: the dialect %.40s is not supported", member.key);
        }
    }
    return true;
}

bool filter_check(const struct json *spec, struct error *err)
{
    json_array_each (i, filter, json_get(spec, "filters")) {
        if (!check_filter(filter, err))
            return false;
    }
    return true;
}

/* All attributes of the map must be there, and compare. */
static bool attributes_match(const struct json *map, const struct cloudevent *event,
                             bool (*compare)(struct bytes value, struct bytes wanted))
{
    json_object_each (member, map) {
        struct bytes value = cloudevent_get(event, member.key);
        if (!value.data || !compare(value, json_bytes(member.value)))
            return false;
    }
    return true;
}

static bool equal_or_any(struct bytes value, struct bytes wanted)
{
    return wanted.size == 0 || bytes_equal(value, wanted);
}

static bool filter_passes(const struct json *filter, const struct cloudevent *event);

static bool any_passes(const struct json *filters, const struct cloudevent *event)
{
    json_array_each (i, filter, filters) {
        if (filter_passes(filter, event))
            return true;
    }
    return json_size(filters) == 0;
}

static bool all_pass(const struct json *filters, const struct cloudevent *event)
{
    json_array_each (i, filter, filters) {
        if (!filter_passes(filter, event))
            return false;
    }
    return true;
}

static bool filter_passes(const struct json *filter, const struct cloudevent *event)
{
    const struct json *negated = json_get(filter, "not");
    return attributes_match(json_get(filter, "exact"), event, bytes_equal) &&
           attributes_match(json_get(filter, "prefix"), event, bytes_starts_with) &&
           attributes_match(json_get(filter, "suffix"), event, bytes_ends_with) &&
           all_pass(json_get(filter, "all"), event) && any_passes(json_get(filter, "any"), event) &&
           (json_is_null(negated) || !filter_passes(negated, event));
}

bool filter_matches(const struct json *spec, const struct cloudevent *event)
{
    const struct json *filters = json_get(spec, "filters");
    if (json_size(filters) > 0)
        return all_pass(filters, event);
    return attributes_match(json_at(spec, "filter.attributes"), event, equal_or_any);
}
