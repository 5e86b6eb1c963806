/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a pod that change its life, on the real machine, with process pods. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/world_test.h"

#define POD(name, spec)                                                                                                \
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" name "'},'spec':{'runtimeClassName':'process'," spec "}}"
#define SHELL(script) "{'name':'main','image':'none','command':['sh','-c','" script "']"

static void finish(struct world *world, const char *pod)
{
    world_delete(world, pod, 0);
    world_until_no_pod(world, pod);
}

TEST(a_pod_that_is_over_its_deadline_is_ended_and_has_failed)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("late", "'activeDeadlineSeconds':1,'containers':[" SHELL(
                                         "trap \\\"echo ended; exit 0\\\" TERM; while :; do sleep 0.01; done") "}]"));
    world_until_ready(&world, "late", true);
    world_until_text(&world, "late", "status.phase", "Failed");
    const struct json *status = json_get(world_pod(&world, "late"), "status");
    CHECK_STR(json_text_at(status, "reason", ""), "DeadlineExceeded");
    CHECK_STR(json_text_at(status, "message", ""), "Pod was active on the node longer than the specified deadline");
    CHECK_STR(json_text_at(status, "containerStatuses.0.state.terminated.reason", ""), "Completed");
    CHECK(world_has_event(&world, "late", "DeadlineExceeded"));
    AUTO_FREE(char) text = world_logs(&world, "late", NULL);
    CHECK_STR(text, "ended\n");
    finish(&world, "late");
    world_end(&world);
}

TEST(a_deadline_counts_while_evoke_is_away_and_before_anything_has_run)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("away", "'activeDeadlineSeconds':1,'containers':[" SHELL("exec sleep 600") "}]"));
    world_create(&world, POD("waits", "'activeDeadlineSeconds':1,'volumes':[{'name':'v','configMap':{'name':'none'}}],"
                                      "'containers':[" SHELL("exec sleep 600") "}]"));
    world_until_ready(&world, "away", true);
    world_close(&world);
    world_open(&world);
    world_until_text(&world, "away", "status.phase", "Failed");
    world_until_text(&world, "waits", "status.phase", "Failed");
    CHECK_STR(json_text_at(world_pod(&world, "away"), "status.reason", ""), "DeadlineExceeded");
    CHECK_STR(json_text_at(world_pod(&world, "waits"), "status.reason", ""), "DeadlineExceeded");
    finish(&world, "away");
    finish(&world, "waits");
    world_end(&world);
}

/* The pod's own grace is longer than the test is patient. */
TEST(a_probe_that_ends_its_container_may_give_it_less_time_than_the_pod)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("deaf", "'terminationGracePeriodSeconds':600,'containers':[" SHELL(
                                         "trap \\\"\\\" TERM; touch $TERMINATION_MESSAGE_PATH.deaf; while :; do sleep "
                                         "0.01; done") ",'livenessProbe':{'exec':{'command':['sh','-c','test ! -e "
                                                       "$TERMINATION_MESSAGE_PATH.deaf']},'periodSeconds':1,'"
                                                       "failureThreshold':1,'terminationGracePeriodSeconds':1}}]"));
    world_until_text(&world, "deaf", "status.containerStatuses.0.lastState.terminated.reason", "Error");
    CHECK_INT(json_int_at(world_pod(&world, "deaf"), "status.containerStatuses.0.lastState.terminated.exitCode", 0),
              137);
    finish(&world, "deaf");
    world_end(&world);
}

TEST(a_pod_whose_host_path_is_not_what_it_should_be_says_so)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("socket", "'volumes':[{'name':'v','hostPath':{'path':'/etc','type':'Socket'}}],"
                                       "'containers':[" SHELL("exec sleep 600") "}]"));
    while (!world_has_event(&world, "socket", "FailedCreatePodSandBox"))
        world_run_ms(&world, 1);
    finish(&world, "socket");
    world_end(&world);
}

TEST(a_process_has_the_groups_of_its_pod_and_what_it_cannot_have_is_told)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("groups", "'securityContext':{'runAsUser':1000,'runAsGroup':1001,'fsGroup':2000},"
                                       "'containers':[{'name':'main','image':'none','command':['sh','-c','id -G; sleep "
                                       "600'],'securityContext':{'readOnlyRootFilesystem':true}}]"));
    world_until_text(&world, "groups", "status.phase", "Running");
    if (geteuid() == 0)
        world_until_logs(&world, "groups", "1001 2000\n");
    CHECK(world_has_event(&world, "groups", "SecurityContextReduced"));
    finish(&world, "groups");
    world_end(&world);
}

TEST(a_probes_command_is_of_its_containers_user)
{
    struct world world = {0};
    if (geteuid() != 0)
        return;
    world_open(&world);
    world_create(&world, POD("probed", "'securityContext':{'runAsUser':1000},'containers':[{'name':'main','image':"
                                       "'none','command':['sleep','600'],'readinessProbe':{'exec':{'command':["
                                       "'sh','-c','test $(id -u) = 1000']}}}]"));
    world_until_ready(&world, "probed", true);
    world_close(&world);
    world_open(&world);
    world_until_ready(&world, "probed", true);
    finish(&world, "probed");
    world_end(&world);
}

TEST(a_process_of_another_user_that_cannot_reach_its_volumes_says_so)
{
    struct world world = {0};
    if (geteuid() != 0)
        return;
    world_open(&world);
    CHECK(chmod(test_dir(), 0700) == 0);
    world_create(&world, POD("far", "'securityContext':{'runAsUser':1000},'volumes':[{'name':'v','emptyDir':{}}],"
                                    "'containers':[{'name':'main','image':'none','command':['sleep','600'],"
                                    "'volumeMounts':[{'name':'v','mountPath':'/v'}]}]"));
    world_until_ready(&world, "far", true);
    CHECK(world_has_event(&world, "far", "VolumeNotReachable"));
    CHECK(chmod(test_dir(), 0711) == 0);
    world_create(&world,
                 POD("near", "'restartPolicy':'Never','securityContext':{'runAsUser':1000},'volumes':[{'name':"
                             "'v','emptyDir':{}}],'containers':[{'name':'main','image':'none','command':['sh','-c',"
                             "'touch $VOLUME_V/x && printf bye > $TERMINATION_MESSAGE_PATH'],'volumeMounts':"
                             "[{'name':'v','mountPath':'/v'}]}]"));
    world_until_text(&world, "near", "status.phase", "Succeeded");
    CHECK(!world_has_event(&world, "near", "VolumeNotReachable"));
    CHECK_STR(json_text_at(world_pod(&world, "near"), "status.containerStatuses.0.state.terminated.message", ""),
              "bye");
    finish(&world, "far");
    finish(&world, "near");
    world_end(&world);
}
