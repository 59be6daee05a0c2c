#include "gateway/websocket_receiver.h"

#include "common/utf8.h"
#include "gateway/frame_head.h"
#include "gateway/frame_mask.h"

#include <assert.h>
#include <stdlib.h>
#include <wslay/wslay.h>

enum {
    CONTROL_MAX_BYTES = 125,
    STATUS_CODE_BYTES = 2,
    /* What a receiver keeps to assemble messages in; what outgrew this is given back. */
    KEPT_MAX_BYTES = 64 * 1024,
};

/* Nearly all that comes is short messages, each in one frame, each read whole: those are unmasked
 * here, words at a time. All else, whatever can be wrong with a frame included, is for wslay.
 *
 * wslay speaks of a frame only when it has a byte of its payload, but a frame that will be refused
 * must be so before its payload is awaited. So a frame's head is kept on its way to wslay, which is
 * given bytes up to the end of that head, and no more until it has been judged; then up to the end
 * of the frame. Therefore nothing is left in wslay between frames. */
struct websocket_receiver {
    const struct websocket_config *config;
    const struct websocket_handlers *handlers;
    void *owner;
    wslay_frame_context_ptr frames;
    struct slice input; /* what wslay has not been given yet */

    uint8_t head[FRAME_HEAD_MAX_BYTES];
    uint8_t head_len; /* 0: between frames */
    bool head_is_judged;
    uint64_t frame_rest_bytes; /* payload still to come, once the head is judged */

    enum websocket_opcode message_opcode; /* WEBSOCKET_CONTINUATION: no message is under way */
    struct utf8_state text;
    struct buffer message; /* the message so far, unless it came in one piece */

    uint8_t control[CONTROL_MAX_BYTES];
    uint8_t control_len;
    uint16_t close_code; /* once CLOSED or FAILED */
};

/* Of the head under way, how much wslay has not been given yet. */
static size_t head_missing_bytes(const struct websocket_receiver *receiver)
{
    bool is_known = receiver->head_len >= FRAME_HEAD_MIN_BYTES;
    return (is_known ? frame_head_bytes(receiver->head) : FRAME_HEAD_MIN_BYTES) -
           receiver->head_len;
}

static ssize_t on_wslay_read(uint8_t *room, size_t room_len, int flags, void *arg)
{
    (void)flags;
    struct websocket_receiver *receiver = arg;
    uint64_t wanted =
        receiver->head_is_judged ? receiver->frame_rest_bytes : head_missing_bytes(receiver);
    size_t count = room_len < receiver->input.len ? room_len : receiver->input.len;
    count = wanted < count ? (size_t)wanted : count;
    if (count == 0) {
        return -1;
    }
    memcpy(room, receiver->input.data, count);
    if (!receiver->head_is_judged) {
        memcpy(receiver->head + receiver->head_len, room, count);
        receiver->head_len = (uint8_t)(receiver->head_len + count);
    }
    receiver->input = slice_drop(receiver->input, count);
    return (ssize_t)count;
}

static enum websocket_status fail(struct websocket_receiver *receiver, uint16_t close_code)
{
    receiver->close_code = close_code;
    return WEBSOCKET_FAILED;
}

static enum websocket_status begin_message(struct websocket_receiver *receiver,
                                           enum websocket_opcode opcode)
{
    if (receiver->message_opcode != WEBSOCKET_CONTINUATION) {
        return fail(receiver, CLOSE_PROTOCOL_ERROR);
    }
    if (opcode == WEBSOCKET_BINARY && !receiver->config->accepts_binary) {
        return fail(receiver, CLOSE_UNSUPPORTED_DATA);
    }
    receiver->message_opcode = opcode;
    receiver->text = (struct utf8_state){0};
    return WEBSOCKET_OPEN;
}

/* Judges the head, which is complete and which wslay found well-formed. */
static enum websocket_status begin_frame(struct websocket_receiver *receiver)
{
    const uint8_t *head = receiver->head;
    receiver->head_is_judged = true;
    receiver->frame_rest_bytes = frame_head_payload_bytes(head);
    if ((head[0] & FRAME_RSV) != 0 || (head[1] & FRAME_MASK) == 0) {
        return fail(receiver, CLOSE_PROTOCOL_ERROR);
    }
    enum websocket_status status = WEBSOCKET_OPEN;
    enum websocket_opcode opcode = head[0] & FRAME_OPCODE;
    switch (opcode) {
    case WEBSOCKET_CLOSE:
    case WEBSOCKET_PING:
    case WEBSOCKET_PONG:
        receiver->control_len = 0;
        return WEBSOCKET_OPEN;
    case WEBSOCKET_TEXT:
    case WEBSOCKET_BINARY:
        status = begin_message(receiver, opcode);
        break;
    case WEBSOCKET_CONTINUATION:
        if (receiver->message_opcode == WEBSOCKET_CONTINUATION) {
            return fail(receiver, CLOSE_PROTOCOL_ERROR);
        }
        break;
    default:
        return fail(receiver, CLOSE_PROTOCOL_ERROR);
    }
    if (status == WEBSOCKET_OPEN && receiver->frame_rest_bytes > buffer_room(&receiver->message)) {
        return fail(receiver, CLOSE_MESSAGE_TOO_BIG);
    }
    return status;
}

/* Codes that a client may put into a close frame: those that RFC 6455, 7.4.1 defines, without 1004
 * to 1006, which never stand in one; and the two ranges for libraries and applications. 1012 to
 * 1015 came later and are for servers and for what was not sent. */
static bool close_code_is_valid(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1011) ||
           (code >= 3000 && code <= 4999);
}

static enum websocket_status on_close(struct websocket_receiver *receiver, struct slice payload)
{
    if (payload.len == 0) {
        receiver->close_code = CLOSE_NO_STATUS;
        return WEBSOCKET_CLOSED;
    }
    if (payload.len < STATUS_CODE_BYTES) {
        return fail(receiver, CLOSE_PROTOCOL_ERROR);
    }
    uint16_t code = (uint16_t)(payload.data[0] << 8 | payload.data[1]);
    if (!close_code_is_valid(code)) {
        return fail(receiver, CLOSE_PROTOCOL_ERROR);
    }
    if (!utf8_valid(slice_drop(payload, STATUS_CODE_BYTES))) {
        return fail(receiver, CLOSE_INVALID_PAYLOAD);
    }
    receiver->close_code = code;
    return WEBSOCKET_CLOSED;
}

static enum websocket_status end_control(struct websocket_receiver *receiver,
                                         enum websocket_opcode opcode)
{
    const struct websocket_handlers *handlers = receiver->handlers;
    struct slice payload = slice_of(receiver->control, receiver->control_len);
    if (opcode == WEBSOCKET_CLOSE) {
        return on_close(receiver, payload);
    }
    bool goes_on = opcode == WEBSOCKET_PING ? handlers->on_ping(receiver->owner, payload)
                                            : handlers->on_pong(receiver->owner, payload);
    return goes_on ? WEBSOCKET_OPEN : WEBSOCKET_STOPPED;
}

static void reset_message(struct websocket_receiver *receiver)
{
    receiver->message_opcode = WEBSOCKET_CONTINUATION;
    if (receiver->message.cap > KEPT_MAX_BYTES) {
        buffer_release(&receiver->message);
    } else {
        buffer_clear(&receiver->message);
    }
}

static enum websocket_status end_message(struct websocket_receiver *receiver, struct slice payload)
{
    enum websocket_opcode opcode = receiver->message_opcode;
    if (opcode == WEBSOCKET_TEXT && !utf8_complete(&receiver->text)) {
        return fail(receiver, CLOSE_INVALID_PAYLOAD);
    }
    bool goes_on = receiver->handlers->on_message(receiver->owner, opcode, payload);
    reset_message(receiver);
    return goes_on ? WEBSOCKET_OPEN : WEBSOCKET_STOPPED;
}

static enum websocket_status take_data(struct websocket_receiver *receiver, struct slice piece,
                                       bool is_last)
{
    struct buffer *message = &receiver->message;
    if (receiver->message_opcode == WEBSOCKET_TEXT && !utf8_feed(&receiver->text, piece)) {
        return fail(receiver, CLOSE_INVALID_PAYLOAD);
    }
    if (is_last && buffer_len(message) == 0) {
        return end_message(receiver, piece);
    }
    if (piece.len > 0) {
        buffer_put(message, piece);
    }
    if (message->failed) {
        return fail(receiver, CLOSE_INTERNAL_ERROR);
    }
    return is_last ? end_message(receiver, buffer_slice(message)) : WEBSOCKET_OPEN;
}

/* Takes what wslay has unmasked: a part of the frame under way, or all of it. */
static enum websocket_status take_piece(struct websocket_receiver *receiver,
                                        const struct wslay_frame_iocb *frame)
{
    enum websocket_opcode opcode = (enum websocket_opcode)frame->opcode;
    struct slice piece = slice_of(frame->data, frame->data_length);
    assert(piece.len <= receiver->frame_rest_bytes);
    receiver->frame_rest_bytes -= piece.len;
    bool frame_ends = receiver->frame_rest_bytes == 0;
    if (frame_ends) {
        receiver->head_len = 0;
        receiver->head_is_judged = false;
    }
    if (!wslay_is_ctrl_frame(opcode)) {
        return take_data(receiver, piece, frame_ends && frame->fin);
    }
    /* wslay refuses longer ones. */
    assert(piece.len <= (size_t)(CONTROL_MAX_BYTES - receiver->control_len));
    memcpy(receiver->control + receiver->control_len, piece.data, piece.len);
    receiver->control_len = (uint8_t)(receiver->control_len + piece.len);
    return frame_ends ? end_control(receiver, opcode) : WEBSOCKET_OPEN;
}

/* Reads what wslay has for us after one more call: nothing yet, a judged head, a piece. */
static enum websocket_status step(struct websocket_receiver *receiver)
{
    struct wslay_frame_iocb frame;
    ssize_t result = wslay_frame_recv(receiver->frames, &frame);
    if (result < 0 && result != WSLAY_ERR_WANT_READ) {
        return fail(receiver, CLOSE_PROTOCOL_ERROR);
    }
    enum websocket_status status = WEBSOCKET_OPEN;
    if (!receiver->head_is_judged && head_missing_bytes(receiver) == 0) {
        status = begin_frame(receiver);
    }
    /* A frame without a payload comes in the same call as its head. */
    return result < 0 || status != WEBSOCKET_OPEN ? status : take_piece(receiver, &frame);
}

/* The payload of the text message that the input begins with, if it is one whole, well-formed frame
 * that holds all of it; it stands in `message` behind what was committed. Empty: it is for wslay.
 */
static struct slice take_whole_message(struct websocket_receiver *receiver)
{
    struct slice input = receiver->input;
    if (receiver->head_len > 0 || receiver->message_opcode != WEBSOCKET_CONTINUATION ||
        input.len < FRAME_HEAD_MAX_BYTES || input.data[0] != (FRAME_FIN | WEBSOCKET_TEXT) ||
        (input.data[1] & FRAME_MASK) == 0) {
        return slice_of(NULL, 0);
    }
    size_t head_bytes = frame_head_bytes(input.data);
    uint64_t len = frame_head_payload_bytes(input.data);
    bool is_shortest_head = head_bytes == frame_head_size(len) + MASKING_KEY_BYTES;
    if (!is_shortest_head || len == 0 || len > input.len - head_bytes ||
        len > buffer_room(&receiver->message)) {
        return slice_of(NULL, 0);
    }
    uint8_t *room = buffer_reserve(&receiver->message, (size_t)len);
    if (room == NULL) {
        buffer_clear(&receiver->message); /* wslay needs no memory for it */
        return slice_of(NULL, 0);
    }
    frame_mask_copy(room, input.data + head_bytes, (size_t)len,
                    input.data + head_bytes - MASKING_KEY_BYTES);
    receiver->input = slice_drop(input, head_bytes + (size_t)len);
    return slice_of(room, (size_t)len);
}

/* One whole message, or else one step of wslay's. */
static enum websocket_status advance(struct websocket_receiver *receiver)
{
    struct slice message = take_whole_message(receiver);
    if (message.len == 0) {
        return step(receiver);
    }
    receiver->message_opcode = WEBSOCKET_TEXT;
    receiver->text = (struct utf8_state){0};
    return take_data(receiver, message, true);
}

struct websocket_receiver *websocket_receiver_new(const struct websocket_config *config,
                                                  const struct websocket_handlers *handlers)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = on_wslay_read};
    struct websocket_receiver *receiver = calloc(1, sizeof *receiver);
    if (receiver == NULL) {
        return NULL;
    }
    if (wslay_frame_context_init(&receiver->frames, &callbacks, receiver) != 0) {
        free(receiver);
        return NULL;
    }
    receiver->config = config;
    receiver->handlers = handlers;
    buffer_init(&receiver->message, config->message_max_bytes);
    return receiver;
}

void websocket_receiver_free(struct websocket_receiver *receiver)
{
    wslay_frame_context_free(receiver->frames);
    buffer_fini(&receiver->message);
    free(receiver);
}

enum websocket_status websocket_receiver_feed(struct websocket_receiver *receiver,
                                              struct slice bytes, void *owner, uint16_t *close_code)
{
    receiver->owner = owner;
    receiver->input = bytes;
    enum websocket_status status = WEBSOCKET_OPEN;
    while (status == WEBSOCKET_OPEN && receiver->input.len > 0) {
        status = advance(receiver);
    }
    if (status == WEBSOCKET_CLOSED || status == WEBSOCKET_FAILED) {
        *close_code = receiver->close_code;
    }
    return status;
}

bool websocket_receiver_is_idle(const struct websocket_receiver *receiver)
{
    return receiver->head_len == 0 && receiver->message_opcode == WEBSOCKET_CONTINUATION;
}

bool websocket_receiver_reset(struct websocket_receiver *receiver)
{
    reset_message(receiver);
    return receiver->head_len == 0;
}
