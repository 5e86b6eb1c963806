/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML 1.2 text to JSON values, with the lines they stood on, so that a message about a field can begin with
 * "shop.yaml:12: ". libfyaml stands behind it, in yaml.c alone.
 *
 * Plain scalars are typed by the core schema, with one addition that people's manifests rely on: a number with a
 * leading zero and octal digits alone ("defaultMode: 0644") is octal, as in YAML 1.1 and in the tools of Kubernetes.
 * "yes" and "on" are strings. Merge keys ("<<") work. Refused: duplicate keys, keys that are not scalars, .inf and
 * .nan, tags other than the core schema's.
 *
 * Bounded: the depth (LIMIT_JSON_DEPTH), the number of values that a text may expand to by its aliases
 * (LIMIT_JSON_VALUES), and how much in brackets may have to be read before it is known what it is (yaml_feed.h).
 */
#ifndef WIRE_YAML_H
#define WIRE_YAML_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/map.h"
#include "wire/json.h"

enum {
    YAML_SIZE_MAX = 16 << 20,
    YAML_LINES_SIZE_MAX = 8 << 20, /* of the paths of the values whose lines are kept; those behind it have none */
};

struct yaml_document {
    struct json *value;
    int line;         /* of its first value, from 1 */
    struct map lines; /* yaml.c's */
};

struct yaml {
    struct yaml_document *documents;
    size_t count;
};
#define AUTO_YAML __attribute__((cleanup(yaml_deinit), unused)) struct yaml

/* All documents of a text, without the empty ones. `name` begins the messages: "name:12: ...". ERROR_INVALID,
 * ERROR_LIMIT. */
MUST_CHECK bool yaml_parse(struct bytes text, const char *name, struct yaml *out, struct error *err);
void yaml_deinit(struct yaml *yaml); /* also zeroed memory */

/* The line, from 1, of the value at a path as Kubernetes writes them: "spec.containers[0].image",
 * "metadata.labels[a/b]" or "metadata.labels.a/b". For a path that is not there: of the nearest parent that is. */
int yaml_line(const struct yaml_document *document, const char *path);

#endif
