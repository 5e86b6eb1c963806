/* SPDX-License-Identifier: Apache-2.0 */
/* What an image has names for: whom its program runs as (etc/passwd and etc/group), and the signal that ends it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/bundle.h"
#include "node/image_priv.h"

struct layers {
    char *const *directories;
    size_t count;
};

/* In the highest layer that has it. */
static int open_in_layers(const struct layers *layers, const char *path)
{
    int fd = -1;
    for (size_t i = layers->count; i-- > 0 && fd < 0;) {
        int root = open(layers->directories[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        fd = root >= 0 ? image_open_below(root, path, O_RDONLY, 0) : -1;
        if (root >= 0)
            close(root);
    }
    return fd;
}

/* Finds the line of etc/passwd or etc/group whose first field is `name` (or whose third is `number`). */
static bool find_line(const struct layers *layers, const char *path, const char *name, struct bytes fields[7],
                      char line[1024])
{
    int fd = open_in_layers(layers, path);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    bool found = false;
    while (file && !found && fgets(line, 1024, file)) {
        struct bytes rest = bytes_trim(bytes_of_string(line));
        memset(fields, 0, 7 * sizeof *fields);
        for (size_t i = 0; i < 7 && bytes_split(&rest, ':', &fields[i]); i++)
            ;
        found = bytes_equal_string(fields[0], name) || bytes_equal_string(fields[2], name);
    }
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    return found;
}

static bool as_id(struct bytes text, uint32_t *id)
{
    uint64_t number;
    if (!bytes_to_u64(text, &number) || number >= UINT32_MAX)
        return false;
    *id = (uint32_t)number;
    return true;
}

bool bundle_resolve_user(char *const *directories, size_t layer_count, const char *user, uint32_t *uid, uint32_t *gid,
                         char home[256], struct error *err)
{
    const struct layers layers = {directories, layer_count};
    struct bytes fields[7], rest = bytes_of_string(user), name = BYTES_NULL;
    char line[1024];
    *uid = *gid = 0;
    snprintf(home, 256, "/");
    bytes_split(&rest, ':', &name);
    AUTO_FREE(char) name_text = memory_string(name.size ? name : BYTES_LITERAL("0"));
    bool numeric = as_id(bytes_of_string(name_text), uid);
    if (find_line(&layers, "etc/passwd", name_text, fields, line)) {
        if (!as_id(fields[2], uid) || !as_id(fields[3], gid))
            return error_set(err, ERROR_INVALID, "user %s of the image's /etc/passwd has no number", name_text);
        snprintf(home, 256, BYTES_FORMAT, BYTES_ARGS(bytes_slice(fields[5], 0, 250)));
    } else if (!numeric) {
        return error_set(err, ERROR_INVALID, "user %s is not in the image's /etc/passwd", name_text);
    }
    if (!rest.data || rest.size == 0)
        return true;
    AUTO_FREE(char) group = memory_string(rest);
    if (as_id(rest, gid) || (find_line(&layers, "etc/group", group, fields, line) && as_id(fields[2], gid)))
        return true;
    return error_set(err, ERROR_INVALID, "group %s is not in the image's /etc/group", group);
}

static struct bytes without(struct bytes text, struct bytes prefix)
{
    return bytes_starts_with(text, prefix) ? bytes_slice(text, prefix.size, SIZE_MAX) : text;
}

int bundle_signal(const char *name)
{
    struct bytes whole = bytes_of_string(name), text = without(whole, BYTES_LITERAL("SIG"));
    struct bytes real_time = without(text, BYTES_LITERAL("RTMIN+"));
    uint64_t number;
    if (bytes_to_u64(whole, &number))
        return number > 0 && number < NSIG ? (int)number : 0;
    for (int i = 1; i < SIGRTMIN; i++)
        if (sigabbrev_np(i) && bytes_equal_string(text, sigabbrev_np(i)))
            return i;
    if (real_time.size < text.size && bytes_to_u64(real_time, &number) && number <= (uint64_t)(SIGRTMAX - SIGRTMIN))
        return SIGRTMIN + (int)number;
    return bytes_equal_string(text, "RTMIN") ? SIGRTMIN : 0;
}
