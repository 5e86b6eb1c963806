/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: TCP, Unix sockets, and TLS over them. Bytes come by callback, go by a queue that the owner can watch.
 *
 * A stream's life: it opens (accepted by a listener, or io_connect() calls back); `on_data` runs for what arrives;
 * `on_end` runs once, when the peer has closed or the connection is broken, and no callback after it, but for on_drain
 * as long as a peer that has closed its side still reads. The owner calls
 * io_stream_close() exactly once, in any callback or at any time; from then on there is no callback at all.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include "base/bytes.h"
#include "base/error.h"
#include "io/address.h"
#include "io/io.h"

struct io_stream;
struct io_listener;
struct io_connecting;
struct io_file;
struct io_tls; /* io/tls.h */

struct io_stream_callbacks {
    /* `data` is good during the call. All of it is taken: who needs the rest of a message keeps a copy. */
    void (*on_data)(void *ctx, struct bytes data);
    /* err == NULL: the peer will send no more (it may still read). Otherwise the connection is gone, and why. */
    void (*on_end)(void *ctx, const struct error *err);
    /* May be NULL. The queue went from at or above IO_STREAM_QUEUE_HIGH to below it: go on writing. */
    void (*on_drain)(void *ctx);
};

/* More than LIMIT_STREAM_QUEUE_SIZE in the queue ends the stream with ERROR_LIMIT: a reader that slow is cut off. */
enum { IO_STREAM_QUEUE_HIGH = 1 << 20 };

/* Once, right after the stream is received. Until then nothing is read from the peer. */
void io_stream_start(struct io_stream *stream, const struct io_stream_callbacks *callbacks, void *ctx);

/* Appends to the queue; what is written in one turn of the loop leaves in one system call. Errors come by on_end. */
void io_stream_write(struct io_stream *stream, struct bytes data); /* copies */
/* Without a copy: `data` stays until release(owner), which is called once: when it has left, when the stream has
 * failed, or within io_stream_close(). */
void io_stream_write_ref(struct io_stream *stream, struct bytes data, void (*release)(void *owner), void *owner);
/* A range of a file, without passing through memory of ours where the engine can (sendfile). The file stays open and
 * the range is not cut until release(owner). Counts in the queue as other bytes do. A file that ends before the range
 * breaks the stream. */
void io_stream_write_file(struct io_stream *stream, struct io_file *file, uint64_t at, size_t size,
                          void (*release)(void *owner), void *owner);
size_t io_stream_queued(const struct io_stream *stream); /* bytes not yet taken by the kernel */

/* Stops and resumes on_data: back-pressure on the peer. */
void io_stream_pause(struct io_stream *stream);
void io_stream_resume(struct io_stream *stream);

/* After what is queued: no more from us (FIN). */
void io_stream_shutdown(struct io_stream *stream);
/* Ends it now; drops the queue. io_stream_close_after_write: when the queue has left and the peer has closed too (so
 * that a reset cannot overtake what it has yet to read), or 5 s later. NULL is allowed. */
void io_stream_close(struct io_stream *stream);
void io_stream_close_after_write(struct io_stream *stream);

struct io_address io_stream_peer(const struct io_stream *stream);
struct io_address io_stream_local(const struct io_stream *stream);
/* The verified client certificate's subject: common name and organizations (for Kubernetes: user and groups). False
 * when there is none. The strings live as long as the stream. */
bool io_stream_tls_subject(const struct io_stream *stream, const char **common_name, const char *const **organizations,
                           size_t *organization_count);

/* --- Listening --- */
/* `tls` NULL: plain. The callback owns the stream, which has finished its TLS handshake (within 10 s, or it is
 * dropped). With LIMIT_CONNECTIONS_PER_DOOR streams open, further ones wait in the kernel's backlog. Synchronous;
 * ERROR_UNAVAILABLE with sys EADDRINUSE when the port is taken. A Unix socket's path is made (0600), after a stale one
 * is removed. */
MUST_CHECK bool io_listen(struct io *io, const struct io_address *address, struct io_tls *tls,
                          void (*on_accept)(void *ctx, struct io_stream *stream), void *ctx, struct io_listener **out,
                          struct error *err);
struct io_address io_listener_address(const struct io_listener *listener); /* with the port that was chosen */
void io_listener_close(struct io_listener *listener);                      /* NULL is allowed */
/* Connections whose TLS handshake did not end well, which the owner never sees. */
struct io_handshake_metrics {
    uint64_t timed_out; /* not over within 10 s */
    uint64_t refused; /* no TLS (HTTP is told so in HTTP), no common version, a certificate that one of the two does not
                         accept */
    uint64_t broken_off; /* by the peer */
};
struct io_handshake_metrics io_listener_handshakes(const struct io_listener *listener);

/* --- Calling --- */
/* `done` gets the stream (then owns it), or NULL and why. `tls` NULL: plain; `server_name` (DNS name or IP address) is
 * for TLS' SNI and the certificate check, NULL: the address. `timeout_ms` covers the handshake too. After
 * io_connect_cancel(), `done` is not called. */
struct io_connecting *io_connect(struct io *io, const struct io_address *address, struct io_tls *tls,
                                 const char *server_name, uint64_t timeout_ms,
                                 void (*done)(void *ctx, struct io_stream *stream, const struct error *err), void *ctx);
void io_connect_cancel(struct io_connecting *connecting);

/* Name to address, by the system's resolver. `done` gets NULL and why on failure. Not cancellable. */
void io_resolve(struct io *io, const char *host, uint16_t port,
                void (*done)(void *ctx, const struct io_address *address, const struct error *err), void *ctx);

#endif
