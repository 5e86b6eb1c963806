#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the facts of Kubernetes' published types into src/api/kinds/*.kind.

usage: extract_kinds.py API_MODULE APIMACHINERY_MODULE KINDS_DIR
       (the directories that `go mod download k8s.io/api@v0.35.0 k8s.io/apimachinery@v0.35.0` names)

Facts are names, protobuf tags, types, which fields are required, omitted when empty or told apart from absent, list and
merge keys, and declared defaults. What people wrote into the files is kept: the mark `*`, rules, defaults, columns,
words. So the script is run when a new Kubernetes is to be followed, and `git diff` shows what changed. The notation is
described in src/api/kinds/README.md. No prose is taken over.
"""
import collections
import re
import sys

API, MACHINERY, OUT = sys.argv[1:4]

# Go package path -> (module directory, OpenAPI package, group/version)
PACKAGES = {
    "metav1": (MACHINERY + "/pkg/apis/meta/v1", "io.k8s.apimachinery.pkg.apis.meta.v1", "meta.k8s.io/v1"),
    "v1": (API + "/core/v1", "io.k8s.api.core.v1", "v1"),
    "appsv1": (API + "/apps/v1", "io.k8s.api.apps.v1", "apps/v1"),
    "discoveryv1": (API + "/discovery/v1", "io.k8s.api.discovery.v1", "discovery.k8s.io/v1"),
    "eventsv1": (API + "/events/v1", "io.k8s.api.events.v1", "events.k8s.io/v1"),
    "nodev1": (API + "/node/v1", "io.k8s.api.node.v1", "node.k8s.io/v1"),
    "coordinationv1": (API + "/coordination/v1", "io.k8s.api.coordination.v1", "coordination.k8s.io/v1"),
    "autoscalingv1": (API + "/autoscaling/v1", "io.k8s.api.autoscaling.v1", "autoscaling/v1"),
    "policyv1": (API + "/policy/v1", "io.k8s.api.policy.v1", "policy/v1"),
    "authenticationv1": (API + "/authentication/v1", "io.k8s.api.authentication.v1", "authentication.k8s.io/v1"),
    "authorizationv1": (API + "/authorization/v1", "io.k8s.api.authorization.v1", "authorization.k8s.io/v1"),
}
ALIASES = {"corev1": "v1", "coordination": "coordinationv1"}

# file: (package, roots). A message goes to the first file whose roots reach it within the package.
FILES = [
    ("meta", "metav1", ["ObjectMeta", "ListMeta", "LabelSelector", "DeleteOptions", "Condition", "FieldSelectorRequirement"]),
    ("volume", "v1", ["Volume"]),
    ("container", "v1", ["Container", "EphemeralContainer"]),
    ("pod", "v1", ["Pod", "PodTemplateSpec", "Binding"]),
    ("service", "v1", ["Service"]),
    ("node", "v1", ["Node"]),
    ("core", "v1", ["Namespace", "ConfigMap", "Secret", "Event", "ServiceAccount"]),
    ("apps", "appsv1", ["Deployment", "ReplicaSet"]),
    ("endpoints", "v1", ["Endpoints"]),
    ("discovery", "discoveryv1", ["EndpointSlice"]),
    ("runtimeclass", "nodev1", ["RuntimeClass"]),
    ("coordination", "coordinationv1", ["Lease"]),
    ("events", "eventsv1", ["Event"]),
    ("autoscaling", "autoscalingv1", ["Scale"]),
    ("policy", "policyv1", ["Eviction"]),
    ("authentication", "authenticationv1", ["TokenRequest", "TokenReview", "SelfSubjectReview"]),
    ("authorization", "authorizationv1", ["SubjectAccessReview", "SelfSubjectAccessReview",
                                          "LocalSubjectAccessReview", "SelfSubjectRulesReview"]),
]

SCALARS = {
    "string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "int": "int32", "uint16": "int32",
    "float64": "double", "[]byte": "bytes", "metav1.Time": "Time", "metav1.MicroTime": "MicroTime",
    "metav1.Duration": "Duration", "metav1.FieldsV1": "FieldsV1", "resource.Quantity": "Quantity",
    "intstr.IntOrString": "IntOrString", "types.UID": "string", "types.NodeName": "string",
    "runtime.RawExtension": "RawExtension",
}

Field = collections.namedtuple("Field", "name tag go presence facts inline omit_zero")


class Package:
    """Structs and named types of one types.go."""

    def __init__(self, alias):
        self.alias = alias
        directory, self.openapi, self.group_version = PACKAGES[alias]
        self.structs, self.named = {}, {}
        text = open(directory + "/types.go").read()
        for match in re.finditer(r"^type (\w+) ([\[\]\w.*]+)$", text, re.M):
            self.named[match[1]] = match[2]
        for match in re.finditer(r"^\t?(?:type )?(\w+) = ([\w.]+)$", text, re.M):
            self.named[match[1]] = match[2]
        for match in re.finditer(r"^type (\w+) struct \{\n(.*?)^\}", text, re.M | re.S):
            self.structs[match[1]] = self.fields(match[2])

    @staticmethod
    def fields(body):
        fields, markers = [], []
        for line in body.split("\n"):
            line = line.strip()
            if line.startswith("//"):
                markers += re.findall(r"^// ?\+(.*)$", line)
                continue
            match = re.match(r"(?:(\w+)\s+)?([\[\]\w.*]+)\s+`(.*)`", line)
            if match:
                tags = dict(re.findall(r'(\w+):"([^"]*)"', match[3]))
                fields.append(Package.field(match[2], tags, markers))
            if line:
                markers = []
        return [field for field in fields if field]

    @staticmethod
    def field(go, tags, markers):
        name, *options = tags.get("json", "-").split(",")
        tag = int((tags.get("protobuf", "").split(",") + ["0"])[1] or 0) if tags.get("protobuf") else 0
        if name == "-":
            return None
        if "inline" in options and not name:
            return Field("inline", tag, go, "", [], True, False)
        marks = dict(marker.partition("=")[::2] for marker in markers)
        omit = "omitempty" in options or "omitzero" in options
        presence = "?" if go.startswith("*") else "" if omit else "!"
        facts = []
        if not omit and "optional" not in marks or "required" in marks or "k8s:required" in marks:
            facts.append("required")
        strategies = tags.get("patchStrategy", "").split(",")
        if "merge" in strategies:
            facts.append("merge=" + tags["patchMergeKey"] if "patchMergeKey" in tags else "merge")
        if "retainKeys" in strategies:
            facts.append("retainKeys")
        kind = marks.get("listType", "")
        if kind == "map":
            facts.append("keys=" + ",".join(m.partition("=")[2] for m in markers if m.startswith("listMapKey=")))
        elif kind in ("set", "atomic"):
            facts.append(kind)
        if marks.get("mapType") == "atomic" or marks.get("structType") == "atomic":
            facts.append("atomic")
        if "default" in marks and "ref(" not in marks["default"] and (
                presence or marks["default"] not in ('""', "0", "false")):
            facts.append("default=" + marks["default"].strip('"'))
        return Field(name, tag, go, presence, facts, False, "omitzero" in options)


packages = {alias: Package(alias) for alias in PACKAGES}


def resolve(package, go):
    """The notation's type of a Go type, and the message it refers to (or None)."""
    go = go.lstrip("*")
    if "." in go and not go.startswith(("[]", "map")):
        alias, name = go.split(".")
        alias = ALIASES.get(alias, alias)
        if go in SCALARS:
            return SCALARS[go], None
        if alias in packages:
            return resolve(packages[alias], name)
        raise SystemExit("%s: unknown type %s: neither PACKAGES nor ALIASES has %s, nor SCALARS the type"
                         % (package.alias, go, alias))
    if package.alias == "metav1" and "metav1." + go in SCALARS:
        return SCALARS["metav1." + go], None
    if go in SCALARS:
        return SCALARS[go], None
    if go.startswith("[]"):
        inner, message = resolve(package, go[2:])
        return "[]" + inner, message
    if go.startswith("map["):
        value = go.partition("]")[2]
        if package.named.get(value) == "[]string":
            return "map[string]StringList", None
        inner, message = resolve(package, value)
        return "map[string]" + inner, message
    if go in package.structs:
        return go, (package, go)
    if go in package.named:
        return resolve(package, package.named[go])
    raise SystemExit("unknown type %s in %s" % (go, package.alias))


def closure(package, roots, taken):
    found, queue = [], list(roots)
    while queue:
        name = queue.pop(0)
        if name in found or (package.alias, name) in taken:
            continue
        found.append(name)
        for field in package.structs[name]:
            if field.go.endswith("TypeMeta"):
                continue
            message = resolve(package, field.go)[1]
            if message and message[0] is package:
                queue.append(message[1])
    return found


class Hand:
    """What people wrote into a file: kept as it stands."""

    FACTS = re.compile(r"^(required|merge(=.*)?|retainKeys|keys=.*|set|atomic)$")

    def __init__(self, path):
        self.head, self.before, self.words, self.fields = [], {}, {}, {}
        message, pending = None, self.head
        try:
            lines = open(path).read().split("\n")
        except FileNotFoundError:
            return
        for line in lines:
            body, bar, words = line.partition(" | ")
            cells = body.split()
            if line.startswith("message "):
                message = cells[1]
                self.words[message] = " ".join([""] + cells[2:]) + bar + words
                self.before[message] = pending if pending is not self.head else []
                pending = []
            elif line.startswith(("kind ", "request ", "column ")):
                if pending is self.head:
                    pending = []
                pending.append(line)
            elif line.startswith("#") and message is None:
                self.head.append(line)
            elif message and line.startswith(("  ", "* ")):
                acted = cells[0] == "*"
                cells = cells[acted:]
                rules = [cell for cell in cells[3:] if not self.FACTS.match(cell)]
                self.fields[message, cells[0]] = acted, rules, bar + words


def write(file, package, messages):
    path = "%s/%s.kind" % (OUT, file)
    hand = Hand(path)
    out = hand.head or ["# SPDX-License-Identifier: Apache-2.0"]
    out += ["package %s %s" % (package.openapi, package.group_version)]
    for name in messages:
        out += [""] + hand.before.get(name, [])
        out += ["message " + name + hand.words.get(name, "")]
        rows = []
        for field in package.structs[name]:
            if field.go.endswith("TypeMeta") and field.inline:
                rows.append(row(hand, name, "apiVersion", 0, "string", []))
                rows.append(row(hand, name, "kind", 0, "string", []))
                continue
            kind, message = resolve(package, field.go)
            presence = field.presence
            if message and message[1] == kind and not presence and not field.omit_zero:
                presence = "!"  # Go's omitempty does not omit a struct
            if message and message[0] is not package and message[1] in package.structs:
                kind = kind.replace(message[1], message[0].openapi + "." + message[1])
            if field.inline:
                rows.append(row(hand, name, "inline", field.tag, kind, []))
            else:
                rows.append(row(hand, name, field.name, field.tag, kind + presence, field.facts))
        widths = [max(len(r[i]) for r in rows) for i in range(4)] if rows else []
        for r in rows:
            line = " ".join(cell.ljust(min(width, 52)) for cell, width in zip(r, widths)) + r[4]
            out.append(line.rstrip())
    open(path, "w").write("\n".join(out).rstrip() + "\n")


def row(hand, message, name, tag, kind, facts):
    # Every kind is known by these three; what else is acted on, people say.
    identity = name in ("apiVersion", "kind") and tag == 0 or kind.startswith("ObjectMeta")
    acted, rules, words = hand.fields.get((message, name), (identity, [], ""))
    if any(rule.startswith("default=") for rule in rules):
        facts = [fact for fact in facts if not fact.startswith("default=")]
    return (("* " if acted else "  ") + name, str(tag), kind, " ".join(facts + rules), words)


def main():
    taken = set()
    for file, alias, roots in FILES:
        messages = closure(packages[alias], roots, taken)
        taken |= {(alias, message) for message in messages}
        write(file, packages[alias], messages)


main()
