/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/kafka_codec.h"

#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include "base/endian.h"
#include "wire/snappy.h"

enum { CHUNK_SIZE = 64 << 10, ZSTD_WINDOW_LOG_MAX = 26 };

const char *kafka_codec_name(enum kafka_codec codec)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    return (size_t)codec < sizeof names / sizeof names[0] ? names[codec] : "unknown";
}

static bool corrupt(enum kafka_codec codec, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "%s data does not unpack", kafka_codec_name(codec));
}

static bool too_large(const struct buf *out, struct error *err)
{
    return error_set(err, ERROR_LIMIT, "records unpack to more than %zu bytes", out->size_max);
}

/* Room for some more output, at most what the maximum allows: *size. */
static uint8_t *reserve_chunk(struct buf *out, size_t *size, struct error *err)
{
    size_t left = out->size_max - out->size;
    *size = left < CHUNK_SIZE ? left : CHUNK_SIZE;
    if (left == 0)
        too_large(out, err);
    return left ? buf_reserve(out, *size) : NULL;
}

/* While output is still to come there is input left: each member ends in eight bytes of CRC and size. */
static bool inflate_all(z_stream *z, struct buf *out, struct error *err)
{
    while (z->avail_in > 0) {
        size_t room;
        z->next_out = reserve_chunk(out, &room, err);
        if (!z->next_out)
            return false;
        z->avail_out = (unsigned)room;
        int result = inflate(z, Z_NO_FLUSH);
        buf_commit(out, room - z->avail_out);
        if (result == Z_STREAM_END) {
            if (z->avail_in == 0)
                return true;
            result = inflateReset(z); /* the next member */
        }
        if (result != Z_OK)
            return corrupt(KAFKA_CODEC_GZIP, err);
    }
    return corrupt(KAFKA_CODEC_GZIP, err); /* the end never came */
}

static bool unpack_gzip(struct bytes packed, struct buf *out, struct error *err)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.data, .avail_in = (unsigned)packed.size};
    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return corrupt(KAFKA_CODEC_GZIP, err);
    bool done = inflate_all(&z, out, err);
    inflateEnd(&z);
    return done;
}

static bool unpack_snappy_block(struct bytes packed, struct buf *out, struct error *err)
{
    const char *data = (const char *)packed.data;
    size_t size;
    if (sym_snappy_uncompressed_length(data, packed.size, &size) != SNAPPY_OK)
        return corrupt(KAFKA_CODEC_SNAPPY, err);
    if (size > out->size_max - out->size)
        return too_large(out, err);
    char *to = (char *)buf_reserve(out, size);
    if (sym_snappy_uncompress(data, packed.size, to, &size) != SNAPPY_OK)
        return corrupt(KAFKA_CODEC_SNAPPY, err);
    buf_commit(out, size);
    return true;
}

/* Java's framing: magic, version and compatible version (two int32), then blocks behind their int32 sizes. */
static bool unpack_snappy(struct bytes packed, struct buf *out, struct error *err)
{
    enum { MAGIC_SIZE = 8, HEADER_SIZE = 16 };
    static const uint8_t magic[MAGIC_SIZE] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
    snappy_load();
    if (!bytes_starts_with(packed, bytes_of(magic, sizeof magic)))
        return unpack_snappy_block(packed, out, err);
    if (packed.size < HEADER_SIZE)
        return corrupt(KAFKA_CODEC_SNAPPY, err);
    for (struct bytes rest = bytes_slice(packed, HEADER_SIZE, SIZE_MAX); rest.size > 0;) {
        if (rest.size < 4)
            return corrupt(KAFKA_CODEC_SNAPPY, err);
        size_t size = get_be32(rest.data);
        if (size > rest.size - 4)
            return corrupt(KAFKA_CODEC_SNAPPY, err);
        if (!unpack_snappy_block(bytes_slice(rest, 4, size), out, err))
            return false;
        rest = bytes_slice(rest, 4 + size, SIZE_MAX);
    }
    return true;
}

static bool lz4_all(LZ4F_dctx *context, struct bytes packed, struct buf *out, struct error *err)
{
    size_t hint = 1; /* 0: a frame is complete */
    while (packed.size > 0 || hint != 0) {
        size_t taken = packed.size, given;
        uint8_t *to = reserve_chunk(out, &given, err);
        if (!to)
            return false;
        hint = LZ4F_decompress(context, to, &given, packed.data, &taken, NULL);
        if (LZ4F_isError(hint) || (taken == 0 && given == 0 && hint != 0))
            return corrupt(KAFKA_CODEC_LZ4, err);
        buf_commit(out, given);
        packed = bytes_slice(packed, taken, SIZE_MAX);
    }
    return true;
}

static bool unpack_lz4(struct bytes packed, struct buf *out, struct error *err)
{
    LZ4F_dctx *context;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        return corrupt(KAFKA_CODEC_LZ4, err);
    bool done = lz4_all(context, packed, out, err);
    LZ4F_freeDecompressionContext(context);
    return done;
}

static bool zstd_all(ZSTD_DCtx *context, struct bytes packed, struct buf *out, struct error *err)
{
    ZSTD_inBuffer in = {packed.data, packed.size, 0};
    size_t hint = 1; /* 0: a frame is complete */
    while (in.pos < in.size || hint != 0) {
        size_t room, taken = in.pos;
        uint8_t *to = reserve_chunk(out, &room, err);
        if (!to)
            return false;
        ZSTD_outBuffer part = {to, room, 0};
        hint = ZSTD_decompressStream(context, &part, &in);
        if (ZSTD_isError(hint) || (in.pos == taken && part.pos == 0 && hint != 0))
            return corrupt(KAFKA_CODEC_ZSTD, err);
        buf_commit(out, part.pos);
    }
    return true;
}

static bool unpack_zstd(struct bytes packed, struct buf *out, struct error *err)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!context)
        return corrupt(KAFKA_CODEC_ZSTD, err);
    /* The window is memory that the sender asks for. */
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    bool done = zstd_all(context, packed, out, err);
    ZSTD_freeDCtx(context);
    return done;
}

bool kafka_codec_unpack(enum kafka_codec codec, struct bytes packed, struct buf *out, struct error *err)
{
    switch (codec) {
    case KAFKA_CODEC_NONE:
        if (packed.size > out->size_max - out->size)
            return too_large(out, err);
        buf_append(out, packed);
        return true;
    case KAFKA_CODEC_GZIP:
        return unpack_gzip(packed, out, err);
    case KAFKA_CODEC_SNAPPY:
        return unpack_snappy(packed, out, err);
    case KAFKA_CODEC_LZ4:
        return unpack_lz4(packed, out, err);
    case KAFKA_CODEC_ZSTD:
        return unpack_zstd(packed, out, err);
    }
    return error_set(err, ERROR_INVALID, "unknown compression codec %d", (int)codec);
}

/* --- Packing --- */

static bool pack_gzip(int level, struct bytes plain, struct buf *out)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)plain.data, .avail_in = (unsigned)plain.size};
    if (deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    size_t room = deflateBound(&z, plain.size);
    uint8_t *to = buf_reserve(out, room);
    bool ok = false;
    if (to) {
        z.next_out = to;
        z.avail_out = (unsigned)room;
        ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
        buf_commit(out, room - z.avail_out);
    }
    deflateEnd(&z);
    return ok;
}

static bool pack_snappy(struct bytes plain, struct buf *out)
{
    enum { BLOCK_SIZE = 32 << 10 };
    static const uint8_t header[16] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    snappy_load();
    buf_append(out, bytes_of(header, sizeof header));
    while (plain.size > 0) {
        struct bytes block = bytes_slice(plain, 0, BLOCK_SIZE);
        size_t size = sym_snappy_max_compressed_length(block.size);
        uint8_t *to = buf_reserve(out, 4 + size);
        if (!to || sym_snappy_compress((const char *)block.data, block.size, (char *)to + 4, &size) != SNAPPY_OK)
            return false;
        for (int i = 0; i < 4; i++)
            to[i] = (uint8_t)(size >> (24 - 8 * i));
        buf_commit(out, 4 + size);
        plain = bytes_slice(plain, block.size, SIZE_MAX);
    }
    return true;
}

/* Kafka's Java client reads no blocks that depend on each other. */
static bool pack_lz4(int level, struct bytes plain, struct buf *out)
{
    const LZ4F_preferences_t preferences = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
        .compressionLevel = level == KAFKA_LZ4_LEVEL_DEFAULT ? 0 : level};
    size_t room = LZ4F_compressFrameBound(plain.size, &preferences);
    uint8_t *to = buf_reserve(out, room);
    size_t size = to ? LZ4F_compressFrame(to, room, plain.data, plain.size, &preferences) : 0;
    if (!to || LZ4F_isError(size))
        return false;
    buf_commit(out, size);
    return true;
}

static bool pack_zstd(int level, struct bytes plain, struct buf *out)
{
    size_t room = ZSTD_compressBound(plain.size);
    uint8_t *to = buf_reserve(out, room);
    size_t size = to ? ZSTD_compress(to, room, plain.data, plain.size, level) : 0;
    if (!to || ZSTD_isError(size))
        return false;
    buf_commit(out, size);
    return true;
}

int kafka_codec_default_level(enum kafka_codec codec)
{
    switch (codec) {
    case KAFKA_CODEC_GZIP:
        return KAFKA_GZIP_LEVEL_DEFAULT;
    case KAFKA_CODEC_LZ4:
        return KAFKA_LZ4_LEVEL_DEFAULT;
    case KAFKA_CODEC_ZSTD:
        return KAFKA_ZSTD_LEVEL_DEFAULT;
    default:
        return 0;
    }
}

bool kafka_codec_pack(enum kafka_codec codec, int level, struct bytes plain, struct buf *out, struct error *err)
{
    bool ok = true;
    switch (codec) {
    case KAFKA_CODEC_NONE:
        buf_append(out, plain);
        break;
    case KAFKA_CODEC_GZIP:
        ok = pack_gzip(level, plain, out);
        break;
    case KAFKA_CODEC_SNAPPY:
        ok = pack_snappy(plain, out);
        break;
    case KAFKA_CODEC_LZ4:
        ok = pack_lz4(level, plain, out);
        break;
    case KAFKA_CODEC_ZSTD:
        ok = pack_zstd(level, plain, out);
        break;
    default:
        return error_set(err, ERROR_INVALID, "an unknown codec");
    }
    return (ok && !out->overflowed) || error_set(err, ERROR_LIMIT, "records do not fit when they are packed again");
}
