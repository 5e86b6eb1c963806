/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the node that need no pod: volumes on the disk, bundles, addresses. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/bundle.h"
#include "node/network.h"
#include "node/pod_dns.h"
#include "node/volumes.h"
#include "test.h"

static const char *in_dir(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

static void check_file(const char *name, const char *content, int mode)
{
    char text[100] = "";
    struct stat stat;
    FILE *file = fopen(in_dir(name), "re");
    CHECK(file != NULL);
    size_t size = fread(text, 1, sizeof text - 1, file);
    text[size] = 0;
    CHECK(fstat(fileno(file), &stat) == 0);
    fclose(file);
    CHECK_STR(text, content);
    CHECK_INT(stat.st_mode & 07777, mode);
}

TEST(a_volume_of_files_changes_all_at_once_and_drops_what_is_gone)
{
    struct error err;
    struct stat before, after;
    struct runtime_file files[] = {{"a", BYTES_LITERAL("1"), 0644}, {"dir/b", BYTES_LITERAL("2"), 0400}};
    struct runtime_volume volume = {.name = "v", .type = RUNTIME_VOLUME_FILES, .files = files, .file_count = 2};
    AUTO_FREE(char) path = memory_string(bytes_of_string(in_dir("v")));
    CHECK_OK(volumes_write(path, &volume, 1, &err), &err);
    check_file("v/a", "1", 0644);
    check_file("v/dir/b", "2", 0400);
    CHECK(lstat(in_dir("v/..data"), &before) == 0 && S_ISLNK(before.st_mode));
    CHECK_OK(volumes_write(path, &volume, 2, &err), &err);
    CHECK(lstat(in_dir("v/..data"), &after) == 0 && before.st_ino == after.st_ino); /* nothing new, nothing written */
    files[0].content = BYTES_LITERAL("new");
    volume.file_count = 1;
    CHECK_OK(volumes_write(path, &volume, 3, &err), &err);
    check_file("v/a", "new", 0644);
    CHECK(access(in_dir("v/dir"), F_OK) != 0 && lstat(in_dir("v/dir"), &after) != 0);
    CHECK(access(in_dir("v/..1"), F_OK) != 0);
    files[0].path = "../evil";
    CHECK(!volumes_write(path, &volume, 4, &err));
    check_file("v/a", "new", 0644);
}

static bool check_host(const char *name, const char *type, struct error *err)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    const struct runtime_volume volume = {
        .name = "v", .type = RUNTIME_VOLUME_HOST, .host_path = path, .host_type = type};
    return volumes_check_host(&volume, err);
}

TEST(a_host_path_is_of_its_type_or_made_or_told)
{
    struct error err;
    CHECK_OK(check_host("a/b", "DirectoryOrCreate", &err), &err);
    CHECK_OK(check_host("a/b", "Directory", &err), &err);
    CHECK_OK(check_host("a/c/d", "", &err), &err);
    CHECK_OK(check_host("a/c/d", "Directory", &err), &err);
    CHECK_OK(check_host("a/file", "FileOrCreate", &err), &err);
    CHECK_OK(check_host("a/file", "File", &err), &err);
    CHECK_OK(check_host("a/file", "", &err), &err);
    CHECK(!check_host("a/file", "Directory", &err));
    CHECK(strstr(err.message, "MountVolume.SetUp failed for volume \"v\" : hostPath type check failed: /") != NULL);
    CHECK(strstr(err.message, "a/file is not a directory") != NULL);
    CHECK(!check_host("a/b", "FileOrCreate", &err));
    CHECK(!check_host("a/none", "Directory", &err));
    CHECK(!check_host("a/none", "Socket", &err));
    CHECK(!check_host("none/file", "FileOrCreate", &err));
    CHECK(!check_host("../../dev/null", "BlockDevice", &err));
}

TEST(a_tree_is_removed_without_following_links)
{
    struct error err;
    CHECK(mkdir(in_dir("keep"), 0755) == 0);
    CHECK_OK(volumes_write_file(in_dir("keep/file"), BYTES_LITERAL("x"), 0600, &err), &err);
    CHECK(mkdir(in_dir("tree"), 0755) == 0 && mkdir(in_dir("tree/sub"), 0755) == 0);
    CHECK(symlink("../../keep", in_dir("tree/sub/link")) == 0);
    CHECK_OK(volumes_remove_tree(in_dir("tree"), &err), &err);
    CHECK(access(in_dir("tree"), F_OK) != 0);
    CHECK(access(in_dir("keep/file"), F_OK) == 0);
    CHECK_OK(volumes_remove_tree(in_dir("tree"), &err), &err);
}

static struct json *make_bundle(const struct runtime_container *container, const char *image, char notice[300])
{
    struct error err;
    const struct bundle_place place = {.root = "/r",
                                       .directory = "/pod",
                                       .hostname = "h",
                                       .cgroups_path = "c",
                                       .monitor_pid = 7,
                                       .capabilities = UINT64_C(1) << 0 | UINT64_C(1) << 10 | UINT64_C(1) << 12,
                                       .oom_score_adj_min = 0};
    AUTO_JSON *config = json_parse(bytes_of_string(image), 0, &err);
    CHECK(config != NULL);
    struct json *bundle = bundle_make(container, config, &place, notice, &err);
    return bundle;
}

#define IMAGE                                                                                                          \
    "{\"config\":{\"Entrypoint\":[\"/entry\"],\"Cmd\":[\"one\"],\"Env\":[\"A=image\",\"B=image\"],\"WorkingDir\":\"/"  \
    "w\"}}"

TEST(command_and_args_replace_the_images_as_kubernetes_says)
{
    static const char *const x[] = {"x", NULL};
    static const struct {
        const char *const *command, *const *args;
        const char *want[3];
    } cases[] = {
        {NULL, NULL, {"/entry", "one"}},
        {x, NULL, {"x"}},
        {NULL, x, {"/entry", "x"}},
        {x, x, {"x", "x"}},
    };
    char notice[300];
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct runtime_container container = {.name = "c", .command = cases[i].command, .args = cases[i].args};
        AUTO_JSON *bundle = make_bundle(&container, IMAGE, notice);
        size_t count = 0;
        while (cases[i].want[count])
            count++;
        CHECK_INT(json_size(json_at(bundle, "process.args")), count);
        for (size_t at = 0; at < count; at++)
            CHECK_STR(json_text(json_index(json_at(bundle, "process.args"), at)), cases[i].want[at]);
    }
    const struct runtime_container empty = {.name = "c"};
    CHECK(make_bundle(&empty, "{\"config\":{}}", notice) == NULL);
}

TEST(a_bundle_has_the_images_environment_behind_the_pods)
{
    static const char *const variables[] = {"B=pod", NULL};
    const struct runtime_container container = {.name = "c", .environment = variables};
    char notice[300];
    AUTO_JSON *bundle = make_bundle(&container, IMAGE, notice);
    CHECK_STR(json_text_at(bundle, "process.env.0", ""), "B=pod");
    CHECK_STR(json_text_at(bundle, "process.env.1", ""), "A=image");
    CHECK(strncmp(json_text_at(bundle, "process.env.2", ""), "PATH=", 5) == 0);
    CHECK_STR(json_text_at(bundle, "process.cwd", ""), "/w");
}

TEST(a_bundle_gives_no_capability_that_is_not_ours_and_says_so)
{
    static const char *const add[] = {"NET_ADMIN", "SYS_TIME", NULL}, *const drop[] = {"ALL", NULL};
    const struct runtime_container container = {
        .name = "c", .capabilities_add = add, .capabilities_drop = drop, .oom_score_adj = -997};
    char notice[300];
    AUTO_JSON *bundle = make_bundle(&container, IMAGE, notice);
    CHECK_INT(json_size(json_at(bundle, "process.capabilities.bounding")), 1);
    CHECK_STR(json_text_at(bundle, "process.capabilities.bounding.0", ""), "CAP_NET_ADMIN");
    CHECK(strstr(notice, "SYS_TIME") != NULL);
    CHECK(strstr(notice, "oom_score_adj") != NULL);
    CHECK_INT(json_int_at(bundle, "process.oomScoreAdj", -1), 0);
}

static bool refuses(const struct json *bundle, const char *call)
{
    json_array_each (i, rule, json_at(bundle, "linux.seccomp.syscalls"))
        json_array_each (j, name, json_get(rule, "names"))
            if (strcmp(json_text(name), call) == 0)
                return true;
    return false;
}

TEST(system_calls_are_refused_where_asked_and_where_no_capability_is_for_them)
{
    static const char *const x[] = {"x", NULL}, *const net[] = {"NET_ADMIN", NULL}, *const time[] = {"SYS_TIME", NULL};
    char notice[300];
    const struct runtime_container plain = {.name = "c", .command = x},
                                   asked = {.name = "c", .command = x, .seccomp = true, .capabilities_add = net},
                                   privileged = {.name = "c", .command = x, .seccomp = true, .privileged = true};
    AUTO_JSON *without = make_bundle(&plain, IMAGE, notice), *with = make_bundle(&asked, IMAGE, notice),
              *all = make_bundle(&privileged, IMAGE, notice);
    CHECK(json_at(without, "linux.seccomp") == NULL);
    CHECK(json_at(all, "linux.seccomp") == NULL);
    CHECK(refuses(with, "mount") && refuses(with, "keyctl") && refuses(with, "clone3") && refuses(with, "bpf"));
    CHECK(!refuses(with, "read"));
    struct error err;
    const struct runtime_container clock = {.name = "c", .command = x, .seccomp = true, .capabilities_add = time};
    const struct bundle_place place = {
        .root = "/r", .directory = "/pod", .hostname = "h", .cgroups_path = "", .capabilities = UINT64_C(1) << 25};
    AUTO_JSON *config = json_parse(BYTES_LITERAL(IMAGE), 0, &err);
    AUTO_JSON *bundle = bundle_make(&clock, config, &place, notice, &err);
    CHECK(refuses(bundle, "mount") && !refuses(bundle, "settimeofday"));
}

TEST(a_volume_of_a_group_is_for_it_to_read_or_write)
{
    struct error err;
    struct stat found;
    const struct runtime_file file = {.path = "key", .content = BYTES_LITERAL("x"), .mode = 0440};
    const struct runtime_volume files = {.name = "files",
                                         .type = RUNTIME_VOLUME_FILES,
                                         .files = &file,
                                         .file_count = 1,
                                         .has_group = true,
                                         .group = 4321},
                                empty = {
                                    .name = "empty", .type = RUNTIME_VOLUME_EMPTY, .has_group = true, .group = 4321};
    gid_t group = geteuid() == 0 ? 4321 : getegid(); /* who is not root cannot give anything away */
    CHECK_OK(volumes_write(in_dir("files"), &files, 1, &err), &err);
    CHECK(stat(in_dir("files/key"), &found) == 0);
    CHECK_INT(found.st_gid, group);
    CHECK_INT(found.st_mode & 07777, 0440);
    CHECK_OK(volumes_write(in_dir("empty"), &empty, 1, &err), &err);
    CHECK(stat(in_dir("empty"), &found) == 0);
    CHECK_INT(found.st_gid, group);
    CHECK_INT(found.st_mode & 07777, 02777);
}

TEST(a_sub_path_does_not_leave_its_volume)
{
    const struct runtime_mount mount = {.volume = "v", .path = "/m", .sub_path = "out"};
    const struct runtime_container container = {.name = "c", .mounts = &mount, .mount_count = 1};
    struct error err;
    char notice[300], link[4200];
    CHECK(mkdir(in_dir("_volumes"), 0755) == 0 && mkdir(in_dir("_volumes/v"), 0755) == 0 &&
          mkdir(in_dir("secret"), 0755) == 0);
    snprintf(link, sizeof link, "%s/secret", test_dir());
    CHECK(symlink(link, in_dir("_volumes/v/out")) == 0);
    const struct bundle_place place = {.root = "/r", .directory = test_dir(), .hostname = "h", .cgroups_path = ""};
    AUTO_JSON *image = json_parse(BYTES_LITERAL(IMAGE), 0, &err);
    AUTO_JSON *bundle = bundle_make(&container, image, &place, notice, &err);
    CHECK(bundle == NULL);
    CHECK_INT(err.kind, ERROR_INVALID);
}

TEST(users_are_found_in_the_highest_layer_that_names_them)
{
    struct error err;
    uint32_t uid, gid;
    char home[256];
    AUTO_FREE(char) low = memory_string(bytes_of_string(in_dir("low")));
    AUTO_FREE(char) high = memory_string(bytes_of_string(in_dir("high")));
    char *layers[] = {low, high};
    CHECK(mkdir(low, 0755) == 0 && mkdir(high, 0755) == 0 && mkdir(in_dir("low/etc"), 0755) == 0 &&
          mkdir(in_dir("high/etc"), 0755) == 0);
    CHECK_OK(volumes_write_file(in_dir("low/etc/passwd"), BYTES_LITERAL("web:x:1:1::/old:\n"), 0644, &err), &err);
    CHECK_OK(volumes_write_file(in_dir("high/etc/passwd"),
                                BYTES_LITERAL("root:x:0:0::/root:\nweb:x:33:34::/home/web:/bin/sh\n"), 0644, &err),
             &err);
    CHECK_OK(volumes_write_file(in_dir("low/etc/group"), BYTES_LITERAL("staff:x:50:\n"), 0644, &err), &err);
    CHECK_OK(bundle_resolve_user(layers, 2, "web", &uid, &gid, home, &err), &err);
    CHECK_INT(uid, 33);
    CHECK_INT(gid, 34);
    CHECK_STR(home, "/home/web");
    CHECK_OK(bundle_resolve_user(layers, 2, "web:staff", &uid, &gid, home, &err), &err);
    CHECK_INT(gid, 50);
    CHECK_OK(bundle_resolve_user(layers, 2, "1234:5", &uid, &gid, home, &err), &err);
    CHECK_INT(uid, 1234);
    CHECK_INT(gid, 5);
    CHECK_OK(bundle_resolve_user(layers, 2, "", &uid, &gid, home, &err), &err);
    CHECK_INT(uid, 0);
    CHECK(!bundle_resolve_user(layers, 2, "nobody", &uid, &gid, home, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
}

TEST(signals_of_images_are_found_by_name_and_number)
{
    CHECK_INT(bundle_signal("SIGQUIT"), SIGQUIT);
    CHECK_INT(bundle_signal("INT"), SIGINT);
    CHECK_INT(bundle_signal("15"), 15);
    CHECK_INT(bundle_signal("SIGRTMIN+3"), SIGRTMIN + 3);
    CHECK_INT(bundle_signal("SIGRTMIN"), SIGRTMIN);
    CHECK_INT(bundle_signal("SIGRTMIN+99"), 0);
    CHECK_INT(bundle_signal("SIGNOTHING"), 0);
    CHECK_INT(bundle_signal("9999"), 0);
    CHECK_INT(bundle_signal(""), 0);
}

TEST(pod_ranges_are_parsed)
{
    struct network network;
    struct error err;
    char ip[16];
    CHECK_OK(network_parse("br0", "10.88.3.4/16", &network, &err), &err);
    network_address(&network, 1, ip);
    CHECK_STR(ip, "10.88.0.1");
    CHECK_INT(network_size(&network), 65536);
    CHECK(network_contains(&network, "10.88.255.1"));
    CHECK(!network_contains(&network, "10.89.0.1"));
    CHECK(!network_parse("br0", "10.88.0.0", &network, &err));
    CHECK(!network_parse("br0", "10.88.0.0/33", &network, &err));
    CHECK(!network_parse("br0", "x/16", &network, &err));
    CHECK(!network_parse("a-name-that-is-too-long", "10.88.0.0/16", &network, &err));
}

/* --- Names in containers --- */

static const char machines_resolv_conf[] = "nameserver 192.0.2.53\nsearch example.org\n";

static char *resolv_conf(const char *spec, const char *cluster_dns, bool expected)
{
    struct error err;
    AUTO_FREE(char) text = memory_string(bytes_of_string(spec));
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    AUTO_JSON *json = json_new_object();
    json_set(json, "spec", json_parse(bytes_of_string(text), 0, &err));
    CHECK(json_is_object(json_get(json, "spec")));
    const struct object pod = {.namespace = BYTES_LITERAL("shop"), .json = json};
    struct buf out;
    buf_init(&out, 1 << 16);
    CHECK(pod_dns_resolv_conf(&pod, cluster_dns, bytes_of_string(machines_resolv_conf), &out) == expected);
    buf_append_byte(&out, 0);
    return (char *)(uintptr_t)buf_take(&out).data;
}

TEST(a_container_looks_for_services_of_its_namespace_first)
{
    AUTO_FREE(char) usual = resolv_conf("{'dnsPolicy':'ClusterFirst'}", "10.96.0.10", true);
    CHECK_STR(usual, "search shop.svc.cluster.local svc.cluster.local cluster.local example.org\n"
                     "nameserver 10.96.0.10\noptions ndots:5\n");
    AUTO_FREE(char)
    more = resolv_conf("{'dnsConfig':{'nameservers':['192.0.2.1'],'searches':['a.b'],'options':[{'name':"
                       "'ndots','value':'2'},{'name':'rotate'}]}}",
                       "10.96.0.10", true);
    CHECK_STR(more, "search shop.svc.cluster.local svc.cluster.local cluster.local example.org a.b\n"
                    "nameserver 10.96.0.10\nnameserver 192.0.2.1\noptions ndots:2 rotate\n");
}

TEST(a_container_finds_names_as_its_policy_says)
{
    AUTO_FREE(char) machine = resolv_conf("{'dnsPolicy':'Default'}", "10.96.0.10", true);
    CHECK_STR(machine, machines_resolv_conf);
    AUTO_FREE(char) host = resolv_conf("{'dnsPolicy':'ClusterFirst','hostNetwork':true}", "10.96.0.10", true);
    CHECK_STR(host, machines_resolv_conf);
    AUTO_FREE(char)
    both = resolv_conf("{'dnsPolicy':'ClusterFirstWithHostNet','hostNetwork':true}", "10.96.0.10", true);
    CHECK(strstr(both, "nameserver 10.96.0.10\n") != NULL);
    AUTO_FREE(char)
    own = resolv_conf("{'dnsPolicy':'None','dnsConfig':{'nameservers':['192.0.2.1'],'searches':['a.b']}}", NULL, true);
    CHECK_STR(own, "search a.b\nnameserver 192.0.2.1\n");
    AUTO_FREE(char) nowhere = resolv_conf("{'dnsPolicy':'ClusterFirst'}", NULL, false);
    CHECK_STR(nowhere, machines_resolv_conf);
}
