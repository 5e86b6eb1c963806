/* SPDX-License-Identifier: Apache-2.0 */
/* Events, of v1 and of its view in events.k8s.io: an Event with an eventTime is one of the newer kind and has to say
 * more; through the view only such ones are made, and only how they repeat may change. */
#include "api/validation.h"
#include "base/memory.h"

enum { WORD_SIZE_MAX = 128, NOTE_SIZE_MAX = 1024 };

/* What the same field is called in the shape at hand. */
static const char *name_of(const struct validation *validation, const char *in_v1, const char *in_view)
{
    return validation->kind->stored ? in_view : in_v1;
}

static void check_word(struct validation *validation, const struct json *event, const char *name)
{
    struct bytes word = json_bytes(json_get(event, name));
    if (word.size == 0)
        validation_required(validation, name, "");
    else if (word.size > WORD_SIZE_MAX)
        validation_too_long(validation, name, WORD_SIZE_MAX);
}

static void check_newer(struct validation *validation, const struct json *event)
{
    const char *note = name_of(validation, "message", "note");
    check_word(validation, event, name_of(validation, "reportingComponent", "reportingController"));
    check_word(validation, event, "reportingInstance");
    check_word(validation, event, "action");
    check_word(validation, event, "reason");
    if (json_bytes(json_get(event, note)).size > NOTE_SIZE_MAX)
        validation_too_long(validation, note, NOTE_SIZE_MAX);
}

/* An Event lies where its object lies; those about what has no namespace, in "default" (the newer ones also in
 * "kube-system"). */
static void check_namespace(struct validation *validation, const struct json *event, bool newer)
{
    const char *object = name_of(validation, "involvedObject", "regarding");
    const struct json *given = json_get(json_get(event, object), "namespace");
    struct bytes about = json_bytes(given), own = json_bytes(json_at(event, "metadata.namespace"));
    bool shared = bytes_equal_string(own, "default") || (newer && bytes_equal_string(own, "kube-system"));
    if (about.size == 0 ? shared : newer || bytes_equal(about, own))
        return;
    size_t mark = field_path_push(&validation->path, object);
    validation_invalid(validation, "namespace", given, "does not match event.namespace");
    field_path_cut(&validation->path, mark);
}

static void check_series(struct validation *validation, const struct json *event)
{
    const struct json *series = json_get(event, "series");
    if (!series || json_int_at(series, "count", 0) >= 2)
        return;
    size_t mark = field_path_push(&validation->path, "series");
    validation_invalid(validation, "count", json_get(series, "count"), "should be at least 2");
    field_path_cut(&validation->path, mark);
}

static void check_created_view(struct validation *validation, const struct json *event)
{
    static const char *const unset[] = {"deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedCount"};
    struct bytes type = json_bytes(json_get(event, "type"));
    if (!bytes_equal_string(type, "Normal") && !bytes_equal_string(type, "Warning"))
        validation_not_supported(validation, "type", json_get(event, "type"), "Normal,Warning");
    for (size_t i = 0; i < ARRAY_SIZE(unset); i++)
        if (json_get(event, unset[i]))
            validation_invalid(validation, unset[i], json_get(event, unset[i]), "needs to be unset");
    const struct json *source = json_get(event, "deprecatedSource");
    if (json_size(source) > 0)
        validation_invalid(validation, "deprecatedSource", source, "needs to be unset");
    check_series(validation, event);
}

static void check_updated_view(struct validation *validation, const struct json *event)
{
    static const char *const fixed[] = {"eventTime",
                                        "reportingController",
                                        "reportingInstance",
                                        "action",
                                        "reason",
                                        "regarding",
                                        "related",
                                        "note",
                                        "type",
                                        "deprecatedSource",
                                        "deprecatedFirstTimestamp",
                                        "deprecatedLastTimestamp",
                                        "deprecatedCount"};
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        validation_immutable(validation, event, fixed[i]);
    if (!json_same(json_get(event, "series"), json_get(validation->old, "series")))
        check_series(validation, event);
}

void validate_event(struct validation *validation, const struct json *event)
{
    bool newer = json_bytes(json_get(event, "eventTime")).size > 0;
    check_namespace(validation, event, newer);
    if (newer)
        check_newer(validation, event);
    if (validation->kind->stored && validation->old)
        check_updated_view(validation, event);
    else if (validation->kind->stored)
        check_created_view(validation, event);
}
