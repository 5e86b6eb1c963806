/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reviews: questions about who one is and what one may do. evoke's only users are those whose certificate its own CA
 * signed, and they may do everything; the answers say just that.
 */
#include "base/memory.h"
#include "door/kube_call.h"

static void set_user_info(struct kube_call *call, struct json *status)
{
    struct json *groups = json_new_array();
    for (size_t i = 0; i < call->group_count; i++)
        json_append(groups, json_new_text(call->groups[i]));
    json_append(groups, json_new_text("system:authenticated"));
    json_set_at(status, "userInfo.username", json_new_text(call->user));
    json_set_at(status, "userInfo.groups", groups);
}

static void set_allowed(struct kube_call *call, struct json *status)
{
    (void)call;
    json_set(status, "allowed", json_new_bool(true));
    json_set(status, "reason", json_new_text("evoke lets every client with a certificate of its CA do everything"));
}

static struct json *everything(void)
{
    struct json *array = json_new_array();
    json_append(array, json_new_text("*"));
    return array;
}

static void set_rules(struct kube_call *call, struct json *status)
{
    (void)call;
    struct json *resources = json_new_array(), *resource = json_new_object();
    struct json *others = json_new_array(), *other = json_new_object();
    json_set(resource, "verbs", everything());
    json_set(resource, "apiGroups", everything());
    json_set(resource, "resources", everything());
    json_append(resources, resource);
    json_set(other, "verbs", everything());
    json_set(other, "nonResourceURLs", everything());
    json_append(others, other);
    json_set(status, "resourceRules", resources);
    json_set(status, "nonResourceRules", others);
    json_set(status, "incomplete", json_new_bool(false));
}

static const struct {
    const char *group, *plural, *kind;
    void (*answer)(struct kube_call *call, struct json *status);
} reviews[] = {
    {"authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", set_user_info},
    {"authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", set_allowed},
    {"authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", set_allowed},
    {"authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", set_allowed},
    {"authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", set_rules},
};

static void answer(struct kube_call *call, size_t row)
{
    struct error err;
    const char *version =
        arena_printf(call->arena, "%s/" BYTES_FORMAT, reviews[row].group, BYTES_ARGS(call->target.version));
    const struct kind *kind = schema_request_kind(bytes_of_string(version), bytes_of_string(reviews[row].kind));
    AUTO_JSON *review = kube_body_raw(call, kind, &err);
    if (!review) {
        kube_respond_error(call, &err);
        return;
    }
    if (!json_is_object(review)) {
        kube_respond_status(call, 400, "BadRequest", "a %s is a JSON object", reviews[row].kind);
        return;
    }
    struct json *status = json_new_object();
    reviews[row].answer(call, status);
    json_set(review, "kind", json_new_text(reviews[row].kind));
    json_set(review, "apiVersion", json_new_text(version));
    json_set(review, "status", status);
    kube_respond_json(call, 201, TAKE(review));
}

bool kube_review(struct kube_call *call)
{
    for (size_t i = 0; i < ARRAY_SIZE(reviews); i++) {
        if (bytes_equal_string(call->target.group, reviews[i].group) &&
            bytes_equal_string(call->target.plural, reviews[i].plural) &&
            bytes_equal_string(call->request->head->method, "POST")) {
            answer(call, i);
            return true;
        }
    }
    return false;
}
