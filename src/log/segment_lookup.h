/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding batches in one open segment: by its index, and by the batches' headers. On the core thread nothing here waits
 * for the disk unless it is told so (`waits`); on a helper thread it may, with files that nobody else uses.
 */
#ifndef LOG_SEGMENT_LOOKUP_H
#define LOG_SEGMENT_LOOKUP_H

#include "base/buf.h"
#include "base/list.h"
#include "io/file.h"
#include "log/segment_index.h"
#include "log/segment_reader.h"

enum { SEGMENT_PAGE_ENTRIES = 170, /* of the index, some 4 KiB */ SEGMENT_KEY_SIZE = 20 };

struct segment_open {
    struct segment_cache *cache; /* NULL: forgotten, or not known yet; it ends with its last range */
    struct list link;            /* in cache->recent */
    uint8_t key[SEGMENT_KEY_SIZE];
    int refs;     /* of ranges */
    size_t *held; /* the cache's, while there are refs */
    struct io_file *data, *index;
    uint64_t entry_count;
    struct buf built; /* the index, when the file's was no good */
    uint64_t page_at; /* the entry that the page begins with */
    size_t page_count;
    uint8_t page[SEGMENT_PAGE_ENTRIES * SEGMENT_INDEX_ENTRY_SIZE];
};

/* One reading: what the calls share. */
struct segment_lookup {
    struct io *io;
    const char *directory;
    uint64_t stream;
    const struct segment *segment;
    struct segment_open *open;
    bool waits; /* for the disk */
    bool cold;  /* out: it would have had to; the error says nothing else then */
};

/* What is asked. */
struct segment_question {
    bool by_time;
    int64_t offset, offset_limit; /* segment_read() */
    size_t size_max;
    bool with_data;       /* it is wanted in memory, not only where it lies */
    int64_t timestamp_ms; /* segment_find_time() */
};

/* Its files. Not in the cache yet; for segment_open_free(). */
MUST_CHECK bool segment_open_new(struct segment_lookup *lookup, struct error *err);
void segment_open_free(struct segment_open *open);

/* From the file's index, or from one that is made of the batches when that one is no good (which only who waits does,
 * once, and says). */
MUST_CHECK bool segment_lookup_range(struct segment_lookup *lookup, const struct segment_question *question,
                                     struct segment_range *out, struct error *err);
MUST_CHECK bool segment_lookup_time(struct segment_lookup *lookup, int64_t timestamp_ms, int64_t *offset,
                                    struct error *err);

#endif
