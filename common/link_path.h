/* A link's place in the file system: a Unix stream socket at LINK_DIR/slot-K.ipc, to listen at or
 * to dial. Every descriptor handed out here is non-blocking and CLOEXEC, and the caller's.
 * Of failures errno tells. */
#pragma once

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/un.h>

struct link_path {
    struct sockaddr_un address;
    dev_t dev; /* the socket file that link_path_listen has made */
    ino_t ino; /* 0: none */
};

/* False: the path is too long for a socket. */
MUST_CHECK bool link_path_init(struct link_path *path, const char *link_dir, uint32_t slot);

/* A listening socket. One that nobody listens at any more, as a killed process leaves it, is
 * replaced. -1: with EADDRINUSE somebody listens there, or what is there is no socket. */
int link_path_listen(struct link_path *path);

/* Removes the socket file, if it is still the one that link_path_listen has made. Call it before
 * the listening socket is closed: until then the file's number cannot become another's. */
void link_path_unlink(struct link_path *path);

/* A connected socket, at once. -1: with ENOENT or ECONNREFUSED nobody listens, with EAGAIN too many
 * wait there. */
int link_path_dial(const struct link_path *path);
