/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch/destination.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "wire/http.h"

static char *format(const char *text, ...) PRINTF_LIKE(1, 2);

static char *format(const char *text, ...)
{
    char line[4096];
    va_list args;
    va_start(args, text);
    vsnprintf(line, sizeof line, text, args);
    va_end(args);
    return memory_string(bytes_of_string(line));
}

static bool has_port(const struct object *service, int64_t wanted)
{
    json_array_each (i, port, json_at(service->json, "spec.ports")) {
        if (json_int_at(port, "port", 0) == wanted)
            return true;
    }
    return false;
}

/* `port` 0: 80 if there is one, else the first. */
static bool read_service(struct api *api, struct bytes namespace, struct bytes name, uint16_t port, const char *target,
                         struct destination *out, struct error *err)
{
    AUTO_FREE(char) namespace_text = memory_string(namespace);
    AUTO_FREE(char) name_text = memory_string(name);
    const struct object *service = api_find(api, "Service", namespace_text, name_text);
    if (!service)
        return error_set(err, ERROR_NOT_FOUND, "there is no service %s in the namespace %s", name_text, namespace_text);
    if (port == 0 && has_port(service, 80))
        port = 80;
    if (port == 0)
        port = (uint16_t)json_int_at(service->json, "spec.ports.0.port", 0);
    if (port == 0)
        return error_set(err, ERROR_INVALID, "the service %s has no ports", name_text);
    out->kind = DESTINATION_SERVICE;
    snprintf(out->port_text, sizeof out->port_text, "%u", (unsigned)port);
    out->authority = port == 80 ? format("%s.%s.svc.cluster.local", name_text, namespace_text)
                                : format("%s.%s.svc.cluster.local:%u", name_text, namespace_text, (unsigned)port);
    out->target = memory_string(bytes_of_string(target));
    out->url = format("http://%s%s", out->authority, strcmp(target, "/") == 0 ? "" : target);
    out->namespace = TAKE(namespace_text);
    out->name = TAKE(name_text);
    return true;
}

static bool read_broker(struct api *api, struct bytes namespace, struct bytes name, const char *events_url,
                        struct destination *out, struct error *err)
{
    AUTO_FREE(char) namespace_text = memory_string(namespace);
    AUTO_FREE(char) name_text = memory_string(name);
    if (!api_find(api, "Broker", namespace_text, name_text))
        return error_set(err, ERROR_NOT_FOUND, "there is no broker %s in the namespace %s", name_text, namespace_text);
    out->kind = DESTINATION_BROKER;
    out->url = format("%s/%s/%s", events_url ? events_url : "http://broker.invalid", namespace_text, name_text);
    out->namespace = TAKE(namespace_text);
    out->name = TAKE(name_text);
    return true;
}

static bool read_ref(struct api *api, const struct json *ref, struct bytes namespace, const char *path,
                     const char *events_url, struct destination *out, struct error *err)
{
    const char *kind = json_text_at(ref, "kind", "");
    struct bytes name = json_bytes(json_get(ref, "name"));
    struct bytes other = json_bytes(json_get(ref, "namespace"));
    if (other.size > 0)
    namespace = other;
    bool core = bytes_equal_string(json_bytes(json_get(ref, "apiVersion")), "v1") || !json_get(ref, "apiVersion");
    if (strcmp(kind, "Service") == 0 && core)
        return read_service(api, namespace, name, 0, path, out, err);
    if (strcmp(kind, "Broker") == 0)
        return read_broker(api, namespace, name, events_url, out, err);
    return error_set(err, ERROR_UNSUPPORTED, "an object of the kind %.60s %.60s takes no events here: use a v1 Service",
                     json_text_at(ref, "apiVersion", ""), kind);
}

/* "billing.shop.svc" and "billing.shop.svc.cluster.local" */
static bool is_service_host(struct bytes host, struct bytes *name, struct bytes *namespace)
{
    static const char suffix[] = ".cluster.local";
    struct bytes rest = host, word;
    if (bytes_ends_with(host, bytes_of_string(suffix)))
        rest = bytes_slice(host, 0, host.size - strlen(suffix));
    return bytes_split(&rest, '.', name) && bytes_split(&rest, '.', namespace) && bytes_split(&rest, '.', &word) &&
           bytes_equal_string(word, "svc") && rest.data == NULL;
}

static bool read_uri(struct api *api, struct bytes uri, struct destination *out, struct error *err)
{
    struct http_url url;
    struct bytes name, namespace;
    if (!http_url_parse(uri, &url, err))
        return error_wrap(err, "the uri");
    AUTO_FREE(char) target = memory_string(url.target);
    if (!url.tls && is_service_host(url.host, &name, &namespace))
        return read_service(api, namespace, name, url.port, target, out, err);
    out->kind = DESTINATION_URI;
    out->url = memory_string(uri);
    out->host = memory_string(url.host);
    out->authority = memory_string(url.authority);
    out->port = url.port;
    out->tls = url.tls;
    out->target = TAKE(target);
    return true;
}

bool destination_read(struct api *api, const struct json *json, struct bytes namespace, const char *events_url,
                      struct destination *out, struct error *err)
{
    const struct json *ref = json_get(json, "ref");
    struct bytes uri = json_bytes(json_get(json, "uri"));
    struct destination read = {0};
    AUTO_FREE(char) path = memory_string(uri.size > 0 ? uri : BYTES_LITERAL("/"));
    bool ok;
    if (!json_is_object(ref) && uri.size == 0)
        return error_set(err, ERROR_INVALID, "neither a ref nor a uri is given");
    if (!json_is_object(ref))
        ok = read_uri(api, uri, &read, err);
    else if (path[0] != '/')
        ok = error_set(err, ERROR_INVALID, "a uri beside a ref must be a path that begins with /");
    else
        ok = read_ref(api, ref, namespace, path, events_url, &read, err);
    if (!ok) {
        destination_deinit(&read);
        return false;
    }
    *out = read;
    return true;
}

void destination_deinit(struct destination *destination)
{
    free(destination->url);
    free(destination->namespace);
    free(destination->name);
    free(destination->host);
    free(destination->authority);
    free(destination->target);
    *destination = (struct destination){0};
}

bool destination_equal(const struct destination *a, const struct destination *b)
{
    return a->kind == b->kind && (a->kind == DESTINATION_NONE || strcmp(a->url, b->url) == 0) &&
           strcmp(a->port_text, b->port_text) == 0;
}
