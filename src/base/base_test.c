/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/crc32c.h"
#include "base/diag.h"
#include "base/endian.h"
#include "base/histogram.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/siphash.h"
#include "base/text.h"

TEST(error_wrap_puts_context_in_front)
{
    struct error err;
    CHECK(!error_sys(&err, 2, "open %s", "x"));
    CHECK(!error_wrap(&err, "journal"));
    CHECK_STR(err.message, "journal: open x: No such file or directory");
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
}

TEST(crc32c_of_the_standard_check_string)
{
    CHECK_INT(crc32c(0, BYTES_LITERAL("123456789")), 0xe3069283);
    CHECK_INT(crc32c(crc32c(0, BYTES_LITERAL("1234567")), BYTES_LITERAL("89")), 0xe3069283);
}

TEST(bytes_split_gives_empty_parts_and_ends)
{
    struct bytes rest = BYTES_LITERAL("a,,b"), part;
    CHECK(bytes_split(&rest, ',', &part));
    CHECK_BYTES(part, BYTES_LITERAL("a"));
    CHECK(bytes_split(&rest, ',', &part));
    CHECK_BYTES(part, BYTES_LITERAL(""));
    CHECK(bytes_split(&rest, ',', &part));
    CHECK_BYTES(part, BYTES_LITERAL("b"));
    CHECK(!bytes_split(&rest, ',', &part));
}

TEST(bytes_to_number_refuses_overflow_and_rubbish)
{
    int64_t i;
    uint64_t u;
    CHECK(bytes_to_i64(BYTES_LITERAL("-9223372036854775808"), &i) && i == INT64_MIN);
    CHECK(!bytes_to_i64(BYTES_LITERAL("9223372036854775808"), &i));
    CHECK(bytes_to_u64(BYTES_LITERAL("18446744073709551615"), &u) && u == UINT64_MAX);
    CHECK(!bytes_to_u64(BYTES_LITERAL("18446744073709551616"), &u));
    CHECK(!bytes_to_u64(BYTES_LITERAL(""), &u));
    CHECK(!bytes_to_u64(BYTES_LITERAL("1 "), &u));
}

TEST(numbers_in_bytes_have_their_order_and_need_no_alignment)
{
    uint8_t at[9] = {0xff, 1, 2, 3, 4, 5, 6, 7, 8}, out[9] = {0};
    CHECK_INT(get_be16(at + 1), 0x0102);
    CHECK_INT(get_be32(at + 1), 0x01020304);
    CHECK_INT(get_be64(at + 1), 0x0102030405060708);
    CHECK_INT(get_le16(at + 1), 0x0201);
    CHECK_INT(get_le32(at + 1), 0x04030201);
    CHECK_INT(get_le64(at + 1), 0x0807060504030201);
    put_be64(out + 1, 0x0102030405060708);
    CHECK_BYTES(bytes_of(out + 1, 8), bytes_of(at + 1, 8));
    put_le64(out + 1, 0x0807060504030201);
    CHECK_BYTES(bytes_of(out + 1, 8), bytes_of(at + 1, 8));
    put_be32(out + 1, 0x05060708);
    put_le16(out + 5, 0x0201);
    CHECK_BYTES(bytes_of(out + 1, 6), BYTES_LITERAL("\5\6\7\10\1\2"));
    put_be16(out + 1, 0x0304);
    put_le32(out + 3, 0x08070605);
    CHECK_BYTES(bytes_of(out + 1, 6), BYTES_LITERAL("\3\4\5\6\7\10"));
    CHECK_INT(out[0], 0);
}

TEST(buf_overflow_is_sticky_and_keeps_what_was_there)
{
    AUTO_BUF buf;
    buf_init(&buf, 5);
    buf_append_string(&buf, "abc");
    buf_append_string(&buf, "def");
    buf_append_string(&buf, "g");
    CHECK(buf.overflowed);
    CHECK_STR(buf_string(&buf), "abc");
}

TEST(arena_refuses_beyond_its_maximum)
{
    AUTO_ARENA arena;
    arena_init(&arena, 100);
    CHECK(arena_alloc(&arena, 64));
    CHECK(!arena_alloc(&arena, 64));
    CHECK(!arena_alloc_array(&arena, SIZE_MAX / 2, 4));
    arena_reset(&arena);
    CHECK(arena_alloc(&arena, 64));
}

static int height(const struct map_entry *entry)
{
    if (!entry)
        return 0;
    int left = height(entry->child[0]), right = height(entry->child[1]);
    CHECK_INT(entry->balance, right - left);
    CHECK(entry->balance >= -1 && entry->balance <= 1);
    return 1 + (left > right ? left : right);
}

TEST(map_stays_ordered_and_balanced_under_random_puts_and_removes)
{
    struct map map = {0};
    bool present[500] = {0};
    int value = 0;
    uint32_t random = 1;
    for (int round = 0; round < 20000; round++) {
        random = random * 1664525 + 1013904223;
        unsigned number = (random >> 8) % 500;
        char key[16];
        snprintf(key, sizeof key, "%05u", number);
        if (random >> 31) {
            void *old = map_put(&map, bytes_of_string(key), &value);
            CHECK((old != NULL) == present[number]);
            present[number] = true;
        } else {
            void *old = map_remove(&map, bytes_of_string(key));
            CHECK((old != NULL) == present[number]);
            present[number] = false;
        }
        if (round % 100 == 0)
            height(map.root);
    }
    size_t seen = 0;
    struct bytes last = BYTES_LITERAL("");
    map_each (entry, &map) {
        CHECK(bytes_compare(last, map_key(entry)) < 0);
        last = map_key(entry);
        seen++;
    }
    CHECK_INT(seen, map.count);
    map_deinit(&map, NULL);
}

TEST(a_map_is_a_set_of_keys_too)
{
    struct map map = {0};
    CHECK(map_add(&map, BYTES_LITERAL("a")));
    CHECK(map_add(&map, BYTES_LITERAL("b")));
    CHECK(!map_add(&map, BYTES_LITERAL("a")));
    CHECK(map_get(&map, BYTES_LITERAL("a")) != NULL);
    CHECK(map_get(&map, BYTES_LITERAL("c")) == NULL);
    map_deinit(&map, NULL);
}

TEST(map_at_or_after_finds_the_start_of_a_prefix)
{
    struct map map = {0};
    int value;
    map_put(&map, BYTES_LITERAL("a/1"), &value);
    map_put(&map, BYTES_LITERAL("b/1"), &value);
    CHECK_BYTES(map_key(map_at_or_after(&map, BYTES_LITERAL("a/2"))), BYTES_LITERAL("b/1"));
    CHECK(!map_at_or_after(&map, BYTES_LITERAL("c")));
    map_deinit(&map, NULL);
}

struct item {
    int number;
    struct list link;
};

TEST(list_allows_removing_the_current_element)
{
    struct list head;
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_append(&head, &items[i].link);
    int sum = 0;
    list_each (struct item, item, &head, link) {
        sum += item->number;
        list_remove(&item->link);
    }
    CHECK_INT(sum, 6);
    CHECK(list_empty(&head));
    CHECK(!list_linked(&items[1].link));
}

TEST(list_each_can_be_left_by_break)
{
    struct list head;
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_append(&head, &items[i].link);
    int seen = 0;
    list_each (struct item, item, &head, link) {
        seen = item->number;
        if (item->number == 2)
            break;
    }
    CHECK_INT(seen, 2);
}

TEST(base64_both_ways_of_every_length)
{
    AUTO_BUF text;
    AUTO_BUF back;
    buf_init(&text, 1000);
    buf_init(&back, 1000);
    uint8_t data[10] = {0xff, 0xee, 0xfb, 3, 4, 5, 6, 7, 8, 9};
    for (size_t size = 0; size <= sizeof data; size++) {
        buf_reset(&text);
        buf_reset(&back);
        text_append_base64(&text, bytes_of(data, size));
        CHECK(text_decode_base64(buf_bytes(&text), &back));
        CHECK_BYTES(buf_bytes(&back), bytes_of(data, size));
        buf_reset(&text);
        buf_reset(&back);
        text_append_base64url(&text, bytes_of(data, size));
        CHECK(text_decode_base64(buf_bytes(&text), &back));
        CHECK_BYTES(buf_bytes(&back), bytes_of(data, size));
    }
    CHECK(!text_decode_base64(BYTES_LITERAL("a"), &back));
    CHECK(!text_decode_base64(BYTES_LITERAL("a b="), &back));
}

TEST(times_parse_and_print)
{
    int64_t ns;
    char out[TEXT_TIME_SIZE];
    CHECK(text_parse_time_ns(BYTES_LITERAL("2026-11-21T10:44:27.5+01:00"), &ns));
    text_format_time_ns(ns, out);
    CHECK_STR(out, "2026-11-21T09:44:27.500000000Z");
    text_format_time_us(ns / 1000, out);
    CHECK_STR(out, "2026-11-21T09:44:27.500000Z");
    CHECK(!text_parse_time_ns(BYTES_LITERAL("2026-13-21T10:44:27Z"), &ns));
    CHECK(!text_parse_time_ns(BYTES_LITERAL("2026-11-21T10:44:27"), &ns));
}

TEST(durations_as_knative_writes_them)
{
    int64_t ms;
    CHECK(text_parse_duration_iso8601_ms(BYTES_LITERAL("PT0.5S"), &ms) && ms == 500);
    CHECK(text_parse_duration_iso8601_ms(BYTES_LITERAL("P1DT1M30S"), &ms) && ms == 86490000);
    CHECK(!text_parse_duration_iso8601_ms(BYTES_LITERAL("PT"), &ms));
    CHECK(!text_parse_duration_iso8601_ms(BYTES_LITERAL("P1M"), &ms));
    CHECK(!text_parse_duration_iso8601_ms(BYTES_LITERAL("5s"), &ms));
}

TEST(ages_as_kubectl_prints_them)
{
    static const struct {
        int64_t s;
        const char *text;
    } cases[] = {{5, "5s"},       {119, "119s"},  {180, "3m"},      {192, "3m12s"},    {2820, "47m"},
                 {18480, "5h8m"}, {93600, "26h"}, {190800, "2d5h"}, {8 * 86400, "8d"}, {740 * 86400, "2y10d"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char out[24];
        text_format_age(cases[i].s, out);
        CHECK_STR(out, cases[i].text);
    }
}

TEST(uuid_both_ways)
{
    uint8_t uuid[16];
    char out[37];
    CHECK(text_parse_uuid(BYTES_LITERAL("0b7c1d2e-3f40-4a5b-8c6d-7e8f90a1b2c3"), uuid));
    text_format_uuid(uuid, out);
    CHECK_STR(out, "0b7c1d2e-3f40-4a5b-8c6d-7e8f90a1b2c3");
    CHECK(!text_parse_uuid(BYTES_LITERAL("0b7c1d2e-3f40-4a5b-8c6d-7e8f90a1b2cg"), uuid));
}

/* --- histogram --- */

TEST(a_value_is_counted_at_the_first_bound_that_is_not_below_it)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, histogram_seconds, 0);
    histogram_add(&histogram, histogram_seconds, 0.0001);
    histogram_add(&histogram, histogram_seconds, 0.00011);
    histogram_add(&histogram, histogram_seconds, 10);
    histogram_add(&histogram, histogram_seconds, 10.5);
    CHECK_INT(histogram.counts[0], 2);
    CHECK_INT(histogram.counts[1], 1);
    CHECK_INT(histogram.counts[HISTOGRAM_BOUNDS - 1], 1);
    CHECK_INT(histogram.counts[HISTOGRAM_BOUNDS], 1);
    for (int i = 1; i < HISTOGRAM_BOUNDS; i++)
        CHECK(histogram_seconds[i - 1] < histogram_seconds[i] && histogram_bytes[i - 1] < histogram_bytes[i]);
}

TEST(siphash128_gives_the_values_of_its_authors)
{
    uint8_t key[16], data[15];
    for (uint8_t i = 0; i < 16; i++)
        key[i] = i;
    for (uint8_t i = 0; i < 15; i++)
        data[i] = i;
    struct siphash of_nothing = siphash128(key, bytes_of(data, 0));
    CHECK(of_nothing.low == 0xe6a825ba047f81a3 && of_nothing.high == 0x930255c71472f66d);
    struct siphash of_fifteen = siphash128(key, bytes_of(data, 15));
    CHECK(of_fifteen.low == 0x11a8b03399e99354 && of_fifteen.high == 0xd9c3cf970fec087e);
}

TEST(a_line_that_a_peer_can_cause_is_said_once_in_ten_seconds_and_the_rest_is_counted)
{
    struct diag_pace pace = {0};
    char more[DIAG_MORE_SIZE];
    CHECK(diag_pace(&pace, 5000, more));
    CHECK_STR(more, "");
    CHECK(!diag_pace(&pace, 5000, more));
    CHECK(!diag_pace(&pace, 14999, more));
    CHECK(diag_pace(&pace, 15000, more));
    CHECK_STR(more, " (and 2 more like it)");
    CHECK(diag_pace(&pace, 25000, more));
    CHECK_STR(more, "");
}
