/* SPDX-License-Identifier: Apache-2.0 */
/* Process pods on the real machine, from the object in the api to what runs, and back. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "http/http_server.h"
#include "io/tls.h"
#include "node/world_test.h"

#define POD(name, spec)                                                                                                \
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" name                                                        \
    "','labels':{'app':'shop'}},'spec':{'runtimeClassName':'process'," spec "}}"
#define SHELL(name, script) "{'name':'" name "','image':'none','command':['sh','-c','" script "']"

TEST(a_process_pod_runs_to_its_end_and_its_output_is_kept)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("job", "'restartPolicy':'Never','containers':[" SHELL(
                                        "main", "echo hello; echo again; exit 0") "}]"));
    world_until_text(&world, "job", "status.phase", "Succeeded");
    const struct json *status = json_get(world_pod(&world, "job"), "status");
    CHECK_STR(json_text_at(status, "containerStatuses.0.state.terminated.reason", ""), "Completed");
    CHECK_INT(json_int_at(status, "containerStatuses.0.restartCount", -1), 0);
    CHECK(strncmp(json_text_at(status, "podIP", ""), "127.", 4) == 0);
    CHECK(strncmp(json_text_at(status, "podIP", ""), "127.0.0.", 8) != 0);
    AUTO_FREE(char) all = world_logs(&world, "job", NULL);
    CHECK_STR(all, "hello\nagain\n");
    const struct node_log_options last = {.tail_lines = 1, .limit_bytes = -1};
    AUTO_FREE(char) one = world_logs(&world, "job", &last);
    CHECK_STR(one, "again\n");
    CHECK(world_has_event(&world, "job", "Scheduled"));
    CHECK(world_has_event(&world, "job", "Started"));
    world_delete(&world, "job", -1);
    world_until_no_pod(&world, "job");
    world_end(&world);
}

TEST(a_failing_pod_that_may_not_restart_is_failed)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("job", "'restartPolicy':'Never','containers':[" SHELL("main", "exit 3") "}]"));
    world_until_text(&world, "job", "status.phase", "Failed");
    const struct json *status = json_get(world_pod(&world, "job"), "status");
    CHECK_INT(json_int_at(status, "containerStatuses.0.state.terminated.exitCode", -1), 3);
    CHECK_STR(json_text_at(status, "containerStatuses.0.state.terminated.reason", ""), "Error");
    world_delete(&world, "job", 0);
    world_until_no_pod(&world, "job");
    world_end(&world);
}

TEST(a_crashing_container_restarts_at_once_and_then_backs_off)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("crash", "'containers':[" SHELL("main", "echo run; exit 1") "}]"));
    world_until_text(&world, "crash", "status.containerStatuses.0.state.waiting.reason", "CrashLoopBackOff");
    const struct json *status = json_get(world_pod(&world, "crash"), "status");
    CHECK_INT(json_int_at(status, "containerStatuses.0.restartCount", -1), 1);
    CHECK_INT(json_int_at(status, "containerStatuses.0.lastState.terminated.exitCode", -1), 1);
    char message[200];
    snprintf(message, sizeof message, "back-off 10s restarting failed container=main pod=crash_default(%s)",
             json_text_at(world_pod(&world, "crash"), "metadata.uid", ""));
    CHECK_STR(json_text_at(status, "containerStatuses.0.state.waiting.message", ""), message);
    CHECK_STR(json_text_at(status, "phase", ""), "Running");
    const struct node_log_options previous = {.previous = true, .tail_lines = -1, .limit_bytes = -1};
    AUTO_FREE(char) text = world_logs(&world, "crash", &previous);
    CHECK_STR(text, "run\n");
    CHECK(world_has_event(&world, "crash", "BackOff"));
    world_delete(&world, "crash", 0);
    world_until_no_pod(&world, "crash");
    world_end(&world);
}

TEST(a_command_that_does_not_exist_is_told_with_the_systems_words)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("typo", "'containers':[{'name':'main','image':'none','command':['/no/such/program']}]"));
    world_until_text(&world, "typo", "status.containerStatuses.0.state.waiting.reason", "RunContainerError");
    CHECK_STR(json_text_at(world_pod(&world, "typo"), "status.containerStatuses.0.state.waiting.message", ""),
              "exec /no/such/program: No such file or directory");
    CHECK(world_has_event(&world, "typo", "Failed"));
    world_delete(&world, "typo", 0);
    world_until_no_pod(&world, "typo");
    world_end(&world);
}

TEST(a_pod_that_would_be_a_container_is_told_why_it_is_a_process)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'none'},"
                         "'spec':{'containers':[{'name':'main','image':'none'}]}}");
    world_until_text(&world, "none", "status.containerStatuses.0.state.waiting.reason", "CreateContainerConfigError");
    CHECK_STR(json_text_at(world_pod(&world, "none"), "status.containerStatuses.0.state.waiting.message", ""),
              "container main has no command: a process has no image to take one from, set `command` (this pod runs as "
              "a process, not as a container: this node has no runtime for containers)");
    world_delete(&world, "none", 0);
    world_until_no_pod(&world, "none");
    world_end(&world);
}

TEST(each_start_takes_the_nodes_lease)
{
    struct world world = {0};
    world_open(&world);
    const char *name = world.machine.hostname;
    AUTO_OBJECT *first = object_ref(api_find(world.api, "Lease", "kube-node-lease", name));
    CHECK(first != NULL);
    CHECK_STR(json_text_at(first->json, "spec.holderIdentity", ""), name);
    CHECK_STR(json_text_at(first->json, "metadata.ownerReferences.0.uid", ""),
              api_find(world.api, "Node", "", name)->uid);
    world_run_ms(&world, 50);
    CHECK(object_text(api_find(world.api, "Lease", "kube-node-lease", name)).data == object_text(first).data);
    world_close(&world);
    world_open(&world);
    const struct object *second = api_find(world.api, "Lease", "kube-node-lease", name);
    CHECK_STR(second->uid, first->uid);
    CHECK(strcmp(json_text_at(second->json, "spec.renewTime", ""), json_text_at(first->json, "spec.renewTime", "")) >
          0);
    world_end(&world);
}

TEST(variables_come_from_all_sources_and_are_expanded)
{
    struct world world = {0};
    world_open(&world);
    world_create(
        &world,
        "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'conf'},'data':{'KEY':'from map','OTHER':'o'}}");
    world_create(&world, "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'sec'},'data':{'PW':'c2VjcmV0'}}");
    world_create(
        &world,
        POD("env",
            "'restartPolicy':'Never','containers':[{'name':'main','image':'none','command':['sh','-c','"
            "echo $A; echo $B; echo $C; echo $D; echo $E; echo $P_OTHER; echo $PORT; echo $F; echo $G'],"
            "'ports':[{'containerPort':8080}],'resources':{'limits':{'memory':'64Mi'}},"
            "'envFrom':[{'prefix':'P_','configMapRef':{'name':'conf'}}],"
            "'env':[{'name':'A','value':'plain'},{'name':'B','value':'<$(A)>'},{'name':'G','value':'$$(A) $(NO) $'},"
            "{'name':'C','valueFrom':{'configMapKeyRef':{'name':'conf','key':'KEY'}}},"
            "{'name':'D','valueFrom':{'secretKeyRef':{'name':'sec','key':'PW'}}},"
            "{'name':'E','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}},"
            "{'name':'F','valueFrom':{'resourceFieldRef':{'resource':'limits.memory','divisor':'1Mi'}}}]}]"));
    world_until_text(&world, "env", "status.phase", "Succeeded");
    AUTO_FREE(char) text = world_logs(&world, "env", NULL);
    CHECK_STR(text, "plain\n<plain>\nfrom map\nsecret\nenv\no\n8080\n64\n$(A) $(NO) $\n");
    world_delete(&world, "env", 0);
    world_until_no_pod(&world, "env");
    world_end(&world);
}

TEST(a_container_waits_for_a_config_map_that_is_not_there)
{
    struct world world = {0};
    world_open(&world);
    world_create(
        &world,
        POD("wait",
            "'restartPolicy':'Never','containers':[" SHELL(
                "main",
                "echo $X") ",'env':[{'name':'X','valueFrom':{'configMapKeyRef':{'name':'late','key':'k'}}}]}]"));
    world_until_text(&world, "wait", "status.containerStatuses.0.state.waiting.reason", "CreateContainerConfigError");
    CHECK_STR(json_text_at(world_pod(&world, "wait"), "status.containerStatuses.0.state.waiting.message", ""),
              "configmap \"late\" not found");
    world_create(&world, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'late'},'data':{'k':'at last'}}");
    world_until_text(&world, "wait", "status.phase", "Succeeded");
    AUTO_FREE(char) text = world_logs(&world, "wait", NULL);
    CHECK_STR(text, "at last\n");
    world_delete(&world, "wait", 0);
    world_until_no_pod(&world, "wait");
    world_end(&world);
}

TEST(a_config_map_volume_follows_its_config_map)
{
    struct world world = {0};
    struct error err;
    world_open(&world);
    world_create(&world,
                 "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'conf'},'data':{'a':'one','gone':'x'}}");
    world_create(
        &world,
        POD("vol", "'volumes':[{'name':'my-conf','configMap':{'name':'conf'}}],'containers':[" SHELL(
                       "main", "cd $VOLUME_MY_CONF; cat a; ls; while grep -q one a; do sleep 0.02; done; cat a; ls; "
                               "exec sleep 600") ",'volumeMounts':[{'name':'my-conf','mountPath':'/etc/conf'}]}]"));
    world_until_ready(&world, "vol", true);
    world_until_logs(&world, "vol", "onea\ngone\n");
    struct object *conf = api_find(world.api, "ConfigMap", "default", "conf");
    AUTO_JSON *json = json_clone(conf->json);
    json_set_at(json, "data.a", json_new_text("two"));
    json_remove(json_get(json, "data"), "gone");
    CHECK_OK(api_update(world.api, conf->kind, conf->namespace, conf->name, json, 0, NULL, &err), &err);
    world_until_logs(&world, "vol", "onea\ngone\ntwoa\n");
    CHECK(world_has_event(&world, "vol", "VolumeNotMounted"));
    world_delete(&world, "vol", 0);
    world_until_no_pod(&world, "vol");
    world_end(&world);
}

TEST(init_containers_run_one_after_the_other_before_the_others)
{
    struct world world = {0};
    world_open(&world);
    world_create(
        &world,
        POD("init",
            "'restartPolicy':'Never','volumes':[{'name':'d','emptyDir':{}}],"
            "'initContainers':[" SHELL(
                "one", "echo 1 >> $VOLUME_D/f") ",'volumeMounts':[{'name':'d','mountPath':'/"
                                                "d'}]}," SHELL("two", "echo 2 >> $VOLUME_D/f") ",'"
                                                                                               "volumeMounts':"
                                                                                               "[{'name':'d','"
                                                                                               "mountPath':'/"
                                                                                               "d'}]}],"
                                                                                               "'containers':"
                                                                                               "[" SHELL("main",
                                                                                                         "cat "
                                                                                                         "$VOLUME_D/"
                                                                                                         "f") ",'"
                                                                                                              "volum"
                                                                                                              "eMoun"
                                                                                                              "ts':["
                                                                                                              "{'"
                                                                                                              "name'"
                                                                                                              ":'d',"
                                                                                                              "'moun"
                                                                                                              "tPath"
                                                                                                              "':'/"
                                                                                                              "d'}]}"
                                                                                                              "]"));
    world_until_text(&world, "init", "status.phase", "Succeeded");
    AUTO_FREE(char)
    text =
        world_logs(&world, "init",
                   &(struct node_log_options){.container = BYTES_LITERAL("main"), .tail_lines = -1, .limit_bytes = -1});
    CHECK_STR(text, "1\n2\n");
    world_delete(&world, "init", 0);
    world_until_no_pod(&world, "init");
    world_end(&world);
}

TEST(a_readiness_probe_makes_a_pod_ready_and_takes_it_back)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world,
                 POD("probe", "'volumes':[{'name':'d','emptyDir':{}}],'containers':[" SHELL(
                                  "main", "sleep 0.05; touch $VOLUME_D/ready; sleep 0.1; rm $VOLUME_D/ready; exec "
                                          "sleep 600") ",'volumeMounts':[{'name':'d','mountPath':'/d'}],"
                                                       "'readinessProbe':{'periodSeconds':1,'failureThreshold':1,'exec'"
                                                       ":{'command':['sh','-c','test -e $VOLUME_D/ready']}}}]"));
    world_until_text(&world, "probe", "status.phase", "Running");
    world_until_ready(&world, "probe", true);
    world_until_ready(&world, "probe", false);
    CHECK(world_has_event(&world, "probe", "Unhealthy"));
    world_delete(&world, "probe", 0);
    world_until_no_pod(&world, "probe");
    world_end(&world);
}

static void answer_ready(void *ctx, struct http_request *request)
{
    bool *ready = ctx;
    bool asked = bytes_equal_string(request->head->path, "/ready");
    http_respond_text(request, *ready && asked ? 200 : 503, "\n");
}

static struct http_server *open_https(struct world *world, bool *ready, struct io_tls **tls)
{
    static const char *const names[] = {"somebody-else.test"};
    struct io_certificate ca, certificate;
    struct error err;
    struct http_server_options options = {.name = "test", .on_request = answer_ready, .ctx = ready};
    CHECK_OK(io_certificate_make_ca(world->io, "nobody knows it", 1, &ca, &err), &err);
    CHECK_OK(io_certificate_make(world->io, &ca, "server", NULL, 0, names, 1, 1, &certificate, &err), &err);
    options.tls = io_tls_server_new(world->io, bytes_of_string(certificate.certificate_pem),
                                    bytes_of_string(certificate.key_pem), BYTES_NULL, &err);
    CHECK_OK(options.tls != NULL, &err);
    *tls = options.tls;
    CHECK_OK(io_address_parse("127.0.0.1:0", &options.address, &err), &err);
    io_certificate_deinit(&ca);
    io_certificate_deinit(&certificate);
    struct http_server *server = http_server_open(world->io, &options, &err);
    CHECK_OK(server != NULL, &err);
    return server;
}

TEST(a_probe_by_https_takes_any_certificate)
{
    struct world world = {0};
    char pod[1000];
    bool ready = true;
    struct io_tls *tls;
    world_open(&world);
    struct http_server *server = open_https(&world, &ready, &tls);
    snprintf(pod, sizeof pod,
             POD("probe",
                 "'containers':[" SHELL(
                     "main",
                     "exec sleep 600") ",'readinessProbe':{'periodSeconds':1,"
                                       "'failureThreshold':1,'httpGet':{'scheme':'HTTPS','host':'127.0.0.1','port':%d,"
                                       "'path':'/ready'}}}]"),
             http_server_address(server).port);
    world_create(&world, pod);
    world_until_ready(&world, "probe", true);
    ready = false;
    world_until_ready(&world, "probe", false);
    world_delete(&world, "probe", 0);
    world_until_no_pod(&world, "probe");
    http_server_close(server);
    io_tls_free(tls);
    world_end(&world);
}

TEST(a_failing_liveness_probe_restarts_the_container)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world,
                 POD("live", "'terminationGracePeriodSeconds':1,'containers':[" SHELL(
                                 "main", "exec sleep 600") ",'livenessProbe':{'periodSeconds':1,'failureThreshold':1,'"
                                                           "exec':{'command':['false']}}}]"));
    world_until_text(&world, "live", "status.containerStatuses.0.lastState.terminated.reason", "Error");
    CHECK(world_has_event(&world, "live", "Killing"));
    world_delete(&world, "live", 0);
    world_until_no_pod(&world, "live");
    world_end(&world);
}

TEST(a_deleted_pod_gets_sigterm_and_time_to_end)
{
    struct world world = {0};
    world_open(&world);
    world_create(
        &world,
        POD("nice", "'containers':[" SHELL(
                        "main", "trap \\\"echo bye; exit 0\\\" TERM; echo up; while :; do sleep 0.01; done") "}]"));
    world_until_ready(&world, "nice", true);
    world_until_logs(&world, "nice", "up\n");
    world_delete(&world, "nice", -1);
    CHECK(json_get(json_get(world_pod(&world, "nice"), "metadata"), "deletionTimestamp") != NULL);
    world_until_no_pod(&world, "nice");
    CHECK(world_has_event(&world, "nice", "Killing"));
    world_end(&world);
}

TEST(a_pod_that_ignores_sigterm_is_killed_when_its_grace_is_over)
{
    struct world world = {0};
    world_open(&world);
    world_create(
        &world,
        POD("stubborn", "'containers':[" SHELL(
                            "main", "trap \\\"\\\" TERM; (setsid sleep 600 &); while :; do sleep 0.01; done") "}]"));
    world_until_ready(&world, "stubborn", true);
    world_delete(&world, "stubborn", 1);
    world_until_no_pod(&world, "stubborn");
    world_end(&world);
}

/* Not so for one that nobody has reaped yet. */
static bool alive(int pid)
{
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = pid > 0 ? fopen(path, "re") : NULL;
    bool known = file && fscanf(file, "%*d %*s %c", &state) == 1;
    if (file)
        fclose(file);
    return known && state != 'Z';
}

static int pid_of(struct world *world, const char *pod)
{
    AUTO_FREE(char) text = world_logs(world, pod, NULL);
    return strncmp(text, "pid ", 4) == 0 ? (int)strtol(text + 4, NULL, 10) : 0;
}

TEST(a_pod_goes_on_while_evoke_is_away_and_is_found_again)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("stay", "'containers':[" SHELL("main", "echo pid $$$$; exec sleep 600") "}]"));
    world_create(&world, POD("ends", "'restartPolicy':'Never','containers':[" SHELL("main", "sleep 0.3; exit 5") "}]"));
    world_until_ready(&world, "stay", true);
    world_until_ready(&world, "ends", true);
    world_until_logs(&world, "stay", "pid ");
    int pid = pid_of(&world, "stay");
    char ip[48];
    snprintf(ip, sizeof ip, "%s", json_text_at(world_pod(&world, "stay"), "status.podIP", ""));
    world_close(&world);
    usleep(500000);
    world_open(&world);
    world_until_text(&world, "ends", "status.phase", "Failed");
    CHECK_INT(json_int_at(world_pod(&world, "ends"), "status.containerStatuses.0.state.terminated.exitCode", -1), 5);
    world_until_ready(&world, "stay", true);
    CHECK_INT(json_int_at(world_pod(&world, "stay"), "status.containerStatuses.0.restartCount", -1), 0);
    CHECK_STR(json_text_at(world_pod(&world, "stay"), "status.podIP", ""), ip);
    CHECK(alive(pid));
    world_delete(&world, "stay", 0);
    world_delete(&world, "ends", 0);
    world_until_no_pod(&world, "stay");
    world_until_no_pod(&world, "ends");
    world_check_clean(&world);
    CHECK(!alive(pid));
    world_end(&world);
}

/* Of the only pod of the test. */
static void kill_monitor(void)
{
    char command[4200];
    snprintf(command, sizeof command,
             "kill -9 $(ls -l /proc/[0-9]*/cwd 2>/dev/null | grep '%s/pods' | sed 's,.*/proc/\\([0-9]*\\)/.*,\\1,' | "
             "head -1)",
             test_dir());
    CHECK(system(command) == 0);
}

TEST(a_pod_that_is_deleted_before_its_monitor_was_found_again_ends_with_it)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("stay", "'containers':[" SHELL("main", "exec sleep 600") "}]"));
    world_until_ready(&world, "stay", true);
    world_close(&world);
    world_open(&world);
    world_delete(&world, "stay", 0);
    world_until_no_pod(&world, "stay");
    world_end(&world);
}

TEST(a_pod_whose_monitor_is_killed_is_started_anew)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("stay", "'containers':[" SHELL("main", "echo pid $$$$; exec sleep 600") "}]"));
    world_until_ready(&world, "stay", true);
    world_until_logs(&world, "stay", "pid ");
    int pid = pid_of(&world, "stay");
    kill_monitor();
    world_until_text(&world, "stay", "status.containerStatuses.0.lastState.terminated.reason",
                     "ContainerStatusUnknown");
    world_until_ready(&world, "stay", true);
    CHECK_INT(json_int_at(world_pod(&world, "stay"), "status.containerStatuses.0.restartCount", -1), 1);
    CHECK(!alive(pid));
    CHECK(!world_has_event(&world, "stay", "BackOff")); /* at once, this first time */
    world_delete(&world, "stay", 0);
    world_until_no_pod(&world, "stay");
    world_end(&world);
}

TEST(without_control_groups_a_killed_monitor_leaves_nothing_either)
{
    char proc[4200], command[4500];
    snprintf(proc, sizeof proc, "%s/none", test_dir());
    struct world world = {.proc = proc};
    world_open(&world);
    world_create(&world,
                 POD("stay", "'containers':[" SHELL("main", "(setsid sleep 600 &); sleep 600 & echo up; wait") "}]"));
    world_until_ready(&world, "stay", true);
    world_until_logs(&world, "stay", "up");
    snprintf(command, sizeof command,
             "grep -lz 'EVOKE_POD_UID=%s' /proc/[0-9]*/environ 2>/dev/null | wc -l | grep -qx 3", world.uids[0]);
    CHECK(system(command) == 0); /* the shell and both of its children */
    kill_monitor();
    world_until_text(&world, "stay", "status.containerStatuses.0.lastState.terminated.reason",
                     "ContainerStatusUnknown");
    world_until_ready(&world, "stay", true);
    world_until_logs(&world, "stay", "up");
    CHECK(system(command) == 0); /* those of the new run alone */
    node_close(world.node);      /* nobody looks while its monitor is killed and it is deleted */
    world.node = NULL;
    kill_monitor();
    world_delete(&world, "stay", 0);
    world_close(&world);
    world_open(&world);
    world_check_clean(&world);
    CHECK(system(command) != 0);
    world_end(&world);
}

static bool backs_off(struct world *world, const void *ctx)
{
    return world_has_event(world, ctx, "BackOff");
}

TEST(a_monitor_that_cannot_start_is_tried_again_once_and_then_with_patience)
{
    struct world world = {0};
    char monitor[4200], starts[4200];
    snprintf(monitor, sizeof monitor, "%s/monitor", test_dir());
    snprintf(starts, sizeof starts, "%s/starts", test_dir());
    FILE *script = fopen(monitor, "w");
    CHECK(script != NULL);
    fprintf(script, "#!/bin/sh\necho start >> %s\nexit 1\n", starts);
    fclose(script);
    CHECK(chmod(monitor, 0755) == 0);
    world.monitor_path = monitor;
    world_open(&world);
    world_create(&world, POD("none", "'containers':[{'name':'main','image':'none','command':['sleep','600']}]"));
    world_until(&world, backs_off, "none", "the pod's sandbox backs off");
    world_run_ms(&world, 200);
    struct stat stat_of;
    CHECK(stat(starts, &stat_of) == 0);
    CHECK(stat_of.st_size <= (off_t)(2 * strlen("start\n"))); /* one may be ended before it says so */
    CHECK(world_has_event(&world, "none", "FailedCreatePodSandBox"));
    world_delete(&world, "none", 0);
    world_until_no_pod(&world, "none");
    world_end(&world);
}

/* Control groups as plain directories: their processes cannot enter them, but what is in them keeps them. */
static const char *fake_groups(void)
{
    static char proc[4200];
    char command[20000];
    snprintf(proc, sizeof proc, "%s/proc", test_dir());
    snprintf(command, sizeof command,
             "mkdir -p %s %s/pids && echo '7:pids:/' > %s/cgroup && "
             "echo '1 1 0:1 / %s/pids rw - cgroup cgroup rw,pids' > %s/mountinfo",
             proc, test_dir(), proc, test_dir(), proc);
    CHECK(system(command) == 0);
    return proc;
}

static bool cannot_be_killed(struct world *world, const void *ctx)
{
    return world_has_event(world, ctx, "FailedKillPod");
}

TEST(a_pod_whose_group_is_in_use_stays_until_it_is_not_also_through_a_restart)
{
    struct world world = {.proc = fake_groups()};
    char command[4300];
    world_open(&world);
    world_create(&world, POD("held", "'containers':[" SHELL("main", "exec sleep 600") "}]"));
    world_until_text(&world, "held", "status.containerStatuses.0.state.waiting.reason", "RunContainerError");
    snprintf(command, sizeof command, "for d in %s/pids/evoke/*; do touch $d/held; done", test_dir());
    CHECK(system(command) == 0);
    world_delete(&world, "held", 1);
    world_until(&world, cannot_be_killed, "held", "it is said that something is left of the pod");
    CHECK(world_pod(&world, "held") != NULL);
    world_close(&world);
    snprintf(command, sizeof command, "echo '7:pids:/elsewhere' > %s/cgroup", world.proc); /* evoke's own group */
    CHECK(system(command) == 0);
    world_open(&world);
    world_run_ms(&world, 100);
    CHECK(world_pod(&world, "held") != NULL);
    snprintf(command, sizeof command, "rm %s/pids/evoke/*/held", test_dir());
    CHECK(system(command) == 0);
    world_until_no_pod(&world, "held");
    snprintf(command, sizeof command, "test -e %s/pids/evoke", test_dir());
    CHECK(system(command) != 0);
    world_end(&world);
}

/* The unified hierarchy is mounted wherever there are control groups at all; this moves the test into a group of it. */
static bool move_to(const char *group)
{
    char command[400];
    snprintf(command, sizeof command,
             "M=$(awk '/ - cgroup2 /{print $5; exit}' /proc/self/mountinfo); test -n \"$M\" && mkdir -p $M/%s && "
             "echo %d > $M/%s/cgroup.procs",
             group, (int)getpid(), group);
    return system(command) == 0;
}

TEST(the_groups_of_a_pod_are_found_by_an_evoke_in_another_group)
{
    struct world world = {0};
    char group[40], command[400];
    snprintf(group, sizeof group, "evoke-test-%d", (int)getpid());
    if (!move_to(group))
        return; /* not root, or no control groups */
    world_open(&world);
    world_create(&world, POD("stay", "'containers':[" SHELL("main", "exec sleep 600") "}]"));
    world_until_ready(&world, "stay", true);
    world_close(&world);
    CHECK(move_to(""));
    world_open(&world);
    world_until_ready(&world, "stay", true);
    world_delete(&world, "stay", 0);
    world_until_no_pod(&world, "stay");
    world_end(&world);
    snprintf(command, sizeof command, "rmdir $(awk '/ - cgroup2 /{print $5; exit}' /proc/self/mountinfo)/%s", group);
    CHECK(system(command) == 0); /* so there was nothing else in it */
}

TEST(what_runs_without_an_object_is_ended_at_the_start)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("orphan", "'containers':[" SHELL("main", "exec sleep 600") "}]"));
    world_until_ready(&world, "orphan", true);
    node_close(world.node); /* evoke ends; the object goes while no node looks */
    world.node = NULL;
    world_delete(&world, "orphan", 0);
    world_close(&world);
    world_open(&world);
    world_end(&world);
}

TEST(a_log_can_be_followed_until_the_container_ends)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("talk", "'restartPolicy':'Never','containers':[" SHELL(
                                         "main", "for i in 1 2 3; do echo $i; sleep 0.05; done") "}]"));
    world_until_text(&world, "talk", "status.phase", "Running");
    const struct node_log_options follow = {.follow = true, .tail_lines = -1, .limit_bytes = -1};
    AUTO_FREE(char) text = world_logs(&world, "talk", &follow);
    CHECK_STR(text, "1\n2\n3\n");
    world_delete(&world, "talk", 0);
    world_until_no_pod(&world, "talk");
    world_end(&world);
}

TEST(a_pod_that_nothing_fits_says_why)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world,
                 POD("far", "'nodeSelector':{'disk':'ssd'},'containers':[" SHELL("main", "exec sleep 600") "}]"));
    world_until_text(&world, "far", "status.conditions.0.reason", "Unschedulable");
    CHECK(world_has_event(&world, "far", "FailedScheduling"));
    world_delete(&world, "far", 0);
    world_until_no_pod(&world, "far");
    world_end(&world);
}

TEST(memory_and_processor_limits_are_applied_or_it_is_told)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("big", "'restartPolicy':'Never','containers':[" SHELL(
                                        "main", "x=xxxxxxxxxxxxxxxx; while [ ${#x} -lt 200000000 ]; do x=$x$x; done; "
                                                "exit 7") ","
                                                          "'resources':{'limits':{'memory':'32Mi','cpu':'500m'}}}]"));
    world_until_text(&world, "big", "status.phase", "Failed");
    bool told = world_has_event(&world, "big", "ResourcesNotApplied");
    int64_t code = json_int_at(world_pod(&world, "big"), "status.containerStatuses.0.state.terminated.exitCode", -1);
    CHECK(told || code == 137);
    world_delete(&world, "big", 0);
    world_until_no_pod(&world, "big");
    world_end(&world);
}

TEST(a_sidecar_starts_before_and_ends_after_the_others)
{
    struct world world = {0};
    world_open(&world);
    world_create(
        &world,
        POD("side",
            "'restartPolicy':'Never','volumes':[{'name':'d','emptyDir':{}}],"
            "'initContainers':[{'name':'side','image':'none','restartPolicy':'Always','command':['sh','-c','touch "
            "$VOLUME_D/side; exec sleep 600'],"
            "'volumeMounts':[{'name':'d','mountPath':'/d'}],'startupProbe':{'exec':{'command':['sh','-c','test -e "
            "$VOLUME_D/side']}}}],"
            "'containers':[" SHELL(
                "main", "test -e $VOLUME_D/side && echo there") ",'volumeMounts':[{'name':'d','mountPath':'/d'}]}]"));
    world_until_text(&world, "side", "status.phase", "Succeeded");
    AUTO_FREE(char)
    text =
        world_logs(&world, "side",
                   &(struct node_log_options){.container = BYTES_LITERAL("main"), .tail_lines = -1, .limit_bytes = -1});
    CHECK_STR(text, "there\n");
    world_delete(&world, "side", 0);
    world_until_no_pod(&world, "side");
    world_end(&world);
}

TEST(a_pre_stop_hook_runs_before_sigterm)
{
    struct world world = {0};
    char path[4200], json[10000];
    world_open(&world);
    snprintf(path, sizeof path, "%s/order", test_dir());
    snprintf(json, sizeof json,
             POD("hook", "'containers':[{'name':'main','image':'none','command':['sh','-c','"
                         "trap \\\"echo term >> %s; exit 0\\\" TERM; echo up; while :; do sleep 0.01; done'],"
                         "'lifecycle':{'preStop':{'exec':{'command':['sh','-c','sleep 0.05; echo hook >> %s']}}}}]"),
             path, path);
    world_create(&world, json);
    world_until_ready(&world, "hook", true);
    world_until_logs(&world, "hook", "up\n");
    world_delete(&world, "hook", 10);
    world_until_no_pod(&world, "hook");
    snprintf(json, sizeof json, "test \"$(tr '\\n' ' ' < %s)\" = 'hook term '", path);
    CHECK(system(json) == 0);
    world_end(&world);
}

static bool tells_its_id(struct world *world, const void *pod)
{
    return json_text_at(world_pod(world, pod), "status.containerStatuses.0.containerID", "")[0];
}

TEST(a_post_start_hook_runs_before_the_container_counts_as_running_and_the_next_is_started)
{
    struct world world = {0};
    char path[4200], json[10000];
    world_open(&world);
    snprintf(path, sizeof path, "%s/order", test_dir());
    snprintf(json, sizeof json,
             POD("hook", "'containers':[{'name':'first','image':'none','command':['sleep','600'],"
                         "'lifecycle':{'postStart':{'exec':{'command':['sh','-c','sleep 0.2; echo hook >> %s']}}}},"
                         "{'name':'second','image':'none','command':['sh','-c','echo second >> %s; exec sleep 600']}]"),
             path, path);
    world_create(&world, json);
    world_until_ready(&world, "hook", true);
    snprintf(json, sizeof json, "until test \"$(tr '\\n' ' ' < %s)\" = 'hook second '; do sleep 0.01; done", path);
    CHECK(system(json) == 0);
    world_delete(&world, "hook", 0);
    world_until_no_pod(&world, "hook");
    world_end(&world);
}

TEST(a_container_whose_post_start_hook_fails_is_stopped_and_started_again)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("hook", "'terminationGracePeriodSeconds':1,'containers':[" SHELL(
                                         "main", "exec sleep 600") ",'lifecycle':{'postStart':{'exec':{'command':"
                                                                   "['sh','-c','echo no; exit 3']}}}}]"));
    world_until_text(&world, "hook", "status.containerStatuses.0.lastState.terminated.reason", "Error");
    CHECK(world_has_event(&world, "hook", "FailedPostStartHook"));
    CHECK(strcmp(json_text_at(world_pod(&world, "hook"), "status.phase", ""), "Failed") != 0);
    world_delete(&world, "hook", 0);
    world_until_no_pod(&world, "hook");
    world_end(&world);
}

TEST(a_pod_that_is_deleted_amid_its_post_start_hook_ends)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world,
                 POD("hook", "'containers':[" SHELL(
                                 "main", "exec sleep 600") ",'lifecycle':{'postStart':"
                                                           "{'exec':{'command':['sh','-c','exec sleep 600']}}}}]"));
    world_until(&world, tells_its_id, "hook", "its container is started, and its status says so");
    CHECK_STR(json_text_at(world_pod(&world, "hook"), "status.phase", ""), "Pending");
    world_delete(&world, "hook", 30);
    world_until_no_pod(&world, "hook");
    CHECK(!world_has_event(&world, "hook", "FailedPostStartHook"));
    world_end(&world);
}

TEST(a_cordoned_node_takes_no_pod_until_it_is_uncordoned)
{
    struct world world = {0};
    struct error err;
    world_open(&world);
    struct object *node = api_find(world.api, "Node", "", world.machine.hostname);
    AUTO_JSON *json = json_clone(node->json);
    json_set_at(json, "spec.unschedulable", json_new_bool(true));
    json_remove(json_get(json, "metadata"), "resourceVersion");
    CHECK_OK(api_update(world.api, node->kind, BYTES_LITERAL(""), bytes_of_string(world.machine.hostname), json, 0,
                        NULL, &err),
             &err);
    world_create(&world, POD("wait", "'containers':[" SHELL("main", "exec sleep 600") "}]"));
    world_until_text(&world, "wait", "status.conditions.0.reason", "Unschedulable");
    json_set_at(json, "spec.unschedulable", json_new_bool(false));
    CHECK_OK(api_update(world.api, node->kind, BYTES_LITERAL(""), bytes_of_string(world.machine.hostname), json, 0,
                        NULL, &err),
             &err);
    world_until_ready(&world, "wait", true);
    world_delete(&world, "wait", 0);
    world_until_no_pod(&world, "wait");
    world_end(&world);
}
