/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings of files, and what happens when the disk does not give a page of one: a bad sector, or a file that was cut
 * under the mapping. The kernel sends SIGBUS to the thread that reads it, which would end the program for the sake of
 * one reader. So the page is replaced by zeros, noted as bad, and the thread goes on; whoever is about to rely on the
 * bytes asks io_map_check() first.
 *
 * A signal handler belongs to the process, and can be given nothing: so the table is global. It is filled by any
 * thread and read by the handler, without a lock: an entry counts once `end` is set, and its owner clears that before
 * the memory is unmapped. mmap(2) is a plain system call on Linux and may be made in a handler.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "io/file_priv.h"
#include "io/linux_priv.h"

enum { MAPPINGS_MAX = LINUX_MAPPINGS_MAX, BAD_PAGES_MAX = 1024, PAGE_SIZE = 4096, PAGES_PER_QUESTION = 256 };

struct entry {
    _Atomic uintptr_t begin; /* 0: free; 1: being filled */
    _Atomic uintptr_t end;   /* 0: not there (yet, or any more) */
    _Atomic bool all_bad;    /* a page of it did not fit into the table */
};

static struct {
    struct entry entries[MAPPINGS_MAX];
    _Atomic uintptr_t bad_pages[BAD_PAGES_MAX]; /* 0: free */
    _Atomic size_t bad_count;                   /* places that were ever taken: most often none */
    _Atomic bool any_bad;
} table;

static struct entry *entry_of(uintptr_t address)
{
    for (size_t i = 0; i < MAPPINGS_MAX; i++) {
        struct entry *entry = &table.entries[i];
        if (address < atomic_load(&entry->end) && address >= atomic_load(&entry->begin))
            return entry;
    }
    return NULL;
}

static void note_bad(struct entry *entry, uintptr_t page)
{
    for (size_t i = 0; i < BAD_PAGES_MAX; i++) {
        uintptr_t none = 0;
        if (atomic_compare_exchange_strong(&table.bad_pages[i], &none, page)) {
            size_t count = atomic_load(&table.bad_count);
            while (count < i + 1 && !atomic_compare_exchange_weak(&table.bad_count, &count, i + 1))
                ;
            atomic_store(&table.any_bad, true);
            return;
        }
    }
    atomic_store(&entry->all_bad, true);
    atomic_store(&table.any_bad, true);
}

/* Not a mapping of ours, or no memory: the same again, and the program ends, as it would have. */
static void give_up(int number)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(number, &standard, NULL);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    uintptr_t address = (uintptr_t)info->si_addr, page = address & ~(uintptr_t)(PAGE_SIZE - 1);
    struct entry *entry = entry_of(address);
    (void)context;
    if (!entry ||
        mmap((void *)page, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        give_up(number);
    else
        note_bad(entry, page);
    errno = saved;
}

void linux_mapping_init(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

bool linux_mapping_add(struct bytes mapping)
{
    for (size_t i = 0; i < MAPPINGS_MAX; i++) {
        struct entry *entry = &table.entries[i];
        uintptr_t none = 0;
        if (!atomic_compare_exchange_strong(&entry->begin, &none, 1))
            continue;
        atomic_store(&entry->all_bad, false);
        atomic_store(&entry->begin, (uintptr_t)mapping.data);
        atomic_store(&entry->end, (uintptr_t)mapping.data + mapping.size);
        return true;
    }
    return false;
}

void linux_mapping_remove(struct bytes mapping)
{
    struct entry *entry = entry_of((uintptr_t)mapping.data);
    if (!entry)
        return;
    uintptr_t begin = atomic_load(&entry->begin), end = atomic_load(&entry->end);
    atomic_store(&entry->end, 0);
    for (size_t i = 0, count = atomic_load(&table.bad_count); i < count; i++) {
        uintptr_t page = atomic_load(&table.bad_pages[i]);
        if (page >= begin && page < end)
            atomic_store(&table.bad_pages[i], 0);
    }
    atomic_store(&entry->begin, 0);
}

/* Reads a byte of each page: the handler notes those that are not there. */
static void touch(uintptr_t first, uintptr_t end)
{
    for (uintptr_t page = first; page < end; page += PAGE_SIZE)
        (void)*(const volatile uint8_t *)page;
}

/* The first bad page of those from `first` up to `end`; `end`: none. */
static uintptr_t first_bad(uintptr_t first, uintptr_t end)
{
    uintptr_t least = end;
    for (size_t i = 0, count = atomic_load(&table.bad_count); i < count; i++) {
        uintptr_t page = atomic_load(&table.bad_pages[i]);
        if (page >= first && page < least)
            least = page;
    }
    return least;
}

/* A file that is not ours, as far as the kernel knows, is all there for mincore(2). */
size_t linux_mapping_cached(struct io *io, struct bytes part)
{
    uintptr_t begin = (uintptr_t)part.data, end = begin + part.size;
    uintptr_t page = begin & ~(uintptr_t)(PAGE_SIZE - 1);
    (void)io;
    while (page < end) {
        unsigned char there[PAGES_PER_QUESTION];
        size_t count = (end - page + PAGE_SIZE - 1) / PAGE_SIZE, i = 0;
        if (count > PAGES_PER_QUESTION)
            count = PAGES_PER_QUESTION;
        if (mincore((void *)page, count * PAGE_SIZE, there) < 0)
            return part.size;
        while (i < count && (there[i] & 1))
            i++;
        page += i * PAGE_SIZE;
        if (i < count)
            return page > begin ? page - begin : 0;
    }
    return part.size;
}

bool linux_mapping_check(struct io *io, struct bytes part, size_t *bad_at)
{
    (void)io;
    uintptr_t begin = (uintptr_t)part.data, end = begin + part.size;
    uintptr_t first = begin & ~(uintptr_t)(PAGE_SIZE - 1);
    if (part.size == 0)
        return true;
    touch(first, end);
    if (!atomic_load(&table.any_bad))
        return true;
    const struct entry *entry = entry_of(begin);
    uintptr_t bad = entry && atomic_load(&entry->all_bad) ? first : first_bad(first, end);
    if (bad >= end)
        return true;
    *bad_at = bad > begin ? bad - begin : 0;
    return false;
}
