/* SPDX-License-Identifier: Apache-2.0 */
/* See test.h. Each test is a forked child: the parent only counts. */
#include "test.h"

#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct test *tests;
static const char *running = "";
static char directory[128];
static pid_t directory_owner;

void test_register(struct test *test)
{
    test->next = tests;
    tests = test;
}

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "FAIL %s\n  %s:%d: ", running, file, line);
    vfprintf(stderr, format, args);
    va_end(args);
    if (directory[0])
        fprintf(stderr, "\n  its files are in %s", directory);
    fputc('\n', stderr);
    fflush(NULL);
    _exit(1);
}

void test_check_string(const char *file, int line, const char *got, const char *want)
{
    if (!got || strcmp(got, want) != 0)
        test_fail(file, line, "got  \"%s\"\n  want \"%s\"", got ? got : "(null)", want);
}

static void print_escaped(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size && i < 400; i++)
        fprintf(stderr, isprint(data[i]) ? "%c" : "\\x%02x", data[i]);
}

void test_check_bytes(const char *file, int line, const void *got, size_t got_size, const void *want, size_t want_size)
{
    if (got_size == want_size && (got_size == 0 || memcmp(got, want, got_size) == 0))
        return;
    fprintf(stderr, "  got  %zu bytes: ", got_size);
    print_escaped(got, got_size);
    fprintf(stderr, "\n  want %zu bytes: ", want_size);
    print_escaped(want, want_size);
    fputc('\n', stderr);
    test_fail(file, line, "bytes differ");
}

/* By whoever made it: a test may fork, and its child may be the first to ask. */
static void remove_directory(void)
{
    if (getpid() != directory_owner)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", directory, (char *)NULL);
        _exit(1);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

const char *test_dir(void)
{
    if (!directory[0]) {
        snprintf(directory, sizeof directory, "%s/evoke-test-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
        if (!mkdtemp(directory))
            test_fail(__FILE__, __LINE__, "cannot make %s", directory);
        directory_owner = getpid();
        atexit(remove_directory); /* not after test_fail(), which leaves it to be looked at */
    }
    return directory;
}

static bool selected(const struct test *test, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strstr(test->name, argv[i]))
            return true;
    return argc == 0;
}

/* A test that failed did not clean up: its processes, down to the last grandchild, have become ours. */
static void kill_what_is_left(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    for (int pid = 0; pid >= 0;) {
        FILE *children = fopen(path, "re");
        pid = -1;
        if (children && fscanf(children, "%d", &pid) == 1 && kill(pid, SIGKILL) == 0)
            waitpid(pid, NULL, 0);
        if (children)
            fclose(children);
    }
}

static bool run_forked(const struct test *test)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        test->run();
        exit(0); /* not _exit: the leak sanitizer reports from here */
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return false;
    kill_what_is_left();
    if (WIFSIGNALED(status))
        fprintf(stderr, "FAIL %s\n  ended by signal %d (%s)\n", test->name, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) > 1)
        fprintf(stderr, "FAIL %s\n  exit code %d\n", test->name, WEXITSTATUS(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    bool here = argc > 1 && strcmp(argv[1], "-d") == 0;
    int skip = here ? 2 : 1, passed = 0, failed = 0;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (struct test *test = tests; test; test = test->next) {
        if (!selected(test, argc - skip, argv + skip))
            continue;
        running = test->name;
        if (here) {
            test->run();
            passed++;
        } else if (run_forked(test)) {
            passed++;
        } else {
            failed++;
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
