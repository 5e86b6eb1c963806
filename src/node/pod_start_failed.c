/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container that could not be started: what is told of it, in a kubelet's words, and when it is tried again.
 *
 * What did not even begin (no image, no configuration) is not a run: it is no restart, and is tried again after 10, 20,
 * 40 ... 300 s, or as soon as what was missing is there. A command that could not be executed is a run that failed.
 */
#include <stdio.h>

#include "node/pod.h"

/* Who wrote the manifest may think of a container: that it is not one is then the reason behind the reason. */
static void explain_process(const struct pod *pod, struct error *err)
{
    const char *why = node_no_containers(pod->node);
    if (!why[0] || json_text_at(pod->manifest->json, "spec.runtimeClassName", "")[0])
        return;
    struct error reason = *err;
    error_set(err, reason.kind, "%.300s (this pod runs as a process, not as a container: %.150s)", reason.message, why);
    err->sys = reason.sys;
}

/* The first failure is ErrImagePull until the next try, from which on it is the back-off that people see. */
static void note_missing_image(struct container *container, const struct error *err)
{
    const struct pod *pod = container->pod;
    container->lacks_image = true;
    if (strcmp(json_text_at(container->spec, "imagePullPolicy", ""), "Never") == 0) {
        container_wait(container, "ErrImageNeverPull",
                       "Container image \"%s\" is not present with pull policy of Never: %s", container->image,
                       err->message);
        pod_event(pod, "Warning", "ErrImageNeverPull", "%s", container->message);
        pod_event(pod, "Warning", "Failed", "Error: ErrImageNeverPull");
        return;
    }
    pod_event(pod, "Warning", "Failed", "Failed to pull image \"%s\": %s", container->image, err->message);
    pod_event(pod, "Warning", "Failed", "Error: ErrImagePull");
    if (container->start_back_off_ms == 0) {
        container_wait(container, "ErrImagePull", "%s", err->message);
        return;
    }
    pod_event(pod, "Normal", "BackOff", "Back-off pulling image \"%s\"", container->image);
    pod_event(pod, "Warning", "Failed", "Error: ImagePullBackOff");
    container_wait(container, "ImagePullBackOff", "Back-off pulling image \"%s\": ErrImagePull: %s", container->image,
                   err->message);
}

static void note_invalid_name(struct container *container, const struct error *err)
{
    const struct pod *pod = container->pod;
    container_wait(container, "InvalidImageName", "Failed to apply default image tag \"%s\": %s", container->image,
                   err->message);
    pod_event(pod, "Warning", "InspectFailed", "%s", container->message);
    pod_event(pod, "Warning", "Failed", "Error: InvalidImageName");
    container->blocked = true;
}

static void note_error(struct container *container, const char *reason, const struct error *err)
{
    pod_event(container->pod, "Warning", "Failed", "Error: %s", err->message);
    container_wait(container, reason, "%s", err->message);
}

static void try_again_later(struct container *container)
{
    container->start_back_off_ms = pod_next_back_off(container->start_back_off_ms);
    io_timer_start(&container->restart, container->start_back_off_ms);
}

/* A container that cannot be run has ended, as far as restart policy and back-off are concerned. */
static void end_failed_run(struct container *container, const struct error *err)
{
    int64_t now = io_wall_ns(node_io(container->pod->node));
    const struct runtime_exit exit = {.code = 128, .started_ns = now, .finished_ns = now};
    container_keep_end(container, &exit, "StartError", bytes_of_string(err->message));
    container->has_run = true;
    if (!pod_restarts(container)) {
        container->state = CONTAINER_ENDED;
        return;
    }
    container_back_off(container);
    io_timer_start(&container->restart, container->back_off_ms);
}

void container_start_failed(struct container *container, const struct runtime_started *started, const struct error *err)
{
    struct pod *pod = container->pod;
    struct error whole = *err;
    explain_process(pod, &whole);
    if (container->start_back_off_ms == 0) /* the same failure as before is none of its own */
        node_counters(pod->node)->containers_failed++;
    switch (started->failure) {
    case RUNTIME_FAILED_IMAGE_MISSING:
        note_missing_image(container, &whole);
        try_again_later(container);
        break;
    case RUNTIME_FAILED_IMAGE_NAME:
        note_invalid_name(container, &whole);
        break;
    case RUNTIME_FAILED_CONFIG:
        note_error(container, "CreateContainerConfigError", &whole);
        try_again_later(container);
        break;
    case RUNTIME_FAILED_CREATE:
        note_error(container, "CreateContainerError", &whole);
        try_again_later(container);
        break;
    case RUNTIME_FAILED_RUN:
        container_tell_created(container, started);
        note_error(container, "RunContainerError", &whole);
        end_failed_run(container, &whole);
        break;
    }
    pod_touch(pod, true);
}
