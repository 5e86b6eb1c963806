/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fuzz targets start from examples of everything: tests/corpus/kafka_message_fuzz has a frame of each API in each
 * version, tests/corpus/kafka_door_fuzz what a connection sends that makes a topic and then calls an API in its lowest
 * or highest version. With EVOKE_WRITE_CORPUS=1 in the environment, those that are missing are written.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "door/kafka_door_priv.h"
#include "door/kafka_example.h"
#include "io/file.h"

enum { LENGTH_SIZE = 4 };

struct corpus {
    struct kafka_fixture f;
    struct io *disk; /* the real one */
    struct buf content;
};

static void corpus_init(struct corpus *corpus)
{
    struct error err;
    kafka_fixture_init(&corpus->f);
    kafka_fixture_topic(&corpus->f, "orders", 1);
    corpus->disk = io_linux_new(&err);
    CHECK_OK(corpus->disk != NULL, &err);
    buf_init(&corpus->content, 1 << 20);
}

static void corpus_deinit(struct corpus *corpus)
{
    buf_deinit(&corpus->content);
    io_free(corpus->disk);
    kafka_fixture_deinit(&corpus->f);
}

/* tests/corpus/<folder>/<api in snake case>_v<version> */
static void make_path(char *path, size_t size, const char *folder, const struct kafka_api *api, int16_t version)
{
    char name[100];
    size_t used = 0;
    for (const char *c = api->name; *c && used < sizeof name - 3; c++) {
        if (isupper((unsigned char)*c) && c > api->name)
            name[used++] = '_';
        name[used++] = (char)tolower((unsigned char)*c);
    }
    name[used] = '\0';
    snprintf(path, size, "%s/tests/corpus/%s/%s_v%d", getenv("EVOKE_SOURCE") ? getenv("EVOKE_SOURCE") : ".", folder,
             name, version);
}

/* What the corpus has; `example` is what it gets if it is to be written. */
static struct bytes read_entry(struct corpus *corpus, const char *path, struct bytes example)
{
    struct error err;
    if (!io_path_exists(corpus->disk, path)) {
        if (!getenv("EVOKE_WRITE_CORPUS"))
            test_fail(__FILE__, __LINE__, "no %s: EVOKE_WRITE_CORPUS=1 writes it", path);
        CHECK_OK(io_path_write_unsynced(corpus->disk, path, example, 0644, &err), &err);
    }
    buf_reset(&corpus->content);
    CHECK_OK(io_path_read(corpus->disk, path, &corpus->content, &err), &err);
    return buf_bytes(&corpus->content);
}

/* The frame (without its length) is a request of this API in this version that can be decoded. */
static void check_frame(struct corpus *corpus, const char *path, struct bytes frame, const struct kafka_api *api,
                        int16_t version)
{
    struct error err;
    struct kafka_request_header header;
    void *request;
    if (!kafka_decode_request_header(&frame, &header, &err) || header.api != api || header.api_version != version)
        test_fail(__FILE__, __LINE__, "%s: not %s in version %d", path, api->name, version);
    if (!kafka_decode_request(&header, frame, &corpus->f.arena, &request, &err))
        test_fail(__FILE__, __LINE__, "%s: %s", path, err.message);
}

static void each_version(void (*each)(struct corpus *corpus, const struct kafka_api *api, int16_t version))
{
    struct corpus corpus;
    size_t count;
    const struct kafka_handler *handlers = kafka_handlers(&count);
    corpus_init(&corpus);
    for (size_t i = 0; i < count; i++) {
        const struct kafka_api *api = kafka_api_find(handlers[i].key);
        for (int16_t version = api->version_min; version <= api->version_max; version++)
            each(&corpus, api, version);
        arena_reset(&corpus.f.arena);
    }
    corpus_deinit(&corpus);
}

static void check_message(struct corpus *corpus, const struct kafka_api *api, int16_t version)
{
    char path[1000];
    struct bytes example = bytes_slice(kafka_example_frame(&corpus->f, api, version), LENGTH_SIZE, SIZE_MAX);
    make_path(path, sizeof path, "kafka_message_fuzz", api, version);
    check_frame(corpus, path, read_entry(corpus, path, example), api, version);
}

TEST(the_corpus_of_messages_has_every_api_in_every_version)
{
    each_version(check_message);
}

static struct bytes encode_create_topics(struct corpus *corpus)
{
    struct error err;
    struct buf out;
    struct arena *arena = &corpus->f.arena;
    struct kafka_create_topics_request *request = KAFKA_NEW(arena, kafka_create_topics_request);
    request->topics = KAFKA_NEW_ARRAY(arena, kafka_create_topics_request_topic, 1);
    request->topics_count = 1;
    request->topics[0].name = BYTES_LITERAL("orders");
    request->topics[0].num_partitions = 1;
    request->topics[0].replication_factor = 1;
    request->timeout_ms = 1000;
    buf_init(&out, 1 << 10);
    CHECK_OK(
        kafka_encode_request(kafka_api_find(KAFKA_CREATE_TOPICS), 2, 1, BYTES_LITERAL("test"), request, &out, &err),
        &err);
    struct bytes frame = arena_copy(arena, buf_bytes(&out));
    buf_deinit(&out);
    return frame;
}

/* Takes a frame off the front of what a connection sends; without its length. */
static struct bytes next_frame(const char *path, struct bytes *sent)
{
    size_t size = 0;
    for (size_t i = 0; i < LENGTH_SIZE && i < sent->size; i++)
        size = size << 8 | sent->data[i];
    if (sent->size < LENGTH_SIZE || sent->size - LENGTH_SIZE < size)
        test_fail(__FILE__, __LINE__, "%s: a frame is cut short", path);
    struct bytes frame = bytes_slice(*sent, LENGTH_SIZE, size);
    *sent = bytes_slice(*sent, LENGTH_SIZE + size, SIZE_MAX);
    return frame;
}

static void check_connection(struct corpus *corpus, const struct kafka_api *api, int16_t version)
{
    char path[1000];
    if (version != api->version_min && version != api->version_max)
        return;
    struct bytes parts[] = {encode_create_topics(corpus), kafka_example_frame(&corpus->f, api, version)};
    struct buf example;
    buf_init(&example, 1 << 20);
    buf_append(&example, parts[0]);
    buf_append(&example, parts[1]);
    make_path(path, sizeof path, "kafka_door_fuzz", api, version);
    struct bytes sent = read_entry(corpus, path, buf_bytes(&example));
    check_frame(corpus, path, next_frame(path, &sent), kafka_api_find(KAFKA_CREATE_TOPICS), 2);
    check_frame(corpus, path, next_frame(path, &sent), api, version);
    CHECK_INT(sent.size, 0);
    buf_deinit(&example);
}

TEST(the_corpus_of_connections_has_every_api_in_its_lowest_and_highest_version)
{
    each_version(check_connection);
}
