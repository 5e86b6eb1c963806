/* SPDX-License-Identifier: Apache-2.0 */
/* Container pods on the real machine: root, runc and a static busybox are needed; without them the tests say that they
 * are skipped. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/stream.h"
#include "node/image.h"
#include "node/world_test.h"

#define POD(name, spec) "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" name "'},'spec':{" spec "}}"
#define SHELL(name, script) "{'name':'" name "','image':'busybox','command':['sh','-c','" script "']"

static bool skip(void)
{
    if (geteuid() == 0 && system("command -v runc busybox python3 >/dev/null") == 0)
        return false;
    fprintf(stderr, "skipped: needs root, runc and busybox\n");
    return true;
}

/* A docker archive of busybox, as `docker save` writes it. */
static void import_busybox(void)
{
    struct error err;
    char command[4300], path[4200];
    snprintf(command, sizeof command,
             "cd %s && mkdir -p i/root/bin i/root/etc i/root/tmp i/l && cp $(command -v busybox) i/root/bin/busybox && "
             "i/root/bin/busybox --install -s i/root/bin 2>/dev/null; ln -sf busybox i/root/bin/sh; "
             "for p in sh sleep cat echo ls id hostname ip mount touch rm true false grep ps test nc httpd wget; do "
             "ln -sf busybox i/root/bin/$p; done; "
             "printf 'root:x:0:0::/root:/bin/sh\\nweb:x:1000:1001::/home/web:/bin/sh\\n' > i/root/etc/passwd; "
             "tar -C i/root -cf i/l/layer.tar . && sum=$(sha256sum i/l/layer.tar | cut -d' ' -f1) && "
             "printf "
             "'{\"config\":{\"StopSignal\":\"SIGQUIT\",\"Env\":[\"FROM=image\"],\"Entrypoint\":[\"/bin/"
             "echo\"],\"Cmd\":[\"of\",\"image\"]},"
             "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%%s\"]}}' $sum > i/config.json && "
             "printf '[{\"Config\":\"config.json\",\"RepoTags\":[\"busybox:latest\"],\"Layers\":[\"l/layer.tar\"]}]' > "
             "i/manifest.json && tar -C i -cf image.tar config.json manifest.json l && rm -r i",
             test_dir());
    CHECK(system(command) == 0);
    snprintf(path, sizeof path, "%s/image.tar", test_dir());
    CHECK_OK(image_import(test_dir(), path, NULL, NULL, NULL, &err), &err);
}

/* Tests run side by side: each has a bridge and a range of its own. */
static void open_world(struct world *world)
{
    static char bridge[16], cidr[32];
    snprintf(bridge, sizeof bridge, "evt%d", (int)getpid());
    snprintf(cidr, sizeof cidr, "10.%d.%d.0/24", 100 + (int)getpid() % 100, (int)getpid() / 100 % 250);
    *world = (struct world){.containers = true, .bridge = bridge, .pod_cidr = cidr};
    world_open(world);
}

/* With a range for Services, and a server for their names. */
static void open_world_with_services(struct world *world)
{
    static char services[32], dns[32];
    snprintf(services, sizeof services, "10.%d.%d.0/24", 200 + (int)getpid() % 50, (int)getpid() / 50 % 250);
    snprintf(dns, sizeof dns, "10.%d.%d.10", 200 + (int)getpid() % 50, (int)getpid() / 50 % 250);
    open_world(world);
    world_close(world);
    world->services = services;
    world->cluster_dns = dns;
    world_open(world);
}

static void finish(struct world *world, const char *pod)
{
    world_delete(world, pod, 0);
    world_until_no_pod(world, pod);
    world_end(world);
}

TEST(a_container_runs_in_a_world_of_its_own)
{
    struct world world;
    if (skip())
        return;
    import_busybox();
    open_world(&world);
    world_create(
        &world,
        POD("own",
            "'restartPolicy':'Never','containers':[" SHELL(
                "main",
                "hostname; id -u; echo $FROM $MINE; ls /proc | grep -c ^[0-9]; cat /etc/hosts | grep -c own; touch "
                "/written; ip addr show eth0 | grep -c inet") ",'env':[{'name':'MINE','value':'mine'}]}]"));
    world_until_text(&world, "own", "status.phase", "Succeeded");
    AUTO_FREE(char) text = world_logs(&world, "own", NULL);
    CHECK(strncmp(text, "own\n0\nimage mine\n", 17) == 0);
    CHECK(access("/written", F_OK) != 0);
    CHECK(strncmp(json_text_at(world_pod(&world, "own"), "status.podIP", ""), "10.", 3) == 0);
    CHECK(strncmp(json_text_at(world_pod(&world, "own"), "status.containerStatuses.0.imageID", ""), "sha256:", 7) == 0);
    finish(&world, "own");
}

TEST(a_container_without_command_runs_what_its_image_says)
{
    struct world world;
    if (skip())
        return;
    import_busybox();
    open_world(&world);
    world_create(
        &world,
        POD("image", "'restartPolicy':'Never','containers':[{'name':'main','image':'busybox','args':['from','pod']}]"));
    world_until_text(&world, "image", "status.phase", "Succeeded");
    AUTO_FREE(char) text = world_logs(&world, "image", NULL);
    CHECK_STR(text, "from pod\n");
    finish(&world, "image");
}

TEST(an_image_that_is_not_there_is_told_and_found_once_it_is)
{
    struct world world;
    if (skip())
        return;
    open_world(&world);
    world_create(&world, POD("late", "'containers':[" SHELL("main", "exec sleep 600") "}]"));
    world_create(&world, POD("never", "'containers':[" SHELL("main", "exec sleep 600") ",'imagePullPolicy':'Never'}]"));
    world_until_text(&world, "never", "status.containerStatuses.0.state.waiting.reason", "ErrImageNeverPull");
    world_until_text(&world, "late", "status.containerStatuses.0.state.waiting.reason", "ErrImagePull");
    world_delete(&world, "never", 0);
    world_until_no_pod(&world, "never");
    CHECK(strstr(json_text_at(world_pod(&world, "late"), "status.containerStatuses.0.state.waiting.message", ""),
                 "evoke image import") != NULL);
    import_busybox();
    world_until_ready(&world, "late", true);
    finish(&world, "late");
}

static void note_images(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_noted(struct world *world, const void *ctx)
{
    (void)world;
    return *(const bool *)ctx;
}

TEST(an_image_that_is_imported_is_told_at_once)
{
    struct world world;
    bool noted = false;
    if (skip())
        return;
    open_world(&world);
    CHECK(!world.oci->ops->has_image(world.oci, "busybox"));
    world.oci->ops->watch_images(world.oci, note_images, &noted);
    import_busybox();
    world_until(&world, is_noted, &noted, "news of the image");
    CHECK(world.oci->ops->has_image(world.oci, "busybox"));
    world_end(&world);
}

TEST(a_command_that_the_image_does_not_have_is_told)
{
    struct world world;
    if (skip())
        return;
    import_busybox();
    open_world(&world);
    world_create(&world, POD("typo", "'containers':[{'name':'main','image':'busybox','command':['/no/such']}]"));
    world_until_text(&world, "typo", "status.containerStatuses.0.state.waiting.reason", "RunContainerError");
    CHECK(strstr(json_text_at(world_pod(&world, "typo"), "status.containerStatuses.0.state.waiting.message", ""),
                 "no such file or directory") != NULL);
    finish(&world, "typo");
}

TEST(probes_reach_a_container_by_http_tcp_and_command)
{
    struct world world;
    if (skip())
        return;
    import_busybox();
    open_world(&world);
    world_create(&world,
                 POD("probed", "'containers':[" SHELL(
                                   "main", "echo ok > /tmp/index.html; exec httpd -f -p 8080 -h "
                                           "/tmp") ",'ports':[{'name':'web','containerPort':8080}],"
                                                   "'startupProbe':{'tcpSocket':{'port':8080}},'"
                                                   "livenessProbe':{'exec':{'command':['test','-e','"
                                                   "/tmp/index.html']},'periodSeconds':1,'timeoutSeconds':20},"
                                                   "'readinessProbe':{'httpGet':{'path':'/"
                                                   "index.html','port':'web'},'periodSeconds':1,'timeoutSeconds':20}}"
                                                   "]"));
    world_until_ready(&world, "probed", true);
    world_run_ms(&world, 2500);
    CHECK_INT(json_int_at(world_pod(&world, "probed"), "status.containerStatuses.0.restartCount", -1), 0);
    CHECK(!world_has_event(&world, "probed", "Unhealthy"));
    finish(&world, "probed");
}

TEST(volumes_are_mounted_where_the_manifest_says)
{
    struct world world;
    if (skip())
        return;
    import_busybox();
    open_world(&world);
    world_create(&world, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'conf'},'data':{'a':'one\\n'}}");
    world_create(
        &world,
        POD("vol",
            "'restartPolicy':'Never','volumes':[{'name':'conf','configMap':{'name':'conf'}},{'name':'shared','emptyDir'"
            ":{}},{'name':'ram','emptyDir':{'medium':'Memory','sizeLimit':'1Mi'}}],"
            "'initContainers':[" SHELL(
                "init", "echo from init > /shared/f") ",'volumeMounts':[{'name':'shared','mountPath':'/shared'}]}],"
                                                      "'containers':[" SHELL(
                                                          "main", "cat /conf/a /shared/f; mount | grep -c /ram; "
                                                                  "touch /conf/x 2>/dev/null && echo writable; id "
                                                                  "-u; id -g") ",'securityContext':{'runAsUser':"
                                                                               "1000},'volumeMounts':[{'name':'conf'"
                                                                               ",'mountPath':'/"
                                                                               "conf','readOnly':true},{'name':'"
                                                                               "shared','mountPath':'/"
                                                                               "shared'},{'name':'ram','mountPath':'"
                                                                               "/ram'}]}]"));
    world_until_text(&world, "vol", "status.phase", "Succeeded");
    AUTO_FREE(char)
    text =
        world_logs(&world, "vol",
                   &(struct node_log_options){.container = BYTES_LITERAL("main"), .tail_lines = -1, .limit_bytes = -1});
    CHECK_STR(text, "one\nfrom init\n1\n1000\n1001\n");
    finish(&world, "vol");
}

TEST(a_container_pod_goes_on_while_evoke_is_away)
{
    struct world world;
    if (skip())
        return;
    import_busybox();
    open_world(&world);
    world_create(&world,
                 POD("stay", "'containers':[" SHELL(
                                 "main", "echo up; exec sleep 600") ",'livenessProbe':{'exec':{'command':['true']},'"
                                                                    "periodSeconds':1,'timeoutSeconds':20}}]"));
    world_until_ready(&world, "stay", true);
    char ip[48];
    snprintf(ip, sizeof ip, "%s", json_text_at(world_pod(&world, "stay"), "status.podIP", ""));
    char connected[100];
    snprintf(connected, sizeof connected, "ls /sys/class/net/%s/brif | grep -q .", world.bridge);
    world_close(&world);
    CHECK(system(connected) == 0); /* its network goes on too */
    open_world(&world);
    world_until_ready(&world, "stay", true);
    world_run_ms(&world, 1500);
    CHECK_STR(json_text_at(world_pod(&world, "stay"), "status.podIP", ""), ip);
    CHECK_INT(json_int_at(world_pod(&world, "stay"), "status.containerStatuses.0.restartCount", -1), 0);
    CHECK(!world_has_event(&world, "stay", "Unhealthy"));
    finish(&world, "stay");
}

static int monitor_of(const char *uid)
{
    char command[4400];
    int pid = 0;
    snprintf(command, sizeof command,
             "for p in /proc/[0-9]*; do [ \"$(readlink $p/cwd)\" = %s/pods/%s ] && echo ${p#/proc/}; done", test_dir(),
             uid);
    FILE *said = popen(command, "re");
    CHECK(said != NULL && fscanf(said, "%d", &pid) == 1);
    pclose(said);
    return pid;
}

TEST(a_killed_monitor_is_replaced_at_once_though_its_network_is_there_yet)
{
    struct world world;
    char path[64];
    if (skip())
        return;
    import_busybox();
    open_world(&world);
    world_create(&world, POD("stay", "'containers':[" SHELL("main", "exec sleep 600") "}]"));
    world_until_ready(&world, "stay", true);
    int monitor = monitor_of(world.uids[0]);
    snprintf(path, sizeof path, "/proc/%d/ns/net", monitor);
    int network = open(path, O_RDONLY | O_CLOEXEC); /* keeps it, as a slow kernel would */
    CHECK(network >= 0 && kill(monitor, SIGKILL) == 0);
    world_until_text(&world, "stay", "status.containerStatuses.0.lastState.terminated.reason",
                     "ContainerStatusUnknown");
    world_until_ready(&world, "stay", true);
    CHECK(!world_has_event(&world, "stay", "FailedCreatePodSandBox"));
    CHECK(!world_has_event(&world, "stay", "BackOff"));
    close(network);
    finish(&world, "stay");
}

TEST(a_crashed_container_starts_again_with_a_fresh_file_system)
{
    struct world world;
    if (skip())
        return;
    import_busybox();
    open_world(&world);
    world_create(&world,
                 POD("crash", "'containers':[" SHELL(
                                  "main", "test -e /marker && echo seen; touch /marker; echo run; exit 1") "}]"));
    world_until_text(&world, "crash", "status.containerStatuses.0.state.waiting.reason", "CrashLoopBackOff");
    AUTO_FREE(char) text = world_logs(&world, "crash", NULL);
    CHECK_STR(text, "run\n");
    finish(&world, "crash");
}

TEST(a_container_finds_the_file_for_its_last_words_where_its_manifest_says)
{
    struct world world;
    if (skip())
        return;
    import_busybox();
    open_world(&world);
    world_create(&world, POD("said", "'restartPolicy':'Never','securityContext':{'runAsUser':1234},'containers':["
                                     "{'name':'main','image':'busybox','command':['sh','-c','printf bye > "
                                     "/dev/termination-log'],'securityContext':{'readOnlyRootFilesystem':true}},"
                                     "{'name':'other','image':'busybox','command':['sh','-c','rm -f /tmp/said; printf "
                                     "there > /tmp/said'],'terminationMessagePath':'/tmp/said'}]"));
    world_until_text(&world, "said", "status.phase", "Succeeded");
    const struct json *status = json_at(world_pod(&world, "said"), "status.containerStatuses");
    CHECK_STR(json_text_at(status, "0.state.terminated.message", ""), "bye");
    CHECK_STR(json_text_at(status, "1.state.terminated.message", ""), "there");
    finish(&world, "said");
}

TEST(groups_and_system_calls_are_as_the_security_context_says)
{
    struct world world;
    if (skip())
        return;
    import_busybox();
    open_world(&world);
    world_create(&world, "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'sec'},'data':{'key':'c2VjcmV0'}}");
    world_create(
        &world,
        POD("safe", "'restartPolicy':'Never','securityContext':{'runAsUser':1000,'fsGroup':2000,'supplementalGroups':["
                    "3000],"
                    "'seccompProfile':{'type':'RuntimeDefault'}},'volumes':[{'name':'sec','secret':{'secretName':'sec',"
                    "'defaultMode':256}},{'name':'dir','emptyDir':{}},{'name':'ram','emptyDir':{'medium':'Memory'}}],"
                    "'containers':[" SHELL("main", "id -G; cat /sec/key; echo; touch /dir/f /ram/f; ls -n /dir/f | "
                                                   "grep -cw 2000"
                                                   "; ls -n /ram/f | grep -cw 2000; grep -c ^Seccomp:.2 "
                                                   "/proc/self/status; busybox unshare -U true 2>/dev/null || echo "
                                                   "refused") ",'volumeMounts':[{'name':'sec','mountPath':'/"
                                                              "sec'},{'name':'dir','mountPath':'/dir'},"
                                                              "{'name':'ram','mountPath':'/ram'}]}]"));
    world_until_text(&world, "safe", "status.phase", "Succeeded");
    AUTO_FREE(char) text = world_logs(&world, "safe", NULL);
    CHECK_STR(text, "1001 2000 3000\nsecret\n1\n1\n1\nrefused\n");
    finish(&world, "safe");
}

TEST(a_container_is_told_to_end_by_the_signal_that_its_image_wants)
{
    struct world world;
    if (skip())
        return;
    import_busybox();
    open_world(&world);
    world_create(&world,
                 POD("quit", "'terminationGracePeriodSeconds':600,"
                             "'containers':[" SHELL("main", "trap \\\"exit 0\\\" QUIT; trap \\\"\\\" TERM; echo up; "
                                                            "while :; do sleep 0.01; done") "}]"));
    world_until_ready(&world, "quit", true);
    world_until_logs(&world, "quit", "up\n");
    world_close(&world);
    world_open(&world); /* a later evoke knows it too */
    world_until_ready(&world, "quit", true);
    world_delete(&world, "quit", -1);
    world_until_no_pod(&world, "quit");
    world_end(&world);
}

TEST(a_pod_may_share_processes_and_ipc_with_the_machine_and_leaves_none_of_its_own_behind)
{
    struct world world;
    char ipc[64] = "", json[1000], expected[200];
    if (skip())
        return;
    CHECK(readlink("/proc/self/ns/ipc", ipc, sizeof ipc - 1) > 0);
    import_busybox();
    open_world(&world);
    snprintf(
        json, sizeof json,
        POD("host", "'hostPID':true,'hostIPC':true,'terminationGracePeriodSeconds':1,'containers':[" SHELL(
                        "main", "(exec setsid sleep 600) & readlink /proc/self/ns/ipc; ls -d /proc/%d; wait") "}]"),
        (int)getpid());
    world_create(&world, json);
    world_until_ready(&world, "host", true);
    snprintf(expected, sizeof expected, "%s\n/proc/%d\n", ipc, (int)getpid());
    world_until_logs(&world, "host", expected);
    finish(&world, "host");
}

/* --- The network beyond the pod --- */

static void on_data(void *ctx, struct bytes data)
{
    (void)ctx;
    (void)data;
}

static void on_end(void *ctx, const struct error *err)
{
    (void)ctx;
    (void)err;
}

static void on_accept(void *ctx, struct io_stream *stream)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end};
    io_stream_start(stream, &callbacks, ctx);
    io_stream_write(stream, BYTES_LITERAL("from a service\n"));
    io_stream_close_after_write(stream);
}

TEST(a_container_reaches_the_services_range_and_nothing_of_it_is_left_behind)
{
    struct world world;
    struct error err;
    struct io_address address;
    struct io_listener *listener;
    char pod[1000], script[200];
    if (skip())
        return;
    import_busybox();
    open_world_with_services(&world);
    CHECK(io_address_parse_ip(bytes_of_string(world.cluster_dns), 0, &address));
    address.ip[3] = 77; /* any of the range may be listened on */
    CHECK_OK(io_listen(world.io, &address, NULL, on_accept, NULL, &listener, &err), &err);
    snprintf(script, sizeof script, "nc %d.%d.%d.77 %d </dev/null; cat /etc/resolv.conf", address.ip[0], address.ip[1],
             address.ip[2], io_listener_address(listener).port);
    snprintf(pod, sizeof pod,
             POD("caller",
                 "'restartPolicy':'Never','hostAliases':[{'ip':'192.0.2.1','hostnames':['far']}],"
                 "'containers':[{'name':'main','image':'busybox','command':['sh','-c','%s; grep -c far /etc/hosts']}]"),
             script);
    world_create(&world, pod);
    world_until_text(&world, "caller", "status.phase", "Succeeded");
    AUTO_FREE(char) text = world_logs(&world, "caller", NULL);
    CHECK(strncmp(text, "from a service\nsearch default.svc.cluster.local svc.cluster.local cluster.local", 79) == 0);
    CHECK(strstr(text, world.cluster_dns) && strstr(text, "options ndots:5") && strstr(text, "\n1\n"));
    CHECK(!world_has_event(&world, "caller", "MissingClusterDNS"));
    io_listener_close(listener);
    finish(&world, "caller");
}

/* A machine beyond this one: a network namespace that knows no way back to the pods' addresses. */
static bool outside(const char *action, char ip[32])
{
    char command[1000];
    int number = (int)getpid() % 60000;
    snprintf(ip, 32, "198.18.%d.%d", number / 240, number % 240 / 4 * 4 + 2);
    char here[32];
    snprintf(here, sizeof here, "198.18.%d.%d", number / 240, number % 240 / 4 * 4 + 1);
    snprintf(
        command, sizeof command,
        strcmp(action, "make") == 0
            ? "ip netns add evo%d && ip link add evo%d type veth peer name eth0 netns evo%d && ip addr add %s/30 dev "
              "evo%d && ip link set evo%d up && ip -n evo%d addr add %s/30 dev eth0 && ip -n evo%d link set eth0 up "
              "&& { ip netns exec evo%d timeout 30 busybox nc -l -p 7777 -e echo from outside >/dev/null 2>&1 & }"
            : "ip netns pids evo%d | xargs -r kill; ip netns del evo%d",
        number, number, number, here, number, number, number, ip, number, number);
    return system(command) == 0;
}

TEST(a_container_reaches_what_this_machine_reaches)
{
    struct world world;
    char pod[1000], ip[32];
    if (skip() || system("command -v ip >/dev/null") != 0)
        return;
    import_busybox();
    CHECK(outside("make", ip));
    open_world(&world);
    snprintf(pod, sizeof pod,
             POD("caller", "'restartPolicy':'Never','containers':[{'name':'main','image':'busybox',"
                           "'command':['sh','-c','until nc -w 2 %s 7777 </dev/null; do sleep 0.1; done']}]"),
             ip);
    world_create(&world, pod);
    world_until_text(&world, "caller", "status.phase", "Succeeded");
    AUTO_FREE(char) text = world_logs(&world, "caller", NULL);
    CHECK(strstr(text, "from outside\n") != NULL);
    CHECK(world_has_event(&world, "caller", "MissingClusterDNS")); /* this world has no names of services */
    finish(&world, "caller");
    CHECK(outside("remove", ip));
}
