/* SPDX-License-Identifier: Apache-2.0 */
#include "tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct counted {
    char name[TALLY_NAME_SIZE];
    uint64_t times, seeds;
    uint64_t last_seed;
};

/* Shared with the processes of the seeds, which run one after the other. */
static struct table {
    uint64_t seed;
    uint64_t count, dropped;
    struct counted counted[TALLY_NAMES_MAX];
} * table;

void tally_on(void)
{
    void *memory = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    table = memory == MAP_FAILED ? NULL : memory;
}

void tally_seed(uint64_t seed)
{
    if (table)
        table->seed = seed;
}

static struct counted *find(const char *what)
{
    char name[TALLY_NAME_SIZE];
    snprintf(name, sizeof name, "%s", what);
    for (uint64_t i = 0; i < table->count; i++)
        if (strcmp(table->counted[i].name, name) == 0)
            return &table->counted[i];
    if (table->count == TALLY_NAMES_MAX)
        return NULL;
    struct counted *made = &table->counted[table->count++];
    memcpy(made->name, name, sizeof name);
    return made;
}

void tally_add(const char *what, uint64_t times)
{
    if (!table || times == 0)
        return;
    struct counted *counted = find(what);
    if (!counted) {
        table->dropped++;
        return;
    }
    counted->times += times;
    counted->seeds += counted->last_seed != table->seed;
    counted->last_seed = table->seed;
}

void tally(const char *what)
{
    tally_add(what, 1);
}

void tally_message(const char *folder, const char *message)
{
    char what[TALLY_NAME_SIZE];
    int size = (int)strcspn(message, ":");
    if (!table)
        return;
    snprintf(what, sizeof what, "evoke: %s: %.*s", folder, size, message);
    tally(what);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct counted *)a)->name, ((const struct counted *)b)->name);
}

void tally_print(void)
{
    if (!table)
        return;
    qsort(table->counted, table->count, sizeof *table->counted, by_name);
    for (uint64_t i = 0; i < table->count; i++)
        printf("%10" PRIu64 " in %4" PRIu64 " seeds  %s\n", table->counted[i].times, table->counted[i].seeds,
               table->counted[i].name);
    if (table->dropped)
        printf("%10" PRIu64 " were not counted: more than %d names\n", table->dropped, TALLY_NAMES_MAX);
}
