/* The listening socket: SO_REUSEPORT, so that all gateways share one port and the kernel spreads
 * new connections over them; and the end of descriptors, so that accepting never spins. */
#pragma once

#include "common/compiler.h"
#include "common/loop.h"

struct listener;

/* Listens on `address`: "HOST:PORT" or "[IPV6]:PORT"; port 0 picks a free one. `on_accept` gets
 * each new socket, non-blocking and close-on-exec, and owns it. NULL: the cause has been logged. */
struct listener *listener_open(struct loop *loop, const char *address,
                               void (*on_accept)(void *arg, int fd), void *arg);
/* Leaves the port, after accepting what the kernel has already taken in. */
void listener_close(struct listener *listener);
