/* SPDX-License-Identifier: Apache-2.0 */
/* What only the Linux engine can be asked: descriptors, sessions, zombies, sleep. The rest is in tests/contract/. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/process.h"
#include "io/stream.h"
#include "io/tls.h"
#include "test.h"

static struct io *linux_new(void)
{
    struct error err;
    struct io *io = io_linux_new(&err);
    CHECK_OK(io, &err);
    return io;
}

static void stop(void *ctx)
{
    io_stop(ctx);
}

static void run_for(struct io *io, uint64_t ms)
{
    struct io_timer timer;
    io_timer_init(io, &timer, stop, io);
    io_timer_start(&timer, ms);
    io_run(io);
}

/* --- Processes --- */

struct run {
    struct io *io;
    int code;
    char output[4096];
};

static void exited(void *ctx, const struct io_process_exit *exit)
{
    struct run *run = ctx;
    run->code = exit->code;
    snprintf(run->output, sizeof run->output, BYTES_FORMAT, BYTES_ARGS(exit->output));
    io_stop(run->io);
}

static void run_process(struct run *run, struct io_process_options options)
{
    struct error err;
    struct io_process *process;
    run->io = linux_new();
    CHECK_OK(io_process_spawn(run->io, &options, exited, run, &process, &err), &err);
    io_run(run->io);
    io_process_release(process);
    io_free(run->io);
}

#define SHELL(script) ((const char *const[]){"sh", "-c", script, NULL})

TEST(a_child_starts_with_a_clean_signal_state_and_only_its_descriptors)
{
    struct run run = {0};
    int fd = open("/dev/null", O_RDONLY); /* not close-on-exec, as a careless library would leave it */
    CHECK(fd >= 0);
    run_process(&run, (struct io_process_options){
                          .argv = SHELL("grep -E 'SigBlk|SigIgn' /proc/self/status; ls /proc/self/fd | tr '\\n' ' '"),
                          .output_max = 1000});
    CHECK(strstr(run.output, "SigBlk:\t0000000000000000"));
    const char *ignored = strstr(run.output, "SigIgn:\t");
    CHECK(ignored && (strtoull(ignored + 8, NULL, 16) & 0x7fffffff) == 0); /* 32 and 33 are glibc's own */
    CHECK(strstr(run.output, "0 1 2 3 "));                                 /* 3 is the directory that ls reads */
    CHECK(!strstr(run.output, "0 1 2 3 4"));
    close(fd);
}

TEST(descriptors_may_be_given_in_any_order)
{
    struct run run = {0};
    int a[2], b[2];
    char text[8] = {0};
    CHECK(pipe(a) == 0 && pipe(b) == 0);
    /* As 1 it gets b's end, as 3 a's, as 4 nothing; 0 and 2 are what the test has as 0 and 2. */
    int descriptors[] = {-1, b[1], -1, a[1], -1};
    run_process(&run, (struct io_process_options){.argv = SHELL("echo one; echo three >&3; cat <&4"),
                                                  .descriptors = descriptors,
                                                  .descriptor_count = 5});
    CHECK_INT(run.code, 0);
    CHECK_INT(read(b[0], text, sizeof text), 4);
    CHECK(memcmp(text, "one\n", 4) == 0);
    CHECK_INT(read(a[0], text, sizeof text), 6);
    CHECK(memcmp(text, "three\n", 6) == 0);
}

TEST(a_new_session_has_no_terminal_and_its_own_group)
{
    struct run run = {0};
    int pid, parent, group, session;
    run_process(&run, (struct io_process_options){.argv = (const char *const[]){"cat", "/proc/self/stat", NULL},
                                                  .output_max = 1000,
                                                  .new_session = true});
    CHECK_INT(sscanf(run.output, "%d (cat) %*c %d %d %d", &pid, &parent, &group, &session), 4);
    CHECK_INT(parent, getpid());
    CHECK_INT(group, pid);
    CHECK_INT(session, pid);
}

TEST(directory_and_environment_are_the_childs)
{
    struct run run = {0};
    run_process(&run, (struct io_process_options){.argv = SHELL("pwd; echo $GREETING$HOME"),
                                                  .directory = "/usr",
                                                  .environment = (const char *const[]){"GREETING=hello", NULL},
                                                  .output_max = 1000});
    CHECK_STR(run.output, "/usr\nhello\n");
}

TEST(a_working_directory_that_does_not_exist_is_named)
{
    struct io *io = linux_new();
    struct error err;
    struct io_process *process;
    struct io_process_options options = {.argv = SHELL("true"), .directory = "/no/such/directory"};
    CHECK(!io_process_spawn(io, &options, exited, NULL, &process, &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    CHECK(strstr(err.message, "/no/such/directory"));
    io_free(io);
}

TEST(much_output_neither_blocks_the_child_nor_is_kept_beyond_its_maximum)
{
    struct run run = {0};
    run_process(
        &run, (struct io_process_options){.argv = SHELL("head -c 1000000 /dev/zero | tr '\\0' x"), .output_max = 100});
    CHECK_INT(run.code, 0);
    CHECK_INT(strlen(run.output), 100);
}

TEST(output_does_not_wait_for_a_grandchild_that_holds_the_pipe)
{
    struct run run = {0};
    run_process(&run, (struct io_process_options){.argv = SHELL("sleep 3 & echo done"), .output_max = 100});
    CHECK_STR(run.output, "done\n");
}

TEST(a_released_child_leaves_no_zombie)
{
    struct io *io = linux_new();
    struct error err;
    struct io_process *process;
    struct io_process_options options = {.argv = SHELL("exit 0")};
    CHECK_OK(io_process_spawn(io, &options, exited, NULL, &process, &err), &err);
    int pid = io_process_pid(process);
    io_process_release(process);
    for (int i = 0; i < 100 && kill(pid, 0) == 0; i++)
        run_for(io, 10);
    CHECK(kill(pid, 0) < 0 && errno == ESRCH);
    io_free(io);
}

TEST(a_foreign_child_is_not_reaped)
{
    struct run run = {0};
    struct error err;
    struct io_process *process;
    pid_t pid = fork();
    if (pid == 0)
        _exit(5);
    run.io = linux_new();
    CHECK_OK(io_process_watch(run.io, pid, exited, &run, &process, &err), &err);
    io_run(run.io);
    CHECK_INT(run.code, -1);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
    io_process_release(process);
    io_free(run.io);
}

/* --- Descriptors run out --- */

struct guests {
    struct io *io;
    struct io_stream *stream;
    int count;
};

static void accepted(void *ctx, struct io_stream *stream)
{
    struct guests *guests = ctx;
    guests->stream = stream;
    guests->count++;
    io_stop(guests->io);
}

static struct io_address address_of(const char *text)
{
    struct io_address address;
    struct error err;
    CHECK_OK(io_address_parse(text, &address, &err), &err);
    return address;
}

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void connect_unix(int fd, const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    CHECK(connect(fd, (struct sockaddr *)&un, sizeof un) == 0);
}

TEST(an_ipv4_peer_of_a_listener_for_both_has_ipv4_addresses)
{
    struct guests guests = {.io = linux_new()};
    struct io_listener *listener;
    struct error err;
    struct io_address address = address_of("[::]:0");
    if (!io_listen(guests.io, &address, NULL, accepted, &guests, &listener, &err)) { /* a machine without IPv6 */
        io_free(guests.io);
        return;
    }
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(io_listener_address(listener).port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(client, (struct sockaddr *)&in, sizeof in) == 0);
    io_run(guests.io);
    CHECK_INT(guests.count, 1);
    struct io_address local = io_stream_local(guests.stream), peer = io_stream_peer(guests.stream);
    char text[IO_ADDRESS_TEXT_SIZE];
    io_address_format_ip(&local, text);
    CHECK_STR(text, "127.0.0.1");
    io_address_format_ip(&peer, text);
    CHECK_STR(text, "127.0.0.1");
    io_stream_close(guests.stream);
    io_listener_close(listener);
    io_free(guests.io);
    close(client);
}

TEST(without_descriptors_a_connection_waits_and_the_loop_sleeps)
{
    struct guests guests = {.io = linux_new()};
    struct io_listener *listener;
    struct error err;
    char where[200];
    snprintf(where, sizeof where, "unix:%s/s", test_dir());
    struct io_address address = address_of(where);
    CHECK_OK(io_listen(guests.io, &address, NULL, accepted, &guests, &listener, &err), &err);
    int client = socket(AF_UNIX, SOCK_STREAM, 0), taken[64];
    CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64}) == 0);
    size_t count = 0;
    while ((taken[count] = open("/dev/null", O_RDONLY)) >= 0)
        count++;
    CHECK_INT(errno, EMFILE);
    connect_unix(client, address.path);
    double before_s = cpu_s();
    run_for(guests.io, 300);
    CHECK_INT(guests.count, 0);
    CHECK(cpu_s() - before_s < 0.1); /* a loop that spins would have taken nearly all of the 300 ms */
    while (count > 0)
        close(taken[--count]);
    io_run(guests.io);
    CHECK_INT(guests.count, 1);
    io_stream_close(guests.stream);
    io_listener_close(listener);
    io_free(guests.io);
    close(client);
}

TEST(an_idle_loop_is_not_woken)
{
    struct guests guests = {.io = linux_new()};
    struct io_listener *listener;
    struct error err;
    struct io_address address = address_of("127.0.0.1:0");
    CHECK_OK(io_listen(guests.io, &address, NULL, accepted, &guests, &listener, &err), &err);
    struct io_timer far;
    io_timer_init(guests.io, &far, stop, guests.io);
    io_timer_start(&far, 3600000);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    run_for(guests.io, 200);
    getrusage(RUSAGE_SELF, &after);
    CHECK(after.ru_nvcsw - before.ru_nvcsw <= 3); /* to sleep once, and what the kernel may add */
    io_timer_stop(&far);
    io_listener_close(listener);
    io_free(guests.io);
}

/* --- Unix sockets --- */

TEST(a_stale_socket_is_replaced_and_a_live_one_is_not)
{
    struct guests guests = {.io = linux_new()};
    struct io_listener *listener, *second;
    struct error err;
    char where[200];
    snprintf(where, sizeof where, "unix:%s/s", test_dir());
    struct io_address address = address_of(where);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", address.path);
    CHECK(bind(stale, (struct sockaddr *)&un, sizeof un) == 0);
    close(stale);
    CHECK_OK(io_listen(guests.io, &address, NULL, accepted, &guests, &listener, &err), &err);
    struct stat status;
    CHECK(stat(address.path, &status) == 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    CHECK(!io_listen(guests.io, &address, NULL, accepted, &guests, &second, &err));
    CHECK_INT(err.sys, EADDRINUSE);
    io_listener_close(listener);
    CHECK(stat(address.path, &status) < 0);
    io_free(guests.io);
}

/* --- Files --- */

static void note_error(void *ctx, const struct error *err)
{
    struct error *out = ctx;
    if (err)
        *out = *err;
}

TEST(a_write_that_the_system_refuses_is_told)
{
    struct io *io = linux_new();
    struct io_file *file;
    struct error err, told = {0};
    struct bytes part = BYTES_LITERAL("x");
    CHECK_OK(io_file_open(io, "/dev/full", IO_FILE_WRITE, &file, &err), &err);
    io_file_write(file, 0, &part, 1, note_error, &told);
    run_for(io, 20);
    for (int i = 0; i < 100 && told.kind == 0; i++)
        run_for(io, 10);
    CHECK_INT(told.kind, ERROR_LIMIT);
    CHECK_INT(told.sys, ENOSPC);
    io_file_close(file);
    io_free(io);
}

TEST(files_are_private_and_a_whole_file_has_the_mode_asked_for)
{
    struct io *io = linux_new();
    struct io_file *file;
    struct error err;
    struct stat status;
    char path[200];
    snprintf(path, sizeof path, "%s/a", test_dir());
    umask(022);
    CHECK_OK(io_file_open(io, path, IO_FILE_WRITE | IO_FILE_CREATE, &file, &err), &err);
    io_file_close(file);
    CHECK(stat(path, &status) == 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    CHECK_OK(io_path_write(io, path, BYTES_LITERAL("x"), 0644, &err), &err);
    CHECK(stat(path, &status) == 0);
    CHECK_INT(status.st_mode & 0777, 0644);
    io_free(io);
}

TEST(a_pipe_is_read_to_its_end)
{
    struct error err;
    struct io *io = linux_new();
    int ends[2];
    char path[64];
    AUTO_BUF content;
    buf_init(&content, 100);
    CHECK_INT(pipe(ends), 0);
    CHECK_INT(write(ends[1], "one two", 7), 7);
    close(ends[1]);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    CHECK_OK(io_path_read(io, path, &content, &err), &err);
    CHECK_STR(buf_string(&content), "one two");
    close(ends[0]);
    io_free(io);
}

TEST(removing_a_tree_does_not_follow_links)
{
    struct io *io = linux_new();
    struct error err;
    char tree[200], outside[200], link[200];
    snprintf(tree, sizeof tree, "%s/tree", test_dir());
    snprintf(outside, sizeof outside, "%s/outside/keep", test_dir());
    snprintf(link, sizeof link, "%s/tree/link", test_dir());
    CHECK_OK(io_dir_make(io, tree, &err), &err);
    CHECK_OK(io_dir_make(io, outside, &err), &err);
    CHECK(symlink("../outside", link) == 0);
    CHECK_OK(io_path_remove_all(io, tree, &err), &err);
    CHECK(io_path_exists(io, outside));
    CHECK(!io_path_exists(io, tree));
    io_free(io);
}

TEST(a_certificate_is_good_for_its_days)
{
    struct io *io = linux_new();
    struct io_certificate ca, own;
    struct error err;
    CHECK_OK(io_certificate_make_ca(io, "ca", 3650, &ca, &err), &err);
    CHECK_OK(io_certificate_make(io, &ca, "admin", NULL, 0, NULL, 0, 100, &own, &err), &err);
    CHECK(io_certificate_is_good(io, &ca, &own, 99));
    CHECK(!io_certificate_is_good(io, &ca, &own, 101));
    io_certificate_deinit(&ca);
    io_certificate_deinit(&own);
    io_free(io);
}

/* --- Mappings --- */

static struct io_file *map_pages(struct io *io, const char *name, size_t size, struct bytes *map)
{
    char path[300];
    struct error err;
    struct io_file *file;
    AUTO_FREE(uint8_t) content = memory_new(size);
    memset(content, 'x', size);
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    CHECK_OK(io_file_open(io, path, IO_FILE_WRITE | IO_FILE_CREATE, &file, &err), &err);
    CHECK_OK(io_file_write_now(file, 0, bytes_of(content, size), &err), &err);
    CHECK_OK(io_file_map(file, size, map, &err), &err);
    return file;
}

TEST(a_page_of_a_mapping_that_the_disk_does_not_give_is_an_error_and_not_the_end)
{
    struct io *io = linux_new();
    struct error err;
    struct bytes map, other;
    size_t bad_at = 0;
    struct io_file *file = map_pages(io, "cut", 5 * 4096, &map);
    struct io_file *whole = map_pages(io, "whole", 5 * 4096, &other);
    CHECK(io_map_check(io, map, &bad_at));
    CHECK_OK(io_file_truncate(file, 2 * 4096, &err), &err);
    CHECK(io_map_check(io, bytes_slice(map, 0, 2 * 4096), &bad_at));
    CHECK(!io_map_check(io, bytes_slice(map, 4000, 2 * 4096), &bad_at));
    CHECK_INT(bad_at, 2 * 4096 - 4000);
    CHECK_INT(map.data[2 * 4096 + 5], 0);
    CHECK_INT(map.data[4 * 4096 + 5], 0); /* nobody has asked */
    CHECK(!io_map_check(io, bytes_slice(map, 4 * 4096 + 8, 1), &bad_at));
    CHECK_INT(bad_at, 0);
    CHECK(io_map_check(io, bytes_slice(map, 4096, 4096), &bad_at));
    CHECK(io_map_check(io, other, &bad_at));
    CHECK_INT(other.data[3 * 4096], 'x');
    io_file_close(file);
    file = map_pages(io, "cut", 5 * 4096, &map); /* most likely in the same place */
    CHECK(io_map_check(io, map, &bad_at));
    io_file_close(file);
    io_file_close(whole);
    io_free(io);
}

TEST(a_fault_outside_of_mappings_ends_the_program)
{
    pid_t child = fork();
    if (child == 0) {
        struct io *io = linux_new();
        signal(SIGALRM, SIG_DFL);
        alarm(10);
        (void)io;
        raise(SIGBUS);
        raise(SIGBUS); /* the first one restored what is usual */
        _exit(0);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}
