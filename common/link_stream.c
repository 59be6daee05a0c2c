#include "common/link_stream.h"

#include "common/link_codec.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

enum {
    BATCH_MAX_BYTES = 256 * 1024, /* a larger one costs no less a byte, and delays the first */
    /* The largest batch: one record that is larger by itself. */
    RECEIVE_MAX_BYTES = LINK_PAYLOAD_MAX_BYTES + LINK_RECORD_OVERHEAD_BYTES,
    READ_BYTES = 64 * 1024,
    KEPT_MAX_BYTES = 1024 * 1024, /* an empty buffer that has grown beyond this is given back */
};

void link_stream_init(struct link_stream *stream, size_t out_max_bytes)
{
    *stream = (struct link_stream){.fd = -1};
    buffer_init(&stream->in, SP_HEAD_BYTES + RECEIVE_MAX_BYTES + READ_BYTES);
    buffer_init(&stream->out, out_max_bytes);
}

void link_stream_fini(struct link_stream *stream)
{
    buffer_fini(&stream->in);
    buffer_fini(&stream->out);
}

bool link_stream_open(struct link_stream *stream, int fd)
{
    assert(stream->fd < 0);
    buffer_release(&stream->in);
    /* A new socket has room for these few bytes. */
    if (send(fd, sp_opening, SP_OPENING_BYTES, MSG_NOSIGNAL) != SP_OPENING_BYTES) {
        return false;
    }
    stream->fd = fd;
    return true;
}

void link_stream_close(struct link_stream *stream)
{
    stream->fd = -1;
    stream->head_left_bytes = 0;
    stream->body_left_bytes = 0;
    buffer_release(&stream->out);
}

enum stream_result link_stream_read(struct link_stream *stream)
{
    uint8_t *room = buffer_reserve(&stream->in, READ_BYTES);
    if (room == NULL) {
        errno = ENOMEM;
        return STREAM_FAILED;
    }
    ssize_t count = recv(stream->fd, room, READ_BYTES, 0);
    if (count < 0) {
        return errno == EAGAIN || errno == EINTR ? STREAM_ALL : STREAM_FAILED;
    }
    if (count == 0) {
        return STREAM_ENDED;
    }
    buffer_commit(&stream->in, (size_t)count);
    return count == READ_BYTES ? STREAM_MORE : STREAM_ALL;
}

enum parse_result link_stream_take_opening(struct link_stream *stream)
{
    enum parse_result result = sp_opening_check(buffer_slice(&stream->in));
    if (result == PARSE_DONE) {
        buffer_consume(&stream->in, SP_OPENING_BYTES);
    }
    return result;
}

enum parse_result link_stream_first(struct link_stream *stream, struct slice *message)
{
    for (;;) {
        struct slice bytes = buffer_slice(&stream->in);
        size_t len = 0;
        enum parse_result result = sp_head_decode(bytes, RECEIVE_MAX_BYTES, &len);
        if (result != PARSE_DONE) {
            return result;
        }
        if (bytes.len - SP_HEAD_BYTES < len) {
            return PARSE_NEED_MORE;
        }
        if (len > 0) {
            *message = slice_of(bytes.data + SP_HEAD_BYTES, len);
            return PARSE_DONE;
        }
        buffer_consume(&stream->in, SP_HEAD_BYTES);
    }
}

void link_stream_drop(struct link_stream *stream, struct slice message)
{
    buffer_consume(&stream->in, SP_HEAD_BYTES + message.len);
}

/* Cuts the next batch from the front of `out`. */
static void begin_batch(struct link_stream *stream)
{
    struct slice records = buffer_slice(&stream->out);
    stream->body_left_bytes =
        records.len <= BATCH_MAX_BYTES ? records.len : link_batch_cut(records, BATCH_MAX_BYTES);
    stream->head_left_bytes = SP_HEAD_BYTES;
    sp_head_put(stream->head, stream->body_left_bytes);
}

enum stream_result link_stream_write(struct link_stream *stream)
{
    if (buffer_len(&stream->out) == 0) {
        return STREAM_ALL;
    }
    if (stream->body_left_bytes == 0) {
        begin_batch(stream);
    }
    uint8_t *body = stream->out.data + stream->out.begin; /* a buffer_slice would be const */
    struct iovec parts[] = {
        {stream->head + SP_HEAD_BYTES - stream->head_left_bytes, stream->head_left_bytes},
        {body, stream->body_left_bytes},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_LENGTH(parts)};
    ssize_t result = sendmsg(stream->fd, &message, MSG_NOSIGNAL);
    if (result < 0 && errno != EAGAIN && errno != EINTR) {
        return STREAM_FAILED;
    }
    size_t count = result < 0 ? 0 : (size_t)result;
    size_t head_count = count < stream->head_left_bytes ? count : stream->head_left_bytes;
    stream->head_left_bytes -= head_count;
    stream->body_left_bytes -= count - head_count;
    buffer_consume(&stream->out, count - head_count);
    if (stream->body_left_bytes > 0) {
        return STREAM_FULL;
    }
    return buffer_len(&stream->out) > 0 ? STREAM_MORE : STREAM_ALL;
}

void link_stream_trim(struct link_stream *stream)
{
    if (stream->fd < 0 || (buffer_len(&stream->in) == 0 && stream->in.cap > KEPT_MAX_BYTES)) {
        buffer_release(&stream->in);
    }
    if (buffer_len(&stream->out) == 0 && !stream->out.failed && stream->out.cap > KEPT_MAX_BYTES) {
        buffer_release(&stream->out);
    }
}
