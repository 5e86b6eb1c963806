/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "monitor/kill.h"
#include "monitor/output.h"
#include "monitor/protocol.h"
#include "monitor/supervisor.h"
#include "test.h"

/* --- Files --- */

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return memory_string(BYTES_LITERAL(""));
    char *text = memory_new(1 << 20);
    size_t size = fread(text, 1, (1 << 20) - 1, file);
    text[size] = 0;
    fclose(file);
    return text;
}

static const char *in_dir(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

TEST(output_writes_lines_in_the_cri_format)
{
    struct output output;
    CHECK(output_open(&output, in_dir("log")));
    output_write(&output, OUTPUT_STDOUT, BYTES_LITERAL("one\ntw"), 1000000001);
    output_write(&output, OUTPUT_STDERR, BYTES_LITERAL("oops\n"), 1000000002);
    output_write(&output, OUTPUT_STDOUT, BYTES_LITERAL("o\n\nrest"), 1000000003);
    output_flush(&output, OUTPUT_STDOUT, 1000000004);
    output_close(&output);
    AUTO_FREE(char) text = read_whole(in_dir("log"));
    CHECK_STR(text, "1970-01-01T00:00:01.000000001Z stdout F one\n"
                    "1970-01-01T00:00:01.000000002Z stderr F oops\n"
                    "1970-01-01T00:00:01.000000003Z stdout F two\n"
                    "1970-01-01T00:00:01.000000003Z stdout F \n"
                    "1970-01-01T00:00:01.000000004Z stdout P rest\n");
}

TEST(output_cuts_a_long_line_into_parts_and_loses_nothing)
{
    struct output output;
    CHECK(output_open(&output, in_dir("log")));
    size_t size = OUTPUT_LINE_MAX * 2 + 5;
    AUTO_FREE(uint8_t) line = memory_new(size + 1);
    memset(line, 'x', size);
    line[size] = '\n';
    output_write(&output, OUTPUT_STDOUT, bytes_of(line, size + 1), 0);
    output_close(&output);
    AUTO_FREE(char) text = read_whole(in_dir("log"));
    size_t x = 0, partial = 0, full = 0;
    for (const char *at = text; *at; at++) {
        x += *at == 'x';
        partial += strncmp(at, " P x", 4) == 0;
        full += strncmp(at, " F x", 4) == 0;
    }
    CHECK_INT(x, size);
    CHECK_INT(partial, 2);
    CHECK_INT(full, 1);
}

TEST(output_rotates_and_keeps_five_files)
{
    struct output output;
    CHECK(output_open(&output, in_dir("log")));
    output.size_max = 100;
    for (int i = 0; i < 20; i++) {
        char line[32];
        int size = snprintf(line, sizeof line, "line %d\n", i);
        output_write(&output, OUTPUT_STDOUT, bytes_of(line, (size_t)size), 0);
    }
    output_close(&output);
    AUTO_FREE(char) newest = read_whole(in_dir("log"));
    CHECK(strstr(newest, "line 19") != NULL);
    AUTO_FREE(char) oldest = read_whole(in_dir("log.4"));
    CHECK(strstr(oldest, "line 10") != NULL);
    CHECK(access(in_dir("log.5"), F_OK) != 0);
}

/* --- Protocol --- */

TEST(protocol_carries_a_start_as_it_is)
{
    AUTO_BUF buf;
    AUTO_ARENA arena;
    buf_init(&buf, 1 << 20);
    arena_init(&arena, 0);
    const struct protocol_start start = {
        .name = "web/0",
        .flags = PROTOCOL_START_DETACHED,
        .directory = "/tmp",
        .pid_file = "p",
        .error_file = "",
        .user = UINT32_MAX,
        .group = 7,
        .oom_score_adj = 1000,
        .argv = (const char *const[]){"sh", "-c", "true", NULL},
        .environment = (const char *const[]){"A=1", NULL},
        .cgroups = (const char *const[]){NULL},
        .groups = (const char *const[]){"12", "13", NULL},
    };
    protocol_put_start(&buf, &start);
    struct bytes input = buf_bytes(&buf);
    struct protocol_frame frame;
    CHECK_INT(protocol_next(&input, &frame), 1);
    CHECK_INT(frame.type, PROTOCOL_START);
    struct protocol_start got;
    CHECK(protocol_get_start(frame.body, &arena, &got));
    CHECK_STR(got.name, "web/0");
    CHECK_STR(got.argv[2], "true");
    CHECK(got.argv[3] == NULL);
    CHECK_STR(got.environment[0], "A=1");
    CHECK_INT(got.user, UINT32_MAX);
    CHECK_INT(got.group, 7);
    CHECK_STR(got.groups[1], "13");
    CHECK(got.groups[2] == NULL);
    size_t without = frame.body.size - (4 + 2 * (4 + 2)); /* as an evoke before groups sends it */
    for (size_t size = 0; size < frame.body.size; size++)
        CHECK(protocol_get_start(bytes_slice(frame.body, 0, size), &arena, &got) == (size == without));
    CHECK(protocol_get_start(bytes_slice(frame.body, 0, without), &arena, &got));
    CHECK(got.groups == NULL);
}

TEST(protocol_refuses_frames_that_are_too_large)
{
    struct bytes input = BYTES_LITERAL("\xff\xff\xff\xff\x01");
    struct protocol_frame frame;
    CHECK_INT(protocol_next(&input, &frame), -1);
    input = BYTES_LITERAL("\x00\x00\x00\x05\x01");
    CHECK_INT(protocol_next(&input, &frame), 0);
}

/* --- The monitor, as a process of its own in the test's directory --- */

struct monitor {
    pid_t pid;
    int socket;
    struct buf in;
    struct arena arena;
};

static struct sockaddr_un socket_address(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "monitor.sock"};
    return address;
}

static void monitor_connect(struct monitor *monitor)
{
    monitor->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = socket_address();
    CHECK(connect(monitor->socket, (struct sockaddr *)&address, sizeof address) == 0);
    buf_init(&monitor->in, 1 << 24);
}

static void monitor_start(struct monitor *monitor)
{
    CHECK(chdir(test_dir()) == 0);
    CHECK(mkdir("c", 0700) == 0);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = socket_address();
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 4) == 0);
    monitor->pid = fork();
    CHECK(monitor->pid >= 0);
    if (monitor->pid == 0) {
        setsid();
        _exit(supervisor_run(listener));
    }
    close(listener);
    arena_init(&monitor->arena, 0);
    monitor_connect(monitor);
}

static void monitor_send(struct monitor *monitor, struct buf *buf)
{
    CHECK(send(monitor->socket, buf->data, buf->size, MSG_NOSIGNAL) == (ssize_t)buf->size);
    buf_reset(buf);
}

/* The next frame of this type; others are passed over. */
static struct bytes monitor_receive(struct monitor *monitor, enum protocol_type type)
{
    for (;;) {
        struct bytes input = buf_bytes(&monitor->in);
        struct protocol_frame frame;
        int more = protocol_next(&input, &frame);
        CHECK(more >= 0);
        if (more > 0) {
            struct bytes body = arena_copy(&monitor->arena, frame.body);
            buf_consume(&monitor->in, monitor->in.size - input.size);
            if (frame.type == type)
                return body;
            continue;
        }
        uint8_t *room = buf_reserve(&monitor->in, 65536);
        ssize_t n = recv(monitor->socket, room, 65536, 0);
        CHECK(n > 0);
        buf_commit(&monitor->in, (size_t)n);
    }
}

static struct protocol_task monitor_task(struct monitor *monitor, enum protocol_task_state state)
{
    for (;;) {
        struct protocol_task task;
        CHECK(protocol_get_task(monitor_receive(monitor, PROTOCOL_TASK), &monitor->arena, &task));
        if (task.state == state)
            return task;
    }
}

static void monitor_run(struct monitor *monitor, const char *name, uint32_t flags, const char *const *argv)
{
    AUTO_BUF buf;
    buf_init(&buf, 1 << 20);
    const struct protocol_start start = {
        .name = name,
        .flags = flags,
        .directory = "",
        .pid_file = "c/pid",
        .error_file = "c/error",
        .user = UINT32_MAX,
        .group = UINT32_MAX,
        .oom_score_adj = UINT32_MAX,
        .argv = argv,
        .environment = (const char *const[]){"PATH=/usr/bin:/bin", "WHAT=world", NULL},
        .cgroups = (const char *const[]){NULL},
    };
    protocol_put_start(&buf, &start);
    monitor_send(monitor, &buf);
}
#define SHELL(script) ((const char *const[]){"sh", "-c", script, NULL})

static void monitor_end(struct monitor *monitor)
{
    AUTO_BUF buf;
    buf_init(&buf, 1 << 20);
    protocol_put_numbers(&buf, PROTOCOL_END, NULL, 0);
    monitor_send(monitor, &buf);
    int status;
    CHECK(waitpid(monitor->pid, &status, 0) == monitor->pid);
    CHECK_INT(status, 0);
    close(monitor->socket);
    buf_deinit(&monitor->in);
    arena_deinit(&monitor->arena);
}

TEST(monitor_runs_a_task_and_tells_how_it_ended)
{
    struct monitor monitor;
    monitor_start(&monitor);
    monitor_run(&monitor, "c/0", 0, SHELL("echo hello $WHAT; exit 3"));
    CHECK_INT(monitor_task(&monitor, PROTOCOL_TASK_RUNNING).signal, 0);
    struct protocol_task task = monitor_task(&monitor, PROTOCOL_TASK_EXITED);
    CHECK_STR(task.name, "c/0");
    CHECK_INT(task.code, 3);
    CHECK_INT(task.signal, 0);
    CHECK(task.finished_ns >= task.started_ns);
    AUTO_FREE(char) log = read_whole(in_dir("c/0.log"));
    CHECK(strstr(log, " stdout F hello world\n") != NULL);
    AUTO_FREE(char) exit = read_whole(in_dir("c/0.exit"));
    CHECK(strncmp(exit, "3 0 ", 4) == 0);
    monitor_end(&monitor);
}

TEST(monitor_tells_why_a_command_cannot_run)
{
    struct monitor monitor;
    monitor_start(&monitor);
    monitor_run(&monitor, "c/0", 0, (const char *const[]){"no-such-command", NULL});
    struct protocol_task task = monitor_task(&monitor, PROTOCOL_TASK_FAILED);
    CHECK_INT(task.sys, ENOENT);
    CHECK_BYTES(task.text, BYTES_LITERAL("exec no-such-command: No such file or directory"));
    monitor_end(&monitor);
}

TEST(monitor_captures_what_a_command_writes)
{
    struct monitor monitor;
    monitor_start(&monitor);
    monitor_run(&monitor, "c/x", PROTOCOL_START_CAPTURE, SHELL("echo to stdout; echo to stderr >&2; kill -9 $$"));
    struct protocol_task task = monitor_task(&monitor, PROTOCOL_TASK_EXITED);
    CHECK_INT(task.signal, SIGKILL);
    CHECK_INT(task.text.size, strlen("to stdout\nto stderr\n"));
    CHECK(access(in_dir("c/x.log"), F_OK) != 0);
    monitor_end(&monitor);
}

TEST(monitor_takes_over_the_process_that_a_launcher_leaves_behind)
{
    struct monitor monitor;
    monitor_start(&monitor);
    monitor_run(&monitor, "c/0", PROTOCOL_START_DETACHED, SHELL("(echo inside; exec sleep 600) & echo $! > c/pid"));
    struct protocol_task task = monitor_task(&monitor, PROTOCOL_TASK_RUNNING);
    CHECK(task.pid > 0);
    CHECK(kill((pid_t)task.pid, SIGTERM) == 0);
    CHECK_INT(monitor_task(&monitor, PROTOCOL_TASK_EXITED).signal, SIGTERM);
    /* Even one that ends before its launcher does. It waits until its parent is gone, which would reap it. */
    monitor_run(&monitor, "c/1", PROTOCOL_START_DETACHED,
                SHELL("mkfifo c/f; sh -c '(read x; exit 5) < c/f & exec 3> c/f; echo $! > c/pid'; sleep 0.1"));
    CHECK_INT(monitor_task(&monitor, PROTOCOL_TASK_EXITED).code, 5);
    monitor_run(&monitor, "c/2", PROTOCOL_START_DETACHED, SHELL("echo the reason > c/error; exit 1"));
    CHECK_BYTES(monitor_task(&monitor, PROTOCOL_TASK_FAILED).text, BYTES_LITERAL("the reason\n"));
    monitor_end(&monitor);
}

TEST(monitor_tells_the_end_of_a_process_that_its_launcher_has_reaped)
{
    struct monitor monitor;
    monitor_start(&monitor);
    monitor_run(&monitor, "c/0", PROTOCOL_START_DETACHED, SHELL("(exit 5) & echo $! > c/pid; wait"));
    CHECK_INT(monitor_task(&monitor, PROTOCOL_TASK_EXITED).code, PROTOCOL_CODE_UNKNOWN);
    monitor_end(&monitor);
}

TEST(monitor_keeps_what_happens_while_nobody_is_connected)
{
    struct monitor monitor;
    monitor_start(&monitor);
    monitor_run(&monitor, "c/0", 0, SHELL("exit 7"));
    monitor_run(&monitor, "c/1", 0, SHELL("exec sleep 600"));
    monitor_task(&monitor, PROTOCOL_TASK_RUNNING);
    close(monitor.socket);
    buf_deinit(&monitor.in);
    usleep(50000);
    monitor_connect(&monitor);
    struct protocol_task first, second;
    CHECK(protocol_get_task(monitor_receive(&monitor, PROTOCOL_TASK), &monitor.arena, &first));
    CHECK(protocol_get_task(monitor_receive(&monitor, PROTOCOL_TASK), &monitor.arena, &second));
    CHECK_INT(first.code, 7);
    CHECK_INT(second.state, PROTOCOL_TASK_RUNNING);
    monitor_end(&monitor);
}

static bool gone(pid_t pid)
{
    for (int i = 0; i < 200; i++, usleep(10000))
        if (kill(pid, 0) != 0 && errno == ESRCH)
            return true;
    return false;
}

TEST(monitor_leaves_no_process_behind_not_even_one_that_ran_away)
{
    struct monitor monitor;
    monitor_start(&monitor);
    /* One in the background, one in a session of its own whose parents are gone. */
    monitor_run(&monitor, "c/0", 0,
                SHELL("sleep 600 & echo $! > c/one; (setsid sleep 600 & echo $! > c/two); while sleep 1; do :; done"));
    monitor_task(&monitor, PROTOCOL_TASK_RUNNING);
    pid_t one = 0, two = 0;
    for (int i = 0; i < 500 && (!one || !two); i++, usleep(10000)) {
        AUTO_FREE(char) text_one = read_whole("c/one");
        AUTO_FREE(char) text_two = read_whole("c/two");
        one = (pid_t)strtol(text_one, NULL, 10);
        two = (pid_t)strtol(text_two, NULL, 10);
    }
    CHECK(one > 0 && two > 0 && kill(one, 0) == 0 && kill(two, 0) == 0);
    monitor_end(&monitor);
    CHECK(gone(one));
    CHECK(gone(two));
}

TEST(monitor_ends_when_its_directory_is_taken_away)
{
    struct monitor monitor;
    monitor_start(&monitor);
    monitor_run(&monitor, "c/0", 0, SHELL("exec sleep 600"));
    struct protocol_task task = monitor_task(&monitor, PROTOCOL_TASK_RUNNING);
    CHECK(unlink("monitor.sock") == 0);
    int status;
    CHECK(waitpid(monitor.pid, &status, 0) == monitor.pid);
    CHECK(gone((pid_t)task.pid));
    close(monitor.socket);
    buf_deinit(&monitor.in);
    arena_deinit(&monitor.arena);
}
