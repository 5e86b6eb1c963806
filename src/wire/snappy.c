/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/snappy.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The interface that its header describes since snappy 1.0. */
static const char NAME[] = "libsnappy.so.1";

#define SNAPPY_DEFINE(name) __typeof__(name) *sym_##name;
SNAPPY_FUNCTIONS(SNAPPY_DEFINE)

/* As the dynamic linker does. */
static _Noreturn void give_up(void)
{
    fprintf(stderr, "evoke: snappy data needs %s (Debian: libsnappy1v5): %s\n", NAME, dlerror());
    _Exit(127);
}

static void find(void *library, const char *name, void *place)
{
    void *function = dlsym(library, name);
    if (!function)
        give_up();
    memcpy(place, &function, sizeof function); /* POSIX's way from data to a function */
}

static void load(void)
{
    void *library = dlopen(NAME, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        give_up();
#define SNAPPY_FIND(name) find(library, #name, &sym_##name);
    SNAPPY_FUNCTIONS(SNAPPY_FIND)
}

void snappy_load(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
}
