/* What reads one connection's frames while a frame or a fragmented message is unfinished. Owned by
 * the pool in websocket.c, which lends it; statuses, handlers and limits are those of websocket.h.
 */
#pragma once

#include "gateway/websocket.h"

/* NULL: no memory. Both must outlive the receiver. */
struct websocket_receiver *websocket_receiver_new(const struct websocket_config *config,
                                                  const struct websocket_handlers *handlers);
void websocket_receiver_free(struct websocket_receiver *receiver);

/* As websocket_receive; *close_code is set with WEBSOCKET_CLOSED and WEBSOCKET_FAILED. */
enum websocket_status websocket_receiver_feed(struct websocket_receiver *receiver,
                                              struct slice bytes, void *owner,
                                              uint16_t *close_code);

/* True: no frame and no message is under way. */
bool websocket_receiver_is_idle(const struct websocket_receiver *receiver);
/* Forgets the message under way, so that another connection can be read. False: a frame is under
 * way; the receiver can only be freed. */
MUST_CHECK bool websocket_receiver_reset(struct websocket_receiver *receiver);
