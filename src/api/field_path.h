/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in an object a walk stands, as Kubernetes writes it: spec.containers[0].ports[1].name, data[key]. A path that
 * is too long for its room is cut: it is for people.
 *
 *     size_t mark = field_path_push(&path, "spec");
 *     ... path.text ...
 *     field_path_cut(&path, mark);
 */
#ifndef API_FIELD_PATH_H
#define API_FIELD_PATH_H

#include <stddef.h>

#include "base/bytes.h"

struct field_path {
    char text[256];
    size_t size;
};

/* Each returns what cut() takes to undo it. */
size_t field_path_push(struct field_path *path, const char *name);
size_t field_path_push_index(struct field_path *path, size_t index);
size_t field_path_push_key(struct field_path *path, const char *key);
void field_path_cut(struct field_path *path, size_t mark);

#endif
