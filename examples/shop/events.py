# SPDX-License-Identifier: Apache-2.0
"""What a handler needs to take CloudEvents by HTTP: any web server would do. This one is small so that it starts fast.

An event arrives as a POST: its attributes are the fields ce-..., its data is the body. A handler answers with
nothing (the event is done), with an event (it is appended where the first one came from), or raises (evoke tries
again, then gives the event to the dead letter sink).
"""
import _thread
import json
import os
import socket
import sys


def read_request(stream):
    """The attributes and the data of the next event on a connection; None at its end."""
    if not stream.readline().strip():
        return None
    attributes, size = {}, 0
    for line in stream:
        name, colon, value = line.decode().strip().partition(":")
        if not colon:
            break
        name = name.lower()
        if name.startswith("ce-"):
            attributes[name[3:]] = value.strip()
        elif name == "content-length":
            size = int(value)
    return attributes, stream.read(size)


def response(status, attributes=None, data=None):
    body = b"" if attributes is None else json.dumps(data).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    if attributes is not None:
        lines += ["Content-Type: application/json"] + [f"ce-{name}: {value}" for name, value in attributes.items()]
    return "\r\n".join(lines + ["", ""]).encode() + body


def answer(handler, attributes, body):
    try:
        data = json.loads(body or "null")
    except ValueError:
        return response("400 Bad Request")  # it will not get better: evoke does not try again
    try:
        reply = handler(attributes, data)
    except Exception as error:
        print(f"{attributes.get('id')}: {error}", flush=True)
        return response("500 Internal Server Error")
    if reply is None:
        return response("202 Accepted")
    reply_type, reply_data = reply
    source = os.path.basename(sys.argv[0]).removesuffix(".py")
    # The id is made of the first event's, so that a second delivery gives the same event again.
    return response("200 OK", {"specversion": "1.0", "id": f"{attributes['id']}.{source}", "source": f"/shop/{source}",
                               "type": reply_type}, reply_data)


def serve_connection(handler, connection):
    with connection, connection.makefile("rb") as stream:
        while request := read_request(stream):
            connection.sendall(answer(handler, *request))


def serve(handler):
    """`handler(attributes, data)` returns None or (type, data) of the reply. evoke says where to listen."""
    server = socket.create_server((os.environ["POD_IP"], int(os.environ["PORT"])), backlog=100)
    while True:
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _thread.start_new_thread(serve_connection, (handler, connection))
