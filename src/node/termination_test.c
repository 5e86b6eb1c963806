/* SPDX-License-Identifier: Apache-2.0 */
/* What a container leaves to say when it ends, on the real machine. */
#include <stdio.h>
#include <string.h>

#include "node/world_test.h"

#define POD(name, spec)                                                                                                \
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" name "'},'spec':{'runtimeClassName':'process'," spec "}}"
#define ONCE(name, script, more)                                                                                       \
    POD(name, "'restartPolicy':'Never','containers':[{'name':'main','image':'none','command':['sh','-c','" script      \
              "']" more "}]")
#define FALLBACK ",'terminationMessagePolicy':'FallbackToLogsOnError'"
#define MESSAGE "status.containerStatuses.0.state.terminated.message"

static const char *message_of(struct world *world, const char *pod)
{
    return json_text_at(world_pod(world, pod), MESSAGE, "");
}

static void finish(struct world *world, const char *pod)
{
    world_delete(world, pod, 0);
    world_until_no_pod(world, pod);
}

TEST(last_words_in_the_file_become_the_message)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, ONCE("said", "echo out; printf bye > $TERMINATION_MESSAGE_PATH", ""));
    world_until_text(&world, "said", "status.phase", "Succeeded");
    CHECK_STR(message_of(&world, "said"), "bye");
    CHECK(!world_has_event(&world, "said", "TerminationMessageNotMounted"));
    finish(&world, "said");
    world_end(&world);
}

TEST(another_place_for_last_words_is_told_to_be_elsewhere_in_a_process_pod)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, ONCE("other", "exit 0", ",'terminationMessagePath':'/tmp/last-words'"));
    world_until_text(&world, "other", "status.phase", "Succeeded");
    CHECK(world_has_event(&world, "other", "TerminationMessageNotMounted"));
    finish(&world, "other");
    world_end(&world);
}

TEST(output_stands_for_last_words_only_where_asked_and_only_of_a_failure_without_any)
{
    static const struct {
        const char *pod, *name, *phase, *message;
    } cases[] = {
        {ONCE("asked", "echo one; echo two >&2; exit 3", FALLBACK), "asked", "Failed", "one\ntwo\n"},
        {ONCE("not-asked", "echo one; exit 3", ""), "not-asked", "Failed", ""},
        {ONCE("well", "echo one", FALLBACK), "well", "Succeeded", ""},
        {ONCE("said", "echo one; printf two > $TERMINATION_MESSAGE_PATH; exit 3", FALLBACK), "said", "Failed", "two"},
        {ONCE("killed", "echo one; kill -9 $$$$", FALLBACK), "killed", "Failed", "one\n"},
    };
    struct world world = {0};
    world_open(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_create(&world, cases[i].pod);
        world_until_text(&world, cases[i].name, "status.phase", cases[i].phase);
        CHECK_STR(message_of(&world, cases[i].name), cases[i].message);
        finish(&world, cases[i].name);
    }
    world_end(&world);
}

TEST(of_long_last_words_the_end_counts_and_pods_of_many_containers_have_less_for_each)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, ONCE("long", "seq 10000 > $TERMINATION_MESSAGE_PATH", ""));
    world_until_text(&world, "long", "status.phase", "Succeeded");
    CHECK_INT(strlen(message_of(&world, "long")), 4096);
    CHECK(strstr(message_of(&world, "long"), "\n9999\n10000\n") != NULL);
    world_create(&world, POD("four", "'restartPolicy':'Never','containers':["
                                     "{'name':'a','image':'none','command':['sh','-c','seq 10000 > "
                                     "$TERMINATION_MESSAGE_PATH']},"
                                     "{'name':'b','image':'none','command':['true']},"
                                     "{'name':'c','image':'none','command':['true']},"
                                     "{'name':'d','image':'none','command':['true']}]"));
    world_until_text(&world, "four", "status.phase", "Succeeded");
    CHECK_INT(strlen(message_of(&world, "four")), 12288 / 4);
    finish(&world, "long");
    finish(&world, "four");
    world_end(&world);
}

TEST(what_is_no_file_is_no_message)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, ONCE("fifo", "rm $TERMINATION_MESSAGE_PATH; mkfifo $TERMINATION_MESSAGE_PATH", ""));
    world_create(&world, ONCE("link", "ln -sf /etc/passwd $TERMINATION_MESSAGE_PATH", ""));
    world_until_text(&world, "fifo", "status.phase", "Succeeded");
    world_until_text(&world, "link", "status.phase", "Succeeded");
    CHECK_STR(message_of(&world, "fifo"), "");
    CHECK_STR(message_of(&world, "link"), "");
    finish(&world, "fifo");
    finish(&world, "link");
    world_end(&world);
}

TEST(last_words_outlive_the_next_run_and_a_restart_of_evoke)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("again", "'containers':[{'name':'main','image':'none','command':['sh','-c','f=$("
                                      "dirname $TERMINATION_MESSAGE_PATH)/seen; test -e $f && exec sleep 600; touch "
                                      "$f; printf first > $TERMINATION_MESSAGE_PATH; exit 1']}]"));
    world_until_text(&world, "again", "status.containerStatuses.0.lastState.terminated.message", "first");
    world_until_ready(&world, "again", true);
    const struct json *last = json_at(world_pod(&world, "again"), "status.containerStatuses.0.lastState.terminated");
    char id[200];
    snprintf(id, sizeof id, "process://%s-main-0", json_text_at(world_pod(&world, "again"), "metadata.uid", ""));
    CHECK_STR(json_text_at(last, "containerID", ""), id);
    world_close(&world);
    world_open(&world);
    world_until_ready(&world, "again", true);
    last = json_at(world_pod(&world, "again"), "status.containerStatuses.0.lastState.terminated");
    CHECK_STR(json_text_at(last, "message", ""), "first");
    CHECK_STR(json_text_at(last, "containerID", ""), id);
    finish(&world, "again");
    world_end(&world);
}
