/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/journal_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "test.h"

char *journal_fixture_path(const char *data_directory, size_t index)
{
    char directory[300];
    snprintf(directory, sizeof directory, "%s/journal", data_directory);
    struct dirent **names;
    int count = scandir(directory, &names, NULL, alphasort);
    char *path = NULL;
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.' && index-- == 0) {
            path = memory_new(600);
            snprintf(path, 600, "%s/%s", directory, names[i]->d_name);
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    return path;
}

void fixture_read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    uint8_t chunk[65536];
    size_t got;
    while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_append(out, bytes_of(chunk, got));
    fclose(file);
}

void fixture_write_file(const char *path, struct bytes content)
{
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK_INT(fwrite(content.data, 1, content.size, file), content.size);
    CHECK(fclose(file) == 0);
}
