/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit test runner. A test is a sentence:
 *
 *     TEST(segment_open_rejects_a_header_cut_short) { CHECK(!segment_open(...)); }
 *
 * Tests register themselves; each runs in a process of its own, so that a crash or an assert fails one test and not
 * the run. The program prints a line per failure and ends with "N passed, N failed".
 *     test_log                all tests
 *     test_log WORD ...       those whose name contains one of the words; -d runs them in this process, for a debugger
 */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

void test_register(struct test *test);

/* Fails the running test, prints where and why, and ends its process. */
__attribute__((noreturn, format(printf, 3, 4))) void test_fail(const char *file, int line, const char *format, ...);
void test_check_bytes(const char *file, int line, const void *got, size_t got_size, const void *want, size_t want_size);
void test_check_string(const char *file, int line, const char *got, const char *want);

/* A fresh directory for the running test; removed when it passes, kept and named when it fails. */
const char *test_dir(void);

#define TEST(test_name)                                                                                                \
    static void test_name(void);                                                                                       \
    __attribute__((constructor)) static void test_name##_register(void)                                                \
    {                                                                                                                  \
        static struct test self = {.name = #test_name, .run = test_name};                                              \
        test_register(&self);                                                                                          \
    }                                                                                                                  \
    static void test_name(void)

#define CHECK(condition) ((condition) ? (void)0 : test_fail(__FILE__, __LINE__, "not true: %s", #condition))
/* For a call that reports through a struct error: prints its message. */
#define CHECK_OK(call, err) ((call) ? (void)0 : test_fail(__FILE__, __LINE__, "%s: %s", #call, (err)->message))
#define CHECK_INT(got, want)                                                                                           \
    do {                                                                                                               \
        long long got_ = (long long)(got), want_ = (long long)(want);                                                  \
        if (got_ != want_)                                                                                             \
            test_fail(__FILE__, __LINE__, "%s: got %lld, want %lld", #got, got_, want_);                               \
    } while (0)
#define CHECK_STR(got, want) test_check_string(__FILE__, __LINE__, got, want)
/* Both are struct bytes. */
#define CHECK_BYTES(got, want)                                                                                         \
    do {                                                                                                               \
        struct bytes got_ = (got), want_ = (want);                                                                     \
        test_check_bytes(__FILE__, __LINE__, got_.data, got_.size, want_.data, want_.size);                            \
    } while (0)

#endif
