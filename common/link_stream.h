/* The two directions of one connected stream socket: SP messages (sp_frame.h) from the socket into
 * a buffer and out of it, records from a buffer to the socket as messages. Calls nobody; what to
 * make of an end, a failure or a wrong byte is the caller's to decide.
 *
 * Memory grows with what has arrived, not with what a head announces. */
#pragma once

#include "common/buffer.h"
#include "common/parse.h"
#include "common/sp_frame.h"

struct link_stream {
    int fd;
    struct buffer in;
    struct buffer out; /* whole records, but for the batch at its front that is being written */
    uint8_t head[SP_HEAD_BYTES]; /* of that batch */
    size_t head_left_bytes;
    size_t body_left_bytes;
};

enum stream_result {
    STREAM_ALL,    /* all that is there has been read, or has been written */
    STREAM_MORE,   /* there may be more to read, or there is more to write */
    STREAM_FULL,   /* there is more to write, and the socket takes no more for now */
    STREAM_ENDED,  /* read: the peer has sent all that it will */
    STREAM_FAILED, /* errno tells */
};

/* No socket yet. Allocates nothing. */
void link_stream_init(struct link_stream *stream, size_t out_max_bytes);
/* Gives all memory back. The socket is the caller's. */
void link_stream_fini(struct link_stream *stream);

/* Begins with this socket (non-blocking), on which nothing has been sent: sends our opening.
 * False: errno tells. */
MUST_CHECK bool link_stream_open(struct link_stream *stream, int fd);
/* Forgets the socket and what was to be written; what was read stays, see link_stream_trim. */
void link_stream_close(struct link_stream *stream);

/* One read, appended to `in`: STREAM_ALL, STREAM_MORE, STREAM_ENDED or STREAM_FAILED. */
enum stream_result link_stream_read(struct link_stream *stream);
/* Takes the peer's opening from the front of `in`; once, before any message. */
enum parse_result link_stream_take_opening(struct link_stream *stream);
/* The first message in `in`, as a slice into it: valid until it is dropped, and not empty, since
 * empty ones are passed over. PARSE_BAD: no message can be there, or one that is too long. */
enum parse_result link_stream_first(struct link_stream *stream, struct slice *message);
/* Drops the message that link_stream_first gave. */
void link_stream_drop(struct link_stream *stream, struct slice message);

/* Writes one batch from the front of `out`, as far as the socket takes it, uncopied and with its
 * head by one call: STREAM_ALL, STREAM_MORE, STREAM_FULL or STREAM_FAILED. */
enum stream_result link_stream_write(struct link_stream *stream);

/* Gives back what empty buffers hold, if it is much; or, without a socket, whatever `in` holds. */
void link_stream_trim(struct link_stream *stream);
