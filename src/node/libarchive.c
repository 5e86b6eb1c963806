/* SPDX-License-Identifier: Apache-2.0 */
#include "node/libarchive.h"

#include <dlfcn.h>
#include <string.h>

#include "base/memory.h"

/* The interface that its headers describe since libarchive 3. */
static const char NAME[] = "libarchive.so.13";

#define LIBARCHIVE_DEFINE(name) __typeof__(name) *sym_##name;
LIBARCHIVE_FUNCTIONS(LIBARCHIVE_DEFINE)

struct symbol {
    const char *name;
    void *place; /* of a pointer to a function */
};

#define LIBARCHIVE_SYMBOL(name) {#name, (void *)&sym_##name},
static const struct symbol SYMBOLS[] = {LIBARCHIVE_FUNCTIONS(LIBARCHIVE_SYMBOL)};

bool libarchive_load(struct error *err)
{
    static void *library;
    if (library)
        return true;
    void *opened = dlopen(NAME, RTLD_NOW | RTLD_LOCAL);
    if (!opened)
        return error_set(err, ERROR_UNSUPPORTED, "reading archives needs libarchive (Debian: libarchive13): %s",
                         dlerror());
    for (size_t i = 0; i < ARRAY_SIZE(SYMBOLS); i++) {
        void *function = dlsym(opened, SYMBOLS[i].name);
        if (!function) {
            dlclose(opened);
            return error_set(err, ERROR_UNSUPPORTED, "%s has no %s", NAME, SYMBOLS[i].name);
        }
        memcpy(SYMBOLS[i].place, &function, sizeof function); /* POSIX's way from data to a function */
    }
    library = opened;
    return true;
}
