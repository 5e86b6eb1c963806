/* SPDX-License-Identifier: Apache-2.0 */
/* Where a pod may run, on the real machine: which is one node, and what pods are on it. */
#include <stdio.h>
#include <string.h>

#include "node/world_test.h"

#define REQUIRED "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED "preferredDuringSchedulingIgnoredDuringExecution"
#define POD(name, app, more)                                                                                           \
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" name "','labels':{'app':'" app                              \
    "'}},'spec':{'runtimeClassName':'process','containers':[{'name':'main','image':'none','command':['sleep','600']}]" \
    "" more "}}"
#define TO_NODE(name, expressions)                                                                                     \
    POD(name, name,                                                                                                    \
        ",'affinity':{'nodeAffinity':{'" REQUIRED "':{'nodeSelectorTerms':[{'matchExpressions':[" expressions          \
        "]}]}}}")
#define TO_PODS(kind, app)                                                                                             \
    ",'affinity':{'" kind "':{'" REQUIRED "':[{'topologyKey':'kubernetes.io/hostname','labelSelector':{'matchLabels':" \
    "{'app':'" app "'}}}]}}"

static bool is_refused(struct world *world, const char *pod, const char *words)
{
    char message[200];
    snprintf(message, sizeof message, "0/1 nodes are available: 1 node(s) %s", words);
    const struct json *json = world_pod(world, pod);
    return !json_at(json, "spec.nodeName") &&
           strcmp(json_text_at(json, "status.conditions.0.message", ""), message) == 0;
}

static void finish(struct world *world, const char *pod)
{
    world_delete(world, pod, 0);
    world_until_no_pod(world, pod);
}

TEST(a_pod_runs_where_one_term_of_its_node_affinity_matches)
{
    static const struct {
        const char *pod, *name;
        bool fits;
    } cases[] = {
        {TO_NODE("in", "{'key':'kubernetes.io/os','operator':'In','values':['plan9','linux']}"), "in", true},
        {TO_NODE("not-in", "{'key':'kubernetes.io/os','operator':'NotIn','values':['linux']}"), "not-in", false},
        {TO_NODE("not-in-none", "{'key':'disk','operator':'NotIn','values':['hdd']}"), "not-in-none", true},
        {TO_NODE("exists", "{'key':'disk','operator':'Exists'}"), "exists", false},
        {TO_NODE("not-there", "{'key':'disk','operator':'DoesNotExist'}"), "not-there", true},
        {TO_NODE("more", "{'key':'cores','operator':'Gt','values':['3']}"), "more", false},
        {TO_NODE("both", "{'key':'kubernetes.io/os','operator':'Exists'},{'key':'disk','operator':'Exists'}"), "both",
         false},
        {TO_NODE("nothing", ""), "nothing", false},
        {POD("prefers", "prefers",
             ",'affinity':{'nodeAffinity':{'" PREFERRED "':[{'weight':1,'preference':{'matchExpressions':[{'key':"
             "'disk','operator':'Exists'}]}}]}}"),
         "prefers", true},
        {POD("spread", "spread",
             ",'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'kubernetes.io/hostname','whenUnsatisfiable':"
             "'DoNotSchedule','labelSelector':{}}]"),
         "spread", true},
    };
    struct world world = {0};
    world_open(&world);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_create(&world, cases[i].pod);
        if (cases[i].fits) {
            world_until_ready(&world, cases[i].name, true);
        } else {
            world_until_text(&world, cases[i].name, "status.conditions.0.reason", "Unschedulable");
            CHECK(is_refused(&world, cases[i].name, "didn't match Pod's node affinity/selector"));
        }
        finish(&world, cases[i].name);
    }
    world_end(&world);
}

TEST(a_node_that_is_in_no_zone_takes_no_pod_that_must_be_spread_over_zones)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("zones", "zones",
                             ",'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'topology.kubernetes.io/zone',"
                             "'whenUnsatisfiable':'DoNotSchedule','labelSelector':{}}]"));
    world_until_text(&world, "zones", "status.conditions.0.reason", "Unschedulable");
    CHECK(is_refused(&world, "zones", "didn't match pod topology spread constraints (missing required label)"));
    finish(&world, "zones");
    world_end(&world);
}

TEST(a_pod_that_wants_to_be_alone_waits_until_the_other_has_gone)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("one", "db", TO_PODS("podAntiAffinity", "db")));
    world_until_ready(&world, "one", true);
    world_create(&world, POD("two", "db", TO_PODS("podAntiAffinity", "db")));
    world_create(&world, POD("three", "db", ""));
    world_create(&world, POD("web", "web", ""));
    world_until_ready(&world, "web", true);
    world_until_text(&world, "two", "status.conditions.0.reason", "Unschedulable");
    CHECK(is_refused(&world, "two", "didn't match pod anti-affinity rules"));
    world_until_text(&world, "three", "status.conditions.0.reason", "Unschedulable");
    CHECK(is_refused(&world, "three", "didn't satisfy existing pods anti-affinity rules"));
    finish(&world, "three");
    finish(&world, "one");
    world_until_ready(&world, "two", true);
    finish(&world, "two");
    finish(&world, "web");
    world_end(&world);
}

TEST(a_pod_that_wants_company_waits_for_it_unless_it_is_its_own)
{
    struct world world = {0};
    world_open(&world);
    world_create(&world, POD("self", "self", TO_PODS("podAffinity", "self")));
    world_until_ready(&world, "self", true);
    world_create(&world, POD("web", "web", TO_PODS("podAffinity", "cache")));
    world_until_text(&world, "web", "status.conditions.0.reason", "Unschedulable");
    CHECK(is_refused(&world, "web", "didn't match pod affinity rules"));
    world_create(&world, POD("cache", "cache", ""));
    world_until_ready(&world, "web", true);
    finish(&world, "web");
    finish(&world, "cache");
    finish(&world, "self");
    world_end(&world);
}
