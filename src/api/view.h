/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that are views: the same objects under another group and with other names for their fields, as Events are in
 * v1 and in events.k8s.io/v1. What is stored, watched inside the program and counted is the stored kind's; the calls of
 * api.h that take a kind take a view too, and give out what is stored. Doors show it in the shape that they were asked
 * for, and bring what they are given back into the stored one.
 *
 * Fields are renamed at the top level alone (`stored=` in src/api/kinds/); what lies below has the same shape in both.
 */
#ifndef API_VIEW_H
#define API_VIEW_H

#include "api/kind.h"
#include "wire/json.h"

/* The kind whose objects are stored: itself, unless it is a view. */
static inline const struct kind *kind_stored(const struct kind *kind)
{
    return kind->stored ? kind->stored : kind;
}

/* A stored object in the shape of `kind`, in normal form; the same value when the kind is no view. A reference for the
 * caller. */
struct json *view_show(const struct kind *kind, const struct json *stored);
/* And back: an object of `kind` in the stored kind's shape, still to be decoded by that. */
struct json *view_store(const struct kind *kind, const struct json *shown);
/* A path of a view ("regarding.name") in what is stored ("involvedObject.name"), into `out`; false: the view has no
 * such field, or it does not fit. */
bool view_path(const struct kind *kind, struct bytes path, char *out, size_t size);

#endif
