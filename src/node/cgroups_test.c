/* SPDX-License-Identifier: Apache-2.0 */
/* Where groups are made and how they go, by the descriptions that a kernel gives of its hierarchies: v1, both, v2
 * alone. The hierarchies are directories of the test's, so what a kernel puts into a group is put there by hand. */
#include "node/cgroups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "test.h"

#define UID "12345678-1234-1234-1234-123456789abc"

static const char *in_dir(const char *name)
{
    static char paths[4][4200];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", test_dir(), name);
    return path;
}

static bool there(const char *name)
{
    return access(in_dir(name), F_OK) == 0;
}

static void shell(const char *script)
{
    char command[8000];
    CHECK((size_t)snprintf(command, sizeof command, "cd %s && %s", test_dir(), script) < sizeof command);
    CHECK(system(command) == 0);
}

/* `mounts`: a line each, "NAME TYPE SUPEROPTIONS"; `own`: as in /proc/self/cgroup. */
static struct cgroups *open_with(const char *mounts, const char *own)
{
    char script[4000];
    snprintf(script, sizeof script,
             "mkdir -p proc && printf '%s' > proc/cgroup && printf '%s' | while read name type options; do mkdir -p "
             "$name; echo \"9 1 0:1 / $PWD/$name rw - $type $type $options\"; done > proc/mountinfo",
             own, mounts);
    shell(script);
    return cgroups_open(in_dir("proc"));
}

static void make(struct cgroups *cgroups, const struct runtime_resources *resources)
{
    struct error err;
    struct cgroups_group group;
    CHECK_OK(cgroups_make(cgroups, UID, "main", 0, resources, &group, &err), &err);
    cgroups_group_deinit(&group);
}

TEST(in_v1_a_group_is_made_in_the_hierarchies_that_are_needed)
{
    static const struct runtime_resources none = {0};
    struct error err;
    struct cgroups *cgroups = open_with("cpu cgroup rw,cpu,cpuacct\nmem cgroup rw,memory\npids cgroup rw,pids\n",
                                        "3:pids:/a\n2:memory:/\n1:cpu,cpuacct:/\n");
    CHECK(!cgroups_unified(cgroups));
    CHECK(!there("pids/evoke")); /* the group /a is not there */
    shell("mkdir pids/a");
    cgroups_close(cgroups);
    cgroups = cgroups_open(in_dir("proc"));
    make(cgroups, &none);
    CHECK(there("pids/a/evoke/" UID "/main.0") && !there("mem/evoke/" UID) && !there("cpu/evoke/" UID));
    CHECK_OK(cgroups_remove(cgroups, UID, &err), &err);
    CHECK(!there("pids/a/evoke"));
    cgroups_close(cgroups);
    CHECK(!there("mem/evoke") && !there("cpu/evoke"));
}

TEST(in_v1_what_runc_has_made_in_other_hierarchies_goes_too)
{
    struct error err;
    struct cgroups *cgroups =
        open_with("mem cgroup rw,memory\nfreezer cgroup rw,freezer\n", "2:memory:/\n1:freezer:/\n");
    char path[200];
    shell("mkdir -p freezer/evoke/" UID "/main.0/deeper mem/evoke/" UID "/main.0");
    cgroups_runc_path(cgroups, UID, "main", 0, path, sizeof path);
    CHECK_STR(path, "evoke/" UID "/main.0");
    CHECK_OK(cgroups_remove(cgroups, UID, &err), &err);
    CHECK(!there("freezer/evoke") && !there("mem/evoke"));
    cgroups_close(cgroups);
}

TEST(beside_v1_the_unified_hierarchy_holds_the_processes)
{
    static const struct runtime_resources none = {0};
    struct error err;
    struct cgroups *cgroups = open_with("mem cgroup rw,memory\nunified cgroup2 rw\n", "1:memory:/\n0::/\n");
    CHECK(!cgroups_unified(cgroups));
    make(cgroups, &none);
    CHECK(there("unified/evoke/" UID "/main.0") && !there("mem/evoke/" UID));
    CHECK_OK(cgroups_remove(cgroups, UID, &err), &err);
    CHECK(!there("unified/evoke"));
    cgroups_close(cgroups);
}

TEST(in_v2_groups_are_below_our_own_where_it_can_hand_controllers_on)
{
    static const struct runtime_resources limits = {.memory_limit = 1 << 20};
    struct error err;
    struct cgroups_group group;
    char path[200];
    shell("mkdir -p unified/own/evoke && touch unified/own/cgroup.subtree_control");
    struct cgroups *cgroups = open_with("unified cgroup2 rw\n", "0::/own\n");
    CHECK(cgroups_unified(cgroups));
    cgroups_runc_path(cgroups, UID, "main", 0, path, sizeof path);
    CHECK_STR(path, "/own/evoke/" UID "/main.0");
    CHECK(!cgroups_make(cgroups, UID, "main", 0, &limits, &group,
                        &err)); /* there is no memory.max in a plain directory */
    CHECK(strstr(err.message, "memory.max of container main is not applied") != NULL);
    CHECK(group.directories[0] != NULL && there("unified/own/evoke/" UID "/main.0"));
    cgroups_group_deinit(&group);
    CHECK_OK(cgroups_remove(cgroups, UID, &err), &err);
    CHECK(!there("unified/own/evoke"));
    cgroups_close(cgroups);
}

TEST(in_v2_groups_are_below_the_root_where_our_own_cannot)
{
    shell("mkdir -p unified/own && touch unified/cgroup.subtree_control");
    struct cgroups *cgroups = open_with("unified cgroup2 rw\n", "0::/own\n");
    char path[200];
    CHECK(cgroups_unified(cgroups));
    cgroups_runc_path(cgroups, UID, "main", 0, path, sizeof path);
    CHECK_STR(path, "/evoke/" UID "/main.0");
    CHECK(!there("unified/evoke") && !there("unified/own/evoke"));
    cgroups_close(cgroups);
}

TEST(in_v2_a_root_that_comes_back_hands_its_controllers_on_again)
{
    static const struct runtime_resources none = {0};
    struct error err;
    struct cgroups *cgroups = open_with("unified cgroup2 rw\n", "0::/\n");
    make(cgroups, &none);
    CHECK_OK(cgroups_remove(cgroups, UID, &err), &err);
    CHECK(!there("unified/evoke"));
    shell("mkdir unified/evoke && touch unified/evoke/cgroup.subtree_control"); /* as the kernel does it */
    make(cgroups, &none);
    shell("grep -q pids unified/evoke/cgroup.subtree_control");
    cgroups_close(cgroups);
}

TEST(a_group_that_is_in_use_is_named_and_goes_when_it_is_free)
{
    static const struct runtime_resources none = {0};
    struct error err;
    struct cgroups *cgroups = open_with("unified cgroup2 rw\n", "0::/\n");
    make(cgroups, &none);
    shell("touch unified/evoke/" UID "/main.0/held");
    CHECK(!cgroups_remove(cgroups, UID, &err));
    CHECK_INT(err.kind, ERROR_UNAVAILABLE);
    CHECK(strstr(err.message, "unified/evoke/" UID " is in use") != NULL);
    shell("rm unified/evoke/" UID "/main.0/held");
    CHECK_OK(cgroups_remove(cgroups, UID, &err), &err);
    CHECK(!there("unified/evoke"));
    cgroups_close(cgroups);
}

TEST(what_is_written_down_finds_the_groups_from_another_group)
{
    static const struct runtime_resources none = {0};
    struct error err;
    char path[200];
    shell("mkdir -p unified/one unified/two && touch unified/one/cgroup.subtree_control");
    struct cgroups *first = open_with("unified cgroup2 rw\n", "0::/one\n");
    make(first, &none);
    AUTO_JSON *description = cgroups_describe(first);
    cgroups_close(first);
    struct cgroups *second = open_with("unified cgroup2 rw\n", "0::/two\n");
    CHECK_OK(cgroups_remove(second, UID, &err), &err);
    CHECK(there("unified/one/evoke/" UID "/main.0"));
    struct cgroups *restored = cgroups_restore(description);
    CHECK(restored && cgroups_unified(restored));
    cgroups_runc_path(restored, UID, "main", 1, path, sizeof path);
    CHECK_STR(path, "/one/evoke/" UID "/main.1");
    CHECK_OK(cgroups_remove(restored, UID, &err), &err);
    CHECK(!there("unified/one/evoke"));
    cgroups_close(restored);
    cgroups_close(second);
}

TEST(a_description_names_no_other_directories_than_ours)
{
    struct error err;
    shell("mkdir -p other/" UID);
    AUTO_JSON *json = json_new_object();
    json_set(json, "hierarchies", json_new_array());
    json_append(json_get(json, "hierarchies"), json_new_text(in_dir("other")));
    json_append(json_get(json, "hierarchies"), json_new_text("evoke"));
    json_append(json_get(json, "hierarchies"), json_new_int(7));
    struct cgroups *cgroups = cgroups_restore(json);
    CHECK_OK(cgroups_remove(cgroups, UID, &err), &err);
    CHECK(there("other/" UID));
    cgroups_close(cgroups);
    AUTO_JSON *text = json_new_text("no");
    CHECK(cgroups_restore(text) == NULL);
    CHECK(cgroups_restore(NULL) == NULL);
}
