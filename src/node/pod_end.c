/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a run of a container ended: what is kept of it, in memory and through a restart of evoke in the pod's status, and
 * the message that it left, with a kubelet's limits: the last 4096 bytes of its termination message file; with
 * FallbackToLogsOnError, of one that failed and left none, the last 80 lines and 2048 bytes of its output; and all
 * containers of a pod together no more than 12 KiB.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "node/cri_log.h"
#include "node/pod.h"

enum {
    MESSAGE_SIZE_MAX = 4096,
    MESSAGES_SIZE_MAX = 12 << 10, /* of a pod */
    OUTPUT_SIZE_MAX = 2048,
    OUTPUT_LINES_MAX = 80,
};

bool container_end_well(const struct container_end *end)
{
    return end->exit.code == 0 && end->exit.signal == 0;
}

void container_end_deinit(struct container_end *end)
{
    free(end->message);
    *end = (struct container_end){0};
}

void container_id(const struct container *container, unsigned attempt, char out[CONTAINER_ID_SIZE])
{
    const struct pod *pod = container->pod;
    snprintf(out, CONTAINER_ID_SIZE, "%s://%s-%s-%u", pod->runtime->name, pod->uid, container->name, attempt);
}

void container_keep_end(struct container *container, const struct runtime_exit *exit, const char *reason,
                        struct bytes message)
{
    if (container->last.known) {
        container_end_deinit(&container->previous);
        container->previous = container->last;
    }
    size_t share = MESSAGES_SIZE_MAX / container->pod->container_count;
    container->last = (struct container_end){.known = true, .exit = *exit};
    container->last.message = memory_string(bytes_slice(message, 0, share));
    snprintf(container->last.reason, sizeof container->last.reason, "%s", reason);
    container_id(container, container->attempt, container->last.id);
}

/* --- Its message --- */

static void read_message(const struct container *container, const struct runtime_exit *exit, struct buf *out)
{
    const struct pod *pod = container->pod;
    const struct runtime_ops *ops = pod->runtime->ops;
    const char *policy = json_text_at(container->spec, "terminationMessagePolicy", "File");
    bool failed = exit->code != 0 || exit->signal != 0;
    char path[4096];
    if (ops->read_message)
        ops->read_message(pod->sandbox, container->name, container->attempt, out);
    if (out->size > 0 || !failed || strcmp(policy, "FallbackToLogsOnError") != 0)
        return;
    ops->output_path(pod->sandbox, container->name, container->attempt, path, sizeof path);
    cri_log_tail(node_io(pod->node), path, OUTPUT_LINES_MAX, OUTPUT_SIZE_MAX, out);
}

/* --- The end --- */

void container_ended(struct container *container, unsigned attempt, const struct runtime_exit *exit)
{
    struct pod *pod = container->pod;
    AUTO_BUF message;
    buf_init(&message, MESSAGE_SIZE_MAX);
    if (attempt != container->attempt || container->state == CONTAINER_ENDED)
        return;
    container_stop_probes(container);
    probe_action_free(TAKE(container->hook));
    io_timer_stop(&container->stop);
    container->ready = false;
    container->state = CONTAINER_ENDED;
    bool well = exit->code == 0 && exit->signal == 0;
    if (exit->unknown)
        buf_append_string(&message, "The container could not be located: it ended while nobody looked");
    else
        read_message(container, exit, &message);
    container_keep_end(container, exit,
                       exit->unknown         ? "ContainerStatusUnknown"
                       : exit->out_of_memory ? "OOMKilled"
                       : well                ? "Completed"
                                             : "Error",
                       buf_bytes(&message));
    node_logs_changed(pod, container);
    pod_touch(pod, true);
}

void container_lost(struct container *container)
{
    int64_t now = io_wall_ns(node_io(container->pod->node));
    const struct runtime_exit exit = {
        .code = 137, .unknown = true, .started_ns = container->started_ns, .finished_ns = now};
    if (container->has_run && container->state != CONTAINER_ENDED)
        container_ended(container, container->attempt, &exit);
}

/* --- What an earlier evoke wrote --- */

static void restore_end(const struct json *terminated, struct container_end *out)
{
    if (!terminated)
        return;
    out->known = true;
    out->exit.code = (int)json_int_at(terminated, "exitCode", 0);
    out->exit.signal = (int)json_int_at(terminated, "signal", 0);
    text_parse_time_ns(json_bytes(json_get(terminated, "startedAt")), &out->exit.started_ns);
    text_parse_time_ns(json_bytes(json_get(terminated, "finishedAt")), &out->exit.finished_ns);
    out->message = memory_string(bytes_of_string(json_text_at(terminated, "message", "")));
    snprintf(out->reason, sizeof out->reason, "%s", json_text_at(terminated, "reason", "Error"));
    snprintf(out->id, sizeof out->id, "%s", json_text_at(terminated, "containerID", ""));
}

void container_restore(struct container *container, const struct json *status)
{
    int64_t restarts = json_int_at(status, "restartCount", 0);
    container->attempt = restarts > 0 && restarts <= INT32_MAX ? (unsigned)restarts : 0;
    container->has_run = json_bytes(json_get(status, "containerID")).size > 0;
    container->image_id = memory_string(bytes_of_string(json_text_at(status, "imageID", "")));
    restore_end(json_at(status, "state.terminated"), &container->last);
    if (container->last.known)
        container->state = CONTAINER_ENDED;
    restore_end(json_at(status, "lastState.terminated"),
                container->last.known ? &container->previous : &container->last);
}
