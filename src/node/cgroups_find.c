/* SPDX-License-Identifier: Apache-2.0 */
/* Which hierarchies of control groups there are, where our own group is in each, and how that is written down. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/cgroups_priv.h"

/* --- What is there --- */

static FILE *open_proc(const char *proc, const char *name)
{
    char path[PATH_SIZE];
    return (size_t)snprintf(path, sizeof path, "%s/%s", proc, name) < sizeof path ? fopen(path, "re") : NULL;
}

/* mountinfo: "36 35 0:31 ROOT MOUNTPOINT options... - TYPE source SUPEROPTIONS" */
static bool find_mount(const char *proc, const char *type, const char *controller, char *mount, char *root)
{
    FILE *file = open_proc(proc, "mountinfo");
    if (!file)
        return false;
    char line[8192], options[1024], kind[64];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        const char *dash = strstr(line, " - ");
        if (!dash || sscanf(dash, " - %63s %*s %1023s", kind, options) != 2 || strcmp(kind, type) != 0 ||
            sscanf(line, "%*s %*s %*s %4095s %4095s", root, mount) != 2)
            continue;
        if (!controller) {
            found = true;
            break;
        }
        struct bytes rest = bytes_of_string(options), part;
        while (bytes_split(&rest, ',', &part))
            found = found || bytes_equal_string(part, controller);
    }
    fclose(file);
    return found;
}

/* /proc/self/cgroup: "ID:CONTROLLERS:PATH"; v2 is "0::PATH". */
static bool find_own(const char *proc, const char *controller, char *own)
{
    FILE *file = open_proc(proc, "cgroup");
    if (!file)
        return false;
    char line[8192];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        struct bytes rest = bytes_trim(bytes_of_string(line)), id, controllers, part;
        if (!bytes_split(&rest, ':', &id) || !bytes_split(&rest, ':', &controllers))
            continue;
        if (controller)
            while (bytes_split(&controllers, ',', &part))
                found = found || bytes_equal_string(part, controller);
        else
            found = controllers.size == 0;
        if (found)
            snprintf(own, PATH_SIZE, BYTES_FORMAT, BYTES_ARGS(rest));
    }
    fclose(file);
    return found;
}

/* The directory of our own group in this hierarchy. */
static char *own_directory(const char *proc, const char *type, const char *controller)
{
    AUTO_FREE(char) mount = memory_new(PATH_SIZE);
    AUTO_FREE(char) root = memory_new(PATH_SIZE);
    AUTO_FREE(char) own = memory_new(PATH_SIZE);
    if (!find_mount(proc, type, controller, mount, root) || !find_own(proc, controller, own))
        return NULL;
    const char *below = own;
    if (strcmp(root, "/") != 0 && strncmp(own, root, strlen(root)) == 0)
        below = own + strlen(root);
    char *path = memory_new(PATH_SIZE);
    if (strcmp(below, "/") == 0)
        below = "";
    if ((size_t)snprintf(path, PATH_SIZE, "%s%s", mount, below) >= PATH_SIZE)
        path[0] = 0;
    return path;
}

static char *below(const char *own)
{
    size_t size = strlen(own) + sizeof "/evoke";
    char *path = memory_new(size);
    snprintf(path, size, "%s/evoke", own);
    return path;
}

/* own/evoke, if we may make groups there; else NULL. It is made with the first pod. Takes `own`. */
static char *root_below(char *own_taken)
{
    AUTO_FREE(char) own = own_taken;
    return own && own[0] && access(own, W_OK) == 0 ? below(own) : NULL;
}

static void open_unified(struct cgroups *cgroups, const char *proc)
{
    AUTO_FREE(char) own = own_directory(proc, "cgroup2", NULL);
    AUTO_FREE(char) mount = memory_new(PATH_SIZE);
    AUTO_FREE(char) root = memory_new(PATH_SIZE);
    if (!own || !find_mount(proc, "cgroup2", NULL, mount, root))
        return;
    char *place = root_below(memory_string(bytes_of_string(own)));
    if (place && !cgroups_hand_on_controllers(own) && strcmp(own, mount) != 0) {
        char *below_mount = root_below(memory_string(bytes_of_string(mount)));
        bool better = below_mount && cgroups_hand_on_controllers(mount);
        free(better ? place : below_mount);
        place = better ? below_mount : place;
    }
    cgroups->roots[USE_V2] = place;
    if (place)
        cgroups->runc_parent = memory_string(bytes_of_string(place + strlen(mount)));
}

/* runc makes groups in every v1 hierarchy, so also in those that we have no use for. */
static void list_hierarchies(struct cgroups *cgroups, const char *proc)
{
    char line[8192];
    if (cgroups->roots[USE_V2])
        cgroups->hierarchies[cgroups->hierarchy_count++] = memory_string(bytes_of_string(cgroups->roots[USE_V2]));
    FILE *file = cgroups->unified ? NULL : open_proc(proc, "cgroup");
    while (file && cgroups->hierarchy_count < HIERARCHIES_MAX && fgets(line, sizeof line, file)) {
        struct bytes rest = bytes_of_string(line), id, controllers, controller;
        if (!bytes_split(&rest, ':', &id) || !bytes_split(&rest, ':', &controllers) || controllers.size == 0 ||
            !bytes_split(&controllers, ',', &controller))
            continue;
        AUTO_FREE(char) name = memory_string(controller);
        AUTO_FREE(char) own = own_directory(proc, "cgroup", name);
        if (own && own[0])
            cgroups->hierarchies[cgroups->hierarchy_count++] = below(own);
    }
    if (file)
        fclose(file);
}

struct cgroups *cgroups_open(const char *proc)
{
    struct cgroups *cgroups = NEW(struct cgroups);
    cgroups->roots[USE_CPU] = root_below(own_directory(proc, "cgroup", "cpu"));
    cgroups->roots[USE_MEMORY] = root_below(own_directory(proc, "cgroup", "memory"));
    cgroups->roots[USE_PIDS] = root_below(own_directory(proc, "cgroup", "pids"));
    AUTO_FREE(char) any_v1 = own_directory(proc, "cgroup", "memory");
    if (any_v1)
        cgroups->roots[USE_V2] =
            root_below(own_directory(proc, "cgroup2", NULL)); /* hybrid: only to hold and to kill */
    else
        open_unified(cgroups, proc);
    cgroups->unified = !any_v1 && cgroups->roots[USE_V2];
    list_hierarchies(cgroups, proc);
    return cgroups;
}

void cgroups_close(struct cgroups *cgroups)
{
    if (!cgroups)
        return;
    for (size_t i = 0; i < USES; i++) {
        if (cgroups->roots[i])
            rmdir(cgroups->roots[i]); /* only when no pod is in it */
        free(cgroups->roots[i]);
    }
    for (size_t i = 0; i < cgroups->hierarchy_count; i++)
        free(cgroups->hierarchies[i]);
    free(cgroups->runc_parent);
    free(cgroups);
}

/* --- On the disk --- */

static const char *const use_names[USES] = {"cpu", "memory", "pids", "v2"};

struct json *cgroups_describe(const struct cgroups *cgroups)
{
    struct json *json = json_new_object(), *hierarchies = json_new_array();
    for (size_t i = 0; i < USES; i++)
        if (cgroups->roots[i])
            json_set(json, use_names[i], json_new_text(cgroups->roots[i]));
    for (size_t i = 0; i < cgroups->hierarchy_count; i++)
        json_append(hierarchies, json_new_text(cgroups->hierarchies[i]));
    json_set(json, "hierarchies", hierarchies);
    json_set(json, "unified", json_new_bool(cgroups->unified));
    if (cgroups->runc_parent)
        json_set(json, "runcParent", json_new_text(cgroups->runc_parent));
    return json;
}

/* Only what we could have written: a directory "evoke" by its absolute path. */
static char *read_root(const struct json *value)
{
    struct bytes path = json_bytes(value);
    bool ours = bytes_starts_with(path, BYTES_LITERAL("/")) && bytes_ends_with(path, BYTES_LITERAL("/evoke")) &&
                path.size < PATH_SIZE - 200;
    return ours ? memory_string(path) : NULL;
}

struct cgroups *cgroups_restore(const struct json *json)
{
    if (!json_is_object(json))
        return NULL;
    struct cgroups *cgroups = NEW(struct cgroups);
    for (size_t i = 0; i < USES; i++)
        cgroups->roots[i] = read_root(json_get(json, use_names[i]));
    json_array_each (i, value, json_get(json, "hierarchies")) {
        char *path = cgroups->hierarchy_count < HIERARCHIES_MAX ? read_root(value) : NULL;
        if (path)
            cgroups->hierarchies[cgroups->hierarchy_count++] = path;
    }
    cgroups->unified = json_bool_at(json, "unified", false) && cgroups->roots[USE_V2];
    if (cgroups->unified)
        cgroups->runc_parent = memory_string(bytes_of_string(json_text_at(json, "runcParent", "")));
    return cgroups;
}
