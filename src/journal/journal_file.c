/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/journal_file.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/memory.h"
#include "journal/frame.h"

enum { SUMMED_SIZE = 64, CRC_AT = 12 };

static const uint8_t magic[8] = {'E', 'V', 'O', 'K', 'E', 'J', 'N', 'L'};

void journal_file_name(uint64_t first_lsn, char out[JOURNAL_FILE_NAME_SIZE])
{
    snprintf(out, JOURNAL_FILE_NAME_SIZE, "%020" PRIu64, first_lsn);
}

bool journal_file_parse_name(const char *name, uint64_t *first_lsn)
{
    return strlen(name) == JOURNAL_FILE_NAME_SIZE - 1 && bytes_to_u64(bytes_of_string(name), first_lsn) &&
           *first_lsn > 0;
}

static uint32_t sum(const uint8_t *header)
{
    uint8_t copy[SUMMED_SIZE];
    memcpy(copy, header, sizeof copy);
    put_le32(copy + CRC_AT, 0);
    return crc32c(0, bytes_of(copy, sizeof copy));
}

void journal_file_encode(const struct journal_file_header *header, uint8_t out[JOURNAL_FILE_HEADER_SIZE])
{
    memset(out, 0, JOURNAL_FILE_HEADER_SIZE);
    memcpy(out, magic, sizeof magic);
    put_le32(out + 8, JOURNAL_FILE_VERSION);
    put_le32(out + 16, header->mark);
    put_le64(out + 24, header->first_lsn);
    put_le32(out + 32, header->number);
    put_le32(out + CRC_AT, sum(out));
}

bool journal_file_decode(struct bytes bytes, struct journal_file_header *out, struct error *err)
{
    if (bytes.size < SUMMED_SIZE || memcmp(bytes.data, magic, sizeof magic) != 0 ||
        get_le32(bytes.data + CRC_AT) != sum(bytes.data))
        return error_set(err, ERROR_CORRUPT, "the file header does not verify");
    uint32_t version = get_le32(bytes.data + 8);
    if (version != JOURNAL_FILE_VERSION)
        return error_set(err, ERROR_UNSUPPORTED, "format %" PRIu32 " is of a newer evoke; this one knows format %d",
                         version, JOURNAL_FILE_VERSION);
    out->first_lsn = get_le64(bytes.data + 24);
    out->mark = get_le32(bytes.data + 16);
    out->number = get_le32(bytes.data + 32);
    return true;
}

bool journal_file_reader_open(struct io *io, const char *path, struct journal_file_reader *out, struct error *err)
{
    struct journal_file_reader reader = {0};
    if (!io_file_open(io, path, 0, &reader.file, err))
        return false;
    if (!io_file_size(reader.file, &reader.file_size, err) || !io_file_data_end(reader.file, &reader.size, err)) {
        io_file_close(reader.file);
        return false;
    }
    *out = reader;
    return true;
}

void journal_file_reader_close(struct journal_file_reader *reader)
{
    io_file_close(reader->file);
    free(reader->window);
    bad_sectors_deinit(&reader->bad);
    *reader = (struct journal_file_reader){0};
}

bool journal_file_reader_at(struct journal_file_reader *reader, uint64_t at, size_t size, struct bytes *out,
                            struct error *err)
{
    if (at >= reader->size)
        size = 0;
    else if (size > reader->size - at)
        size = (size_t)(reader->size - at);
    if (size == 0) {
        *out = bytes_of("", 0);
        return true;
    }
    if (at < reader->window_at || at - reader->window_at > reader->window_size ||
        reader->window_size - (at - reader->window_at) < size) {
        size_t wanted = size > JOURNAL_FILE_WINDOW_SIZE ? size : JOURNAL_FILE_WINDOW_SIZE;
        if (wanted > reader->window_capacity) {
            free(reader->window);
            reader->window = memory_new(wanted);
            reader->window_capacity = wanted;
        }
        reader->window_size = 0;
        if (!bad_sectors_read(reader->file, at, reader->window, wanted, &reader->window_size, &reader->bad, err))
            return false;
        reader->window_at = at;
        if (reader->window_size < size) /* it shrank under our eyes */
            size = reader->window_size;
    }
    *out = bytes_of(reader->window + (at - reader->window_at), size);
    return true;
}

/* All zero: the first byte is, and each equals the one before it. */
static bool is_zero(struct bytes bytes)
{
    return bytes.size == 0 || (bytes.data[0] == 0 && memcmp(bytes.data, bytes.data + 1, bytes.size - 1) == 0);
}

/* Raises *end to behind the last frame that seems to begin in the window, which stands at `at` and is aligned. */
static void note_frames(struct bytes window, uint64_t at, uint32_t mark, uint64_t *end)
{
    for (size_t i = 0; i + FRAME_HEADER_SIZE <= window.size; i += FRAME_ALIGNMENT) {
        if (get_le32(window.data + i + FRAME_MARK_AT) != mark)
            continue;
        size_t size = frame_peek(bytes_slice(window, i, FRAME_HEADER_SIZE), mark);
        if (size > 0 && at + i + size > *end)
            *end = at + i + size;
    }
}

/* Windows overlap, so that no frame's start is cut in two. */
bool journal_file_reader_find_end(struct journal_file_reader *reader, uint64_t from, uint32_t mark, uint64_t *end,
                                  struct error *err)
{
    *end = from;
    struct bytes window;
    for (uint64_t at = from; at < reader->size; at += window.size - FRAME_HEADER_SIZE) {
        if (!journal_file_reader_at(reader, at, JOURNAL_FILE_WINDOW_SIZE, &window, err))
            return false;
        if (!is_zero(window))
            note_frames(window, at, mark, end);
        if (window.size < JOURNAL_FILE_WINDOW_SIZE)
            break;
    }
    if (*end > reader->size && reader->size > from)
        *end = reader->size;
    return true;
}

bool journal_file_reader_find_content(struct journal_file_reader *reader, uint64_t from, bool *found, struct error *err)
{
    *found = false;
    struct bytes window;
    for (uint64_t at = from; at < reader->size && !*found; at += window.size) {
        if (!journal_file_reader_at(reader, at, JOURNAL_FILE_WINDOW_SIZE, &window, err))
            return false;
        if (window.size == 0)
            break;
        *found = !is_zero(window) || bad_sectors_find(&reader->bad, at, at + window.size);
    }
    return true;
}
