/* SPDX-License-Identifier: Apache-2.0 */
#include "log/fixture_disk.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static void copy_tree(const char *from, const char *to)
{
    struct stat status;
    CHECK(stat(from, &status) == 0);
    if (!S_ISDIR(status.st_mode)) {
        AUTO_BUF content;
        buf_init(&content, 256 << 20);
        fixture_read_file(from, &content);
        fixture_write_file(to, buf_bytes(&content));
        return;
    }
    CHECK(mkdir(to, 0700) == 0);
    struct dirent **names;
    int count = scandir(from, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char below_from[600], below_to[600];
        snprintf(below_from, sizeof below_from, "%s/%s", from, names[i]->d_name);
        snprintf(below_to, sizeof below_to, "%s/%s", to, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            copy_tree(below_from, below_to);
        free(names[i]);
    }
    free(names);
}

void fixture_crash(const struct fixture *fixture, struct fixture *crashed)
{
    fixture_init(crashed);
    copy_tree(fixture->directory, crashed->directory);
}

char *fixture_journal_path(const struct fixture *fixture, size_t index)
{
    return journal_fixture_path(fixture->directory, index);
}
