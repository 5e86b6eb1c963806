/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our RuntimeDefault: all system calls but those that an ordinary program has no use for and that have let others out
 * of containers. Some are refused unless the container has the capability without which they would fail anyway, or do
 * little; a call that a program may try, to see whether it is there, fails as where the kernel does not allow it.
 *
 * A list of what is refused does not grow with the kernel, as a list of what is allowed would: what is new must be
 * looked at. It breaks nothing that is new either, and needs no knowledge of every architecture.
 */
#include <errno.h>
#include <linux/sched.h>

#include "base/memory.h"
#include "node/bundle_priv.h"

static const struct refused {
    const char *calls[18];
    const char *unless[2]; /* the container has one of these */
} refused[] = {
    {{"bpf"}, {"BPF", "SYS_ADMIN"}},
    {{"perf_event_open"}, {"PERFMON", "SYS_ADMIN"}},
    {{"mount", "umount", "umount2", "pivot_root", "setns", "unshare", "fsopen", "fsconfig", "fsmount", "fspick",
      "move_mount", "open_tree", "mount_setattr", "quotactl", "quotactl_fd", "swapon", "swapoff", "lookup_dcookie"},
     {"SYS_ADMIN"}},
    {{"process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"}, {"SYS_PTRACE"}},
    {{"open_by_handle_at"}, {"DAC_READ_SEARCH"}},
    {{"init_module", "finit_module", "delete_module"}, {"SYS_MODULE"}},
    {{"kexec_load", "kexec_file_load", "reboot"}, {"SYS_BOOT"}},
    {{"clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "settimeofday", "stime"}, {"SYS_TIME"}},
    {{"acct"}, {"SYS_PACCT"}},
    {{"iopl", "ioperm"}, {"SYS_RAWIO"}},
    {{"mbind", "set_mempolicy", "set_mempolicy_home_node", "move_pages", "migrate_pages"}, {"SYS_NICE"}},
    /* Keys are the whole machine's; the others are a way in that nothing needs, or long out of use. */
    {{"add_key", "keyctl", "request_key", "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd",
      "uselib", "ustat", "sysfs", "_sysctl", "vm86", "vm86old", "create_module", "query_module", "get_kernel_syms",
      "nfsservctl"},
     {NULL}},
};

static struct json *rule(struct json *names, int sys)
{
    struct json *json = json_new_object();
    json_set(json, "names", names);
    json_set(json, "action", json_new_text("SCMP_ACT_ERRNO"));
    json_set(json, "errnoRet", json_new_int(sys));
    return json;
}

static struct json *rule_of_one(const char *name, int sys)
{
    struct json *names = json_new_array();
    json_append(names, json_new_text(name));
    return rule(names, sys);
}

/* A namespace of users gives all capabilities within it, and with them the rest of the kernel. The flags of clone3()
 * are where a filter cannot look: without it, a C library goes on to clone(). */
static void refuse_user_namespaces(struct json *rules)
{
    struct json *clone = rule_of_one("clone", EPERM), *flags = json_new_object(), *args = json_new_array();
    json_set(flags, "index", json_new_int(0));
    json_set(flags, "value", json_new_int(CLONE_NEWUSER));
    json_set(flags, "valueTwo", json_new_int(CLONE_NEWUSER));
    json_set(flags, "op", json_new_text("SCMP_CMP_MASKED_EQ"));
    json_append(args, flags);
    json_set(clone, "args", args);
    json_append(rules, clone);
    json_append(rules, rule_of_one("clone3", ENOSYS));
}

/* The kernel's other ways in for the same machine's programs; elsewhere its own is enough. */
static struct json *architectures(void)
{
#if defined(__x86_64__)
    static const char *const names[] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
#elif defined(__aarch64__)
    static const char *const names[] = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#else
    return NULL;
#endif
#if defined(__x86_64__) || defined(__aarch64__)
    struct json *list = json_new_array();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        json_append(list, json_new_text(names[i]));
    return list;
#endif
}

static bool has_one(uint64_t capabilities, const char *const names[2])
{
    for (size_t i = 0; i < 2 && names[i]; i++)
        if (capabilities & bundle_capability(names[i]))
            return true;
    return false;
}

struct json *bundle_seccomp(uint64_t capabilities)
{
    struct json *json = json_new_object(), *rules = json_new_array(), *list = architectures();
    json_set(json, "defaultAction", json_new_text("SCMP_ACT_ALLOW"));
    if (list)
        json_set(json, "architectures", list);
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (has_one(capabilities, refused[i].unless))
            continue;
        struct json *names = json_new_array();
        for (size_t j = 0; j < ARRAY_SIZE(refused[i].calls) && refused[i].calls[j]; j++)
            json_append(names, json_new_text(refused[i].calls[j]));
        json_append(rules, rule(names, EPERM));
    }
    if (!(capabilities & bundle_capability("SYS_ADMIN")))
        refuse_user_namespaces(rules);
    json_set(json, "syscalls", rules);
    return json;
}
